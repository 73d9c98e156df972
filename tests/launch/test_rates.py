"""Rates by the clock of who counts."""

from zdqn.launch.rates import Rates


def test_two_looks_make_a_rate_and_one_does_not():
    rates = Rates()
    rates.look("steps", 10.0, 100)
    assert rates.per_s() == {}
    rates.look("steps", 10.0, 500)  # the same moment: nothing new
    rates.look("steps", 12.0, 300)
    assert rates.per_s() == {"steps": 100.0}
    assert rates.knows("steps")
    assert not rates.knows("updates")


def test_it_looks_back_a_while_only():
    rates = Rates(window_s=10)
    for second in range(101):
        rates.look("steps", second, second * (1 if second <= 50 else 2))
    assert rates.per_s()["steps"] == 2
    for second in range(101, 120):
        rates.look("steps", second, 200)
    assert rates.per_s()["steps"] == 0


def test_a_start_of_its_own_is_looked_at_anew():
    rates = Rates()
    rates.look("steps", 100.0, 1_000)
    rates.look("steps", 101.0, 1_100)
    rates.look("steps", 1.0, 10)
    assert rates.per_s() == {}
    rates.look("steps", 2.0, 30)
    rates.look("steps", 3.0, 20)  # or only the count went back
    assert rates.per_s() == {}
