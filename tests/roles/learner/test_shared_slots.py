"""A learner's side of shared memory: what is offered, when it is offered again, and to whom."""

import gc
import logging
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from zdqn.roles.learner.shared_slots import SharedSlots
from zdqn.wire.memory_messages import MOST_SHARED_BYTES

WORTH = 32 * 1024


@pytest.fixture
def make():
    made = []

    def slots(setting=True, **changes):
        options = {"batch_bytes": WORTH, "slot_bytes": 5000, "requests_in_flight": 2, **changes}
        made.append(SharedSlots(setting, **options))
        return made[-1]

    yield slots
    for one in made:
        one.close()


def take_all(slots):
    taken = []
    while (slot := slots.take()) is not None:
        taken.append(slot)
    return taken


@pytest.mark.parametrize(
    ("setting", "batch_bytes", "offers"),
    [
        ("auto", WORTH, True),
        ("auto", WORTH - 1, False),
        (True, 1, True),
        (False, WORTH, False),
    ],
)
def test_every_setting_decides_what_is_offered(make, setting, batch_bytes, offers):
    assert (make(setting, batch_bytes=batch_bytes).take() is not None) == offers


def test_there_is_a_slot_for_each_request_and_two_for_replies_in_use(make):
    slots = make(requests_in_flight=3)
    taken = take_all(slots)
    assert len({slot.offset for slot in taken}) == len(taken) == 5
    starts = sorted(slot.offset for slot in taken)
    assert min(np.diff(starts)) >= 5000
    assert {slot.offset % 4096 for slot in taken} == {0}
    assert {slot.process for slot in taken} == {os.getpid()}
    slots.give_back(taken[2])
    assert slots.take() == taken[2]
    assert slots.take() is None


def test_no_more_is_shared_than_memories_take(make):
    taken = take_all(make(slot_bytes=60 * 1024**2, requests_in_flight=64))
    assert len(taken) == 4
    assert make(slot_bytes=MOST_SHARED_BYTES).take() is None


def test_a_slot_is_offered_again_only_when_nothing_refers_to_it(make):
    slots = make(requests_in_flight=1)
    first, *others = take_all(slots)
    content = slots.answered(first, shared=True)
    assert content is not None
    assert not content.flags.writeable
    part = content[64:128].view(np.float32).reshape(4, 4)[1:]
    del content
    gc.collect()
    assert slots.take() is None, "a part of it is still held"
    del part
    assert slots.take() == first
    assert len(others) == 2


def test_a_tensor_holds_its_slot_too(make):
    from zdqn.rl.weight_arrays import tensor_view

    slots = make(requests_in_flight=1)
    first, *_ = take_all(slots)
    content = slots.answered(first, shared=True)
    assert content is not None
    rows = tensor_view(content[:64].reshape(4, 16)).unbind()
    del content
    assert slots.take() is None
    del rows
    assert slots.take() == first


def test_nobody_can_cut_or_stretch_it(make):
    slot = make().take()
    nbytes = os.fstat(slot.descriptor).st_size
    assert os.fstat(slot.descriptor).st_blocks * 512 >= nbytes, "all of its pages are there"
    for size in (0, nbytes - 1, nbytes + 1):
        with pytest.raises(PermissionError):
            os.truncate(slot.descriptor, size)


@pytest.mark.parametrize(("setting", "level"), [(True, logging.WARNING), ("auto", logging.INFO)])
def test_a_memory_that_makes_no_use_of_it_is_offered_nothing_more(make, caplog, setting, level):
    slots = make(setting)
    one, two = slots.take(), slots.take()
    with caplog.at_level(logging.INFO):
        assert slots.answered(one, shared=False) is None
        assert slots.answered(two, shared=False) is None
    assert slots.take() is None
    (record,) = caplog.records
    assert record.levelno == level
    assert "frames of samples come over the socket: the memory made no use" in record.message
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(one.descriptor)


def test_a_new_connection_is_offered_new_memory_and_the_old_is_let_go(make, caplog):
    slots = make()
    old = slots.take()
    held = slots.answered(old, shared=True)
    assert slots.take() is not None
    slots.renew()
    new = slots.take()
    assert new.token != old.token
    slots.give_back(old)  # a late answer on the old connection takes nothing back
    assert slots.answered(old, shared=True) is None
    assert len(take_all(slots)) == 3
    assert held is not None
    assert not held.any(), "what was read is valid for as long as it is held"


def test_the_way_that_frames_go_is_said_when_it_changes(make, caplog):
    slots = make("auto")
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            slots.answered(slots.take(), shared=True)
        slots.renew()
        slots.answered(slots.take(), shared=True)
        slots.answered(slots.take(), shared=False)
        slots.renew()
        slots.answered(slots.take(), shared=True)
    shared = "frames of samples come through shared memory"
    assert [message.partition(":")[0] for message in caplog.messages] == [
        shared,
        "frames of samples come over the socket",
        shared,
    ]


def test_where_there_is_no_room_nothing_is_offered_and_nothing_is_left_open(
    make, caplog, monkeypatch
):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = set(Path("/proc/self/fd").iterdir())
    monkeypatch.setattr(os, "posix_fallocate", full)
    slots = make("auto")
    with caplog.at_level(logging.INFO):
        assert slots.take() is None
        assert slots.take() is None
    (message,) = caplog.messages
    assert "no memory can be shared with a memory" in message
    assert "No space left" in message
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_other_systems_than_linux_share_nothing(make, caplog, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert make(True).take() is None
    assert "only Linux has such memory" in caplog.text
