import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zdqn.rl.replay_arrays import allocate_in_ram
from zdqn.rl.row_checks import RowChecks

SALTS = np.arange(10, 14, dtype=np.uint64)


def checked(row_bytes, seed=0):
    rows = np.random.default_rng(seed).integers(0, 256, (4, row_bytes), np.uint8)
    checks = RowChecks("checks", 8, row_bytes, allocate_in_ram)
    checks.write(slice(2, 6), rows, SALTS)
    return checks, rows


@pytest.mark.parametrize("row_bytes", [1, 3, 6, 12, 16, 7056])
def test_rows_as_they_were_written_agree(row_bytes):
    checks, rows = checked(row_bytes)
    assert checks.agree(slice(2, 6), rows, SALTS).all()
    assert checks.nbytes == 64


@given(
    row_bytes=st.sampled_from([1, 3, 6, 12, 16, 100]),
    row=st.integers(0, 3),
    where=st.integers(0, 10**6),
    bit=st.integers(0, 7),
)
def test_a_flipped_bit_shows_in_its_row_and_in_no_other(row_bytes, row, where, bit):
    checks, rows = checked(row_bytes)
    rows[row, where % row_bytes] ^= 1 << bit
    agree = checks.agree(slice(2, 6), rows, SALTS)
    assert agree.tolist() == [number != row for number in range(4)]


def test_rows_that_are_whole_but_of_another_place_or_order_do_not_agree():
    checks, rows = checked(16)
    assert not checks.agree(slice(2, 6), rows, SALTS + np.uint64(1)).any()
    assert not checks.agree(slice(2, 6), rows[::-1].copy(), SALTS).any()
    swapped = rows.reshape(4, 2, 8)[:, ::-1].reshape(4, 16).copy()  # two words of each
    assert not checks.agree(slice(2, 6), swapped, SALTS).any()


def test_rows_that_nobody_wrote_do_not_agree():
    checks = RowChecks("checks", 8, 16, allocate_in_ram)
    assert not checks.agree(slice(0, 8), np.zeros((8, 2)), np.arange(8, dtype=np.uint64)).any()


def test_the_check_of_a_row_is_the_same_for_ever():
    """Files outlive versions of zdqn and of NumPy."""
    array = np.zeros(1, np.uint64)
    checks = RowChecks("c", 1, 8, lambda *_: array)
    checks.write(slice(0, 1), np.array([[1]], np.uint64), np.array([0], np.uint64))
    assert array.tolist() == [(0xE220A8397B1DCDAF + 0xD6E8FEB86659FD93) % 2**64]
