"""A memory's side of shared memory: what is written to, and above all what is not."""

import fcntl
import logging
import mmap
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from zdqn.roles.learner.shared_slots import SharedSlots
from zdqn.roles.slot_writer import SlotWriter
from zdqn.wire.memory_messages import MOST_SHARED_BYTES, SLOTS_AT, SampleRequest, Slot

SIZE = SLOTS_AT + 8192
TOKEN = 77
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def request(slot, session=5):
    return SampleRequest(batch_size=4, session=session, slot=slot)


@pytest.fixture
def shared():
    with SharedSlots(True, batch_bytes=1, slot_bytes=100, requests_in_flight=2) as slots:
        yield slots


@pytest.fixture
def make_file():
    """An anonymous file as a client in another language would make it."""
    made = []

    def make(*, seals=SEALS, size=SIZE, token=TOKEN):
        descriptor = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        made.append(descriptor)
        os.truncate(descriptor, size)
        os.pwrite(descriptor, struct.pack("<Q", token), 0)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
        return slot_of(descriptor)

    yield make
    for descriptor in made:
        os.close(descriptor)


def slot_of(descriptor, **changes):
    fields = {"process": os.getpid(), "token": TOKEN, "offset": SLOTS_AT, **changes}
    return Slot(descriptor=descriptor, **fields)


def descriptors():
    return set(Path("/proc/self/fd").iterdir())


def test_what_is_written_is_what_the_learner_reads(shared):
    writer = SlotWriter(allowed=True)
    slots = [shared.take(), shared.take()]
    for number, slot in enumerate(slots, 1):
        content = writer.find(request(slot))
        assert content is not None
        content[:100] = number
    assert writer.sharing
    for number, slot in enumerate(slots, 1):
        read = shared.answered(slot, shared=True)
        assert read is not None
        assert set(read[:100].tolist()) == {number}


@pytest.mark.parametrize(("allowed", "session"), [(False, 5), (True, 0)])
def test_nothing_is_found_where_it_is_not_allowed_and_for_who_is_no_learner(
    shared, allowed, session
):
    writer = SlotWriter(allowed=allowed)
    assert writer.find(request(shared.take(), session)) is None
    assert writer.find(request(None)) is None
    assert not writer.sharing


def refused(slot, caplog):
    """Say why a slot is not written to."""
    caplog.clear()
    before = descriptors()
    writer = SlotWriter(allowed=True)
    with caplog.at_level(logging.INFO):
        assert writer.find(request(slot)) is None
        assert writer.find(request(slot)) is None
    assert not writer.sharing
    assert descriptors() == before
    assert len(caplog.messages) == 1, "once, though it was asked twice"
    return caplog.text


def test_a_file_as_documented_is_written_to(make_file):
    content = SlotWriter(allowed=True).find(request(make_file()))
    assert content is not None
    assert len(content) == SIZE - SLOTS_AT


def test_another_token_than_the_files_is_refused(make_file, caplog):
    slot = make_file(token=TOKEN + 1)
    assert "does not begin with the token" in refused(slot, caplog)


def test_a_file_that_could_shrink_under_the_writer_is_refused(make_file, caplog):
    assert "is not sealed" in refused(make_file(seals=fcntl.F_SEAL_GROW), caplog)


@pytest.mark.parametrize("size", [SLOTS_AT, MOST_SHARED_BYTES + 1])
def test_a_file_that_is_too_small_or_too_large_is_refused(make_file, caplog, size):
    assert f"has {size} bytes" in refused(make_file(size=size), caplog)


def test_a_file_of_another_user_is_refused(make_file, caplog, monkeypatch):
    slot = make_file()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert "no file of the user" in refused(slot, caplog)


def test_a_file_on_a_disk_is_refused_as_it_has_no_seals(tmp_path, caplog):
    path = tmp_path / "file"
    path.write_bytes(struct.pack("<Q", TOKEN) + bytes(SIZE))
    with path.open("r+b") as file:
        assert "Invalid argument" in refused(slot_of(file.fileno()), caplog)
    assert path.read_bytes() == struct.pack("<Q", TOKEN) + bytes(SIZE)


def test_what_is_no_file_is_not_even_opened(caplog, monkeypatch):
    monkeypatch.setattr(os, "open", None)  # calling it would raise TypeError
    read, write = os.pipe()
    try:
        assert "no file of the user" in refused(slot_of(read), caplog)
    finally:
        os.close(read)
        os.close(write)


def test_another_hosts_process_or_descriptor_is_not_to_be_had(caplog):
    assert "No such file" in refused(slot_of(9_999_999), caplog)
    assert "No such file" in refused(slot_of(0, process=2**31 - 1), caplog)


def test_behind_the_end_there_is_nothing_to_write_to(make_file):
    slot = make_file()
    writer = SlotWriter(allowed=True)
    for offset in (SIZE - SIZE % 64 + 64, 2**31 - 64):
        content = writer.find(request(slot_of(slot.descriptor, offset=offset)))
        assert content is not None
        assert len(content) == 0


def test_only_the_newest_file_is_kept_and_none_of_who_has_gone(make_file):
    writer = SlotWriter(allowed=True)
    first, second = make_file(), make_file(token=TOKEN + 1)
    second = slot_of(second.descriptor, token=TOKEN + 1)
    mapped = []
    for slot in (first, second):
        assert writer.find(request(slot)) is not None
        mapped.append(count_mapped())
    assert mapped == [1, 1]
    writer.forget()
    assert (writer.sharing, count_mapped()) == (False, 0)
    assert writer.find(request(first)) is not None, "whoever comes back is welcome"


def count_mapped():
    return Path("/proc/self/maps").read_text().count("memfd:test")


def test_a_writer_outlives_the_client_that_it_writes_to():
    shared = SharedSlots(True, batch_bytes=1, slot_bytes=100, requests_in_flight=1)
    writer = SlotWriter(allowed=True)
    slot = shared.take()
    content = writer.find(request(slot))
    shared.close()
    assert content is not None
    content[:] = 1  # it is nobody's any more; the pages go with the last mapping
    assert np.all(content == 1)
    assert len(content) >= mmap.PAGESIZE
