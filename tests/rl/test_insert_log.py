from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from zdqn.rl import insert_log
from zdqn.rl.insert_log import Insert, InsertLog
from zdqn.rl.replay_arrays import allocate_in_ram


def insert(number, note=b""):
    return Insert(number, number + 3, 1, 7, 4, 0, 2, note)


class Kept(dict[str, Any]):
    """Arrays that outlive who asked for them."""

    def __call__(self, name, shape, dtype):
        return self.setdefault(name, allocate_in_ram(name, shape, dtype))


def read_all(log, position):
    found = []
    while (entry := log.read(position)) is not None:
        found.append(entry)
        position = log.after(position, entry)
    return found


@given(st.lists(st.binary(max_size=900), max_size=40))
@settings(max_examples=50)
def test_what_was_written_is_read_by_whoever_opens_the_array(notes):
    arrays = Kept()
    log = InsertLog(arrays)
    written = [insert(number, note) for number, note in enumerate(notes)]
    for entry in written:
        log.append(entry)
    again = InsertLog(arrays)
    assert read_all(again, 0) == written
    assert again.nbytes == insert_log.SLOTS * 64


def test_a_ring_that_wraps_gives_the_newest_and_nothing_of_what_it_has_overwritten(monkeypatch):
    monkeypatch.setattr(insert_log, "SLOTS", 16)
    log = InsertLog(allocate_in_ram)
    positions = []
    for number in range(30):
        positions.append(log.end)
        log.append(insert(number, bytes([number]) * 100))
    assert log.read(positions[0]) is None
    newest = [insert(number, bytes([number]) * 100) for number in (26, 27, 28, 29)]
    assert read_all(log, positions[26]) == newest


@given(where=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_an_entry_with_a_changed_bit_never_was(where, bit):
    arrays = Kept()
    log = InsertLog(arrays)
    log.append(insert(1, b"a note that is longer than what is left of a slot" * 2))
    used = 60 + 98
    log._array[where % used] ^= np.uint8(1 << bit)
    assert log.read(0) is None


def test_an_empty_log_has_no_entries():
    assert InsertLog(allocate_in_ram).read(0) is None
