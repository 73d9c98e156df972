"""How roles do, in a line each: with a mark, and with words for what is wrong."""

from dataclasses import replace

import msgspec
import pytest

from tests.launch.views import collector, evaluator, starting, status, training
from zdqn.launch.lines import UNICODE, text_of
from zdqn.launch.role_lines import draw_roles, role_lines
from zdqn.wire.status import MemoryOfLearner, MemoryStatistics, RunStatus


def said(view, role):
    (line,) = [line for line in role_lines(view) if role in line.name]
    return line.name, line.health, ", ".join(part.text for part in line.parts if part.text)


@pytest.mark.parametrize(
    ("rows", "name", "health", "text"),
    [
        ((collector(0), collector(1)), "2 collectors", "good", "3,000 steps/s"),
        ((collector(0),), "1 of 2 collectors", "good", "1,501 steps/s"),
        ((collector(0), collector(1, last_seen_s=4.2)), "2 collectors", "odd",
         "collector-1 silent for 4 s, 3,000"),
        ((collector(0), collector(1, state="silent", last_seen_s=70.0)), "1 of 2 collectors",
         "odd", "collector-1 silent for 1:10 min, 1,501"),
        ((collector(0), collector(1, state="gone")), "1 of 2 collectors", "odd",
         "collector-1 has gone, 1,501 steps/s"),
        ((collector(0, state="gone"), collector(1, state="gone")), "0 of 2 collectors", "bad",
         "collector-0 has gone, collector-1 has gone"),
        (tuple(collector(i, state="gone") for i in range(5)), "0 of 2 collectors", "bad",
         "collector-0 has gone, collector-1 has gone, and 3 more"),
        ((evaluator(),), "0 of 2 collectors", "waits", "starting"),
        (tuple(collector(i) for i in range(3)), "3 collectors", "good", "3,000 steps/s"),
    ],
)  # fmt: skip
def test_collectors(rows, name, health, text):
    line = said(training(*rows), "collector")
    assert line[:2] == (name, health)
    assert line[2].startswith(text)


def test_collectors_that_have_not_begun():
    row = {"role": "collector", "name": "collector-0", "state": "living"}
    view = training(row, row | {"name": "collector-1"}, rates={})
    assert said(view, "collector") == ("2 collectors", "waits", "starting")


def test_a_collector_that_nobody_holds_back_and_that_takes_no_step_stands_still():
    rates = {"steps of collector-0": 0.0, "blocked of collector-0": 0.1}
    assert said(training(collector(0), rates=rates), "collector")[1:] == (
        "odd", "collector-0 stands still, 0 steps/s, epsilon 0.04, held back 10 % of the time"
    )  # fmt: skip
    held_back = rates | {"blocked of collector-0": 1.0}
    assert said(training(collector(0), rates=held_back), "collector")[1] == "good"


def test_a_collector_that_tells_of_a_step_that_does_not_come_back():
    hangs = training(collector(0, idle_s=10.0), collector(1, idle_s=9.9))
    assert said(hangs, "collector")[1:] == (
        "odd", "collector-0 stalled for 10 s, after 9,000 environment steps, 3,000 steps/s, "
        "epsilon 0.04, held back 86 % of the time"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("view", "health", "text"),
    [
        (starting(), "waits", "starting"),
        (starting(learner=status("loading torch", updates=0), silent_s=20.0), "waits",
         "loading torch"),
        (starting(learner=status("waiting for a collector", updates=0)), "waits",
         "waits for a collector"),
        (training(learner=status(updates=0), memory=MemoryStatistics(size=999)), "waits",
         "waits for the memory to fill"),
        (training(learner=status(updates=0)), "good", "begins to learn"),
        (training(), "good", "9,100 updates, 1,500/s, loss 0.0123, data 12.5 versions old"),
        (training(silent_s=7.0), "odd", "has not answered for 7 s"),
        (training(rates={"updates": 0.0}), "odd", "stands still, 9,100 updates"),
        (training(learner=status("waiting for evaluations")), "good",
         "waits for the last evaluations, 9,100 updates"),
        (training(learner=status("a later version's")), "good", "a later version's"),
    ],
)  # fmt: skip
def test_learner(view, health, text):
    line = said(view, "learner")
    assert line[1] == health
    assert line[2].startswith(text)


