import numpy as np
import pytest

from zdqn.errors import ConfigError
from zdqn.rl.schedules import LinearSchedule, ladder_epsilons


def test_a_line_from_one_value_to_the_other():
    schedule = LinearSchedule(initial=1.0, final=0.1, duration=10)
    assert schedule(0) == 1.0
    assert schedule(5) == pytest.approx(0.55)
    assert schedule(10) == 0.1
    assert schedule(10**12) == 0.1
    assert LinearSchedule(0.4, 1.0, 4)(1) == pytest.approx(0.55)


def test_no_duration_is_the_final_value_at_once():
    assert LinearSchedule(1.0, 0.1, 0)(0) == 0.1


def test_a_negative_duration_is_refused():
    with pytest.raises(ConfigError, match="duration -1"):
        LinearSchedule(1.0, 0.1, -1)


def test_a_schedule_cannot_be_changed():
    with pytest.raises(AttributeError):
        LinearSchedule(1.0, 0.1, 5).final = 0.2  # type: ignore[misc]


def test_the_ladder_is_the_formula_of_ape_x():
    epsilons = ladder_epsilons(5, base=0.4, exponent=7.0)
    expected = [0.4 ** (1 + i / 4 * 7) for i in range(5)]
    np.testing.assert_allclose(epsilons, expected, rtol=1e-14)
    assert epsilons.dtype == np.float64
    assert epsilons[0] == 0.4
    assert epsilons[-1] == pytest.approx(0.4**8)


def test_the_ends_of_the_ladder():
    assert ladder_epsilons(1, base=0.4, exponent=7.0).tolist() == [0.4]
    assert ladder_epsilons(3, base=0.4, exponent=0.0).tolist() == [0.4] * 3
    assert ladder_epsilons(2, base=0.0, exponent=7.0).tolist() == [0.0, 0.0]
    with pytest.raises(ConfigError, match="0 actors"):
        ladder_epsilons(0, base=0.4, exponent=7.0)
