import numpy as np

from zdqn.rl.replay_arrays import allocate_in_ram


def test_arrays_in_ram_are_new_and_zero():
    first, second = (allocate_in_ram("same", (2, 3), np.dtype("uint8")) for _ in range(2))
    first[:] = 1
    assert first.shape == second.shape == (2, 3)
    assert second.dtype == np.uint8
    assert not second.any()
