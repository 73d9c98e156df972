"""Functions of the user's: told, and named when they raise."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from zdqn.errors import CallbackFailedError
from zdqn.records.callbacks import Callbacks, call


def test_who_is_there_is_told_and_who_is_not_is_not_missed():
    assert call("on_episode", lambda *words: words, 1, 2) == (1, 2)
    assert call("on_episode", None, 3) is None


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


TOLD = {
    "on_update": ("add_updates", 5),
    "on_metrics": ("add_metrics", "a row"),
    "on_evaluation": ("add_evaluation", "scores"),
    "on_checkpoint": ("add_checkpoint", Path("here")),
}


@pytest.mark.parametrize("name", TOLD)
def test_each_function_is_told_of_its_own_and_of_nothing_else(name):
    told: list[Any] = []
    sink = Callbacks(**cast("Any", {name: told.append}))
    for method, what in TOLD.values():
        getattr(sink, method)(what)
    assert told == [TOLD[name][1]]


@pytest.mark.parametrize("name", TOLD)
def test_what_it_raises_is_in_its_name(name):
    def fail(what):
        raise ValueError("no such light")

    method, what = TOLD[name]
    with pytest.raises(CallbackFailedError, match=f"given as {name} raised ValueError"):
        getattr(Callbacks(**cast("Any", {name: fail})), method)(what)


@pytest.mark.parametrize("name", TOLD)
def test_false_ends_a_training_and_nothing_else_does(name):
    method, what = TOLD[name]

    def ends(answer):
        sink = Callbacks(**cast("Any", {name: lambda what: answer}))
        return getattr(sink, method)(what) is False

    others: list[Any] = [True, None, 0, 0.0, "", [], np.True_]
    assert ends(False)
    assert ends(np.False_)
    assert [answer for answer in others if ends(answer)] == []
    assert getattr(Callbacks(), method)(what) is None
