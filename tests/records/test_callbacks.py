"""Functions of the user's: told, and named when they raise."""

import pytest

from zdqn.errors import CallbackFailedError
from zdqn.records.callbacks import call


def test_who_is_there_is_told_and_who_is_not_is_not_missed():
    told = []
    call("on_episode", lambda *words: told.append(words), 1, 2)
    call("on_episode", None, 3)
    assert told == [(1, 2)]


def test_what_it_raises_is_named_as_the_users_with_its_cause():
    def fail(_):
        raise ZeroDivisionError("no such light")

    with pytest.raises(
        CallbackFailedError, match=r"given as on_light raised ZeroDivisionError: no such light\."
    ) as raised:
        call("on_light", fail, 1)
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_ctrl_c_in_it_stays_what_it_is():
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call("on_light", interrupt)
