import signal

import pytest

from zdqn.launch.handled_signals import handled

NUMBERS = (signal.SIGUSR1, signal.SIGUSR2)


def test_signals_are_handled_and_then_as_they_were_however_it_ends():
    came: list[int] = []
    before = [signal.getsignal(number) for number in NUMBERS]

    def work():
        with handled(*NUMBERS, by=lambda number, _: came.append(number)):
            for number in NUMBERS:
                signal.raise_signal(number)
            raise ValueError("an end")

    with pytest.raises(ValueError, match="an end"):
        work()
    assert came == list(NUMBERS)
    assert [signal.getsignal(number) for number in NUMBERS] == before
