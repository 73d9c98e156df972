"""The ZMTP handshake of a real client, cut and changed at each byte, against each bound socket.

Meanwhile and afterwards an honest client is served, nothing is delivered that nobody sent, and the
server's process, which is not the test's, lives and keeps no memory and no descriptor. The test of
each byte cuts there, changes it, and goes on with other changes for `ZDQN_FUZZ_MINUTES` in all.
"""

import itertools
import os
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.roles.conftest import eventually
from tests.wire.links import WAIT_S
from tests.wire.meddling import Meddled
from tests.wire.served_alone import LINKS
from zdqn.wire.keys.key_folder import KeyFolder

pytestmark = pytest.mark.own_keys

MINUTES = float(os.environ.get("ZDQN_FUZZ_MINUTES", "3"))
SPARE_BYTES = 32 * 2**20
KINDS = list(itertools.product(LINKS, (False, True)))
NAMES = [f"{link}-{'CURVE' if has_keys else 'NULL'}" for link, has_keys in KINDS]


@pytest.fixture
def meddled(request, tmp_path):
    link, has_keys = request.param
    folder = None
    if has_keys:
        folder = tmp_path / "keys"
        KeyFolder(folder).init()
    made = Meddled(link, folder)
    yield made
    made.close()


@pytest.mark.parametrize("meddled", KINDS, ids=NAMES, indirect=True)
def test_a_handshake_that_is_cut_or_changed_harms_nobody(meddled):
    before = meddled.server.resident_bytes()

    @settings(max_examples=25, derandomize=True, deadline=None, database=None)
    @given(st.integers(0, meddled.handshake_bytes - 1), st.integers(0, 255))
    def meddle(at, change):
        meddled.meddle(at, change)

    meddle()
    assert meddled.server.resident_bytes() - before < SPARE_BYTES


@pytest.mark.parametrize("meddled", [(link, True) for link in LINKS], ids=LINKS, indirect=True)
def test_an_encrypted_message_that_was_changed_ends_its_connection(meddled):
    before = meddled.server.descriptors()
    for _ in range(10):
        meddled.meddle(meddled.handshake_bytes - 1, 1)
    let_go = "their descriptors are let go of"
    eventually(lambda: meddled.server.descriptors() <= before, let_go, WAIT_S)


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("meddled", KINDS, ids=NAMES, indirect=True)
def test_each_byte_cut_and_changed(meddled, record_property):
    seed = random.SystemRandom().randrange(2**32)
    rng = random.Random(seed)
    end_s = time.monotonic() + 60 * MINUTES / len(KINDS)
    server = meddled.server
    before_bytes, before = server.resident_bytes(), server.descriptors()
    cases = 0
    for change in itertools.chain((0, 1, 0x80, 0xFF), iter(lambda: rng.randrange(1, 256), 0)):
        if change > 1 and time.monotonic() > end_s:
            break
        for at in range(meddled.handshake_bytes):
            meddled.meddle(at, change)
            cases += 1
    grown = server.resident_bytes() - before_bytes
    measured = {"bytes": meddled.handshake_bytes, "cases": cases, "grown": grown, "seed": seed}
    record_property("measured", measured)
    assert grown < SPARE_BYTES, measured
    assert server.descriptors() <= before + 10, measured