@pytest.mark.parametrize(
    ("memory", "health", "text"),
    [
        (None, "waits", "starting"),
        (MemoryStatistics(size=7, capacity=9), "good", "7 of 9 transitions"),
        (MemoryStatistics(size=1), "good", "1 transition"),
        (MemoryStatistics(size=7, capacity=9, blocks_lost=1, blocks_refused=2), "odd",
         "7 of 9 transitions, 1 block lost, 2 blocks refused"),
    ],
)  # fmt: skip
def test_memory(memory, health, text):
    assert said(training(memory=memory), "memory") == ("memory", health, text)


def test_a_memory_that_fills_says_what_for():
    view = training(memory=MemoryStatistics(size=640), learner=status(updates=0))
    assert said(view, "memory")[2] == "640 of the 1,000 transitions that learning needs"


def test_evaluators():
    assert said(training(), "evaluator") == (
        "1 evaluator", "good", "14 evaluations, waiting for a snapshot"
    )  # fmt: skip
    waiting = training(evaluator(doing="evaluating snapshot 3"), learner=status(unevaluated=2))
    assert said(waiting, "evaluator")[2] == "14 evaluations, 2 to come, evaluating snapshot 3"
    long = training(evaluator(doing="evaluating snapshot 3", doing_s=61.0))
    assert said(long, "evaluator")[2].endswith(", evaluating snapshot 3 for 1:01 min")
    idle = training(evaluator(doing_s=61.0))
    assert said(idle, "evaluator")[2].endswith(", waiting for a snapshot")
    assert said(training(evaluator(evaluations=2)), "evaluator")[2].startswith("6 evaluations")
    gone = training(evaluator(state="gone"))
    assert said(gone, "evaluator")[:2] == ("0 of 1 evaluator", "bad")


def test_an_evaluator_whose_environment_hangs():
    hangs = training(evaluator(doing="evaluating snapshot 3", idle_s=12.0, environment_steps=40))
    assert said(hangs, "evaluator")[1:] == (
        "odd", "evaluator-0 stalled for 12 s, evaluating snapshot 3, after 40 environment steps, "
        "14 evaluations, evaluating snapshot 3"
    )  # fmt: skip


def test_a_learner_whose_training_thread_hangs():
    told = status()
    stalled = RunStatus(phase="training", stalled_s=75.0, last_did="in an update, after 9 updates")
    view = training(learner=msgspec.structs.replace(told, run=stalled))
    assert said(view, "learner")[1:] == (
        "odd", "stalled for 1:15 min, in an update, after 9 updates, its training thread does not "
        "go on"
    )  # fmt: skip


@pytest.mark.parametrize(("silent_s", "health"), [(2.9, "good"), (12.0, "odd")])
def test_a_memory_that_does_not_answer_its_learner(silent_s, health):
    view = training(memory=MemoryOfLearner(size=640, silent_s=silent_s))
    line = said(view, "memory")
    assert line[1] == health
    assert ("has not answered for 12 s, 640 transitions" in line[2]) == (health == "odd")
    still = replace(view, rates={"updates": 0.0})
    words = "waits for the memory" if health == "odd" else "stands still"
    assert said(still, "learner")[2].startswith(f"{words}, 9,100 updates")


def test_no_internal_word_is_said():
    for view in (starting(), training()):
        text = " ".join(part.text for line in role_lines(view) for part in line.parts)
        assert not {"_", "True", "False", "None"} & set(text.split())
        assert "_" not in text


def test_a_line_has_room_for_its_name_at_least():
    lines = draw_roles(role_lines(training()), 14, UNICODE)
    names = [text_of(line) for line in lines]
    assert names == ["learner", "memory", "2 collectors", "1 evaluator"]
