"""The plan of a local run is plain data."""

import sys
from itertools import product
from pathlib import Path

import pytest

from zdqn.config import Config, LaunchSection, LearnerSection, MemorySection, StopSection
from zdqn.launch.plan import (
    OUTCOMES,
    Consequence,
    Ending,
    LastWord,
    PlannedProcess,
    RunArguments,
    consequence,
    describe_exit,
    ending_of,
    is_needed,
    plan_processes,
    restart_delay_s,
    role_arguments,
    with_free_ports,
    without_goal,
)

GIVEN = RunArguments(
    run_directory=Path("r"),
    environment=dict,
    network=list,
    resume=Path("old"),
    overwrite=True,
    insecure=True,
)
ENDPOINTS = {
    "memory": {"samples": "tcp://m:2", "transitions": "tcp://m:1"},
    "learner": {"model": "tcp://l:2", "weights": "tcp://l:1"},
}


def test_the_processes_of_a_run():
    names = [planned.name for planned in plan_processes(Config(launch=LaunchSection(collectors=2)))]
    assert names == ["memory", "learner", "collector-0", "collector-1", "evaluator-0"]


def test_a_run_without_evaluators():
    config = Config(launch=LaunchSection(collectors=1, evaluators=0))
    assert [planned.role for planned in plan_processes(config)] == [
        "memory", "learner", "collector",
    ]  # fmt: skip


def test_the_command_holds_no_secrets_and_no_arguments():
    argv = PlannedProcess("collector", "collector-3").argv()
    assert argv == [sys.executable, "-P", "-m", "zdqn.launch", "collector", "collector-3"]


def test_default_addresses_become_free_ports():
    config = with_free_ports(Config())
    assert config.memory.bind == config.learner.bind == "tcp://127.0.0.1:0"


def test_addresses_that_were_chosen_stay():
    chosen = Config(
        memory=MemorySection(bind="tcp://127.0.0.1:7000"),
        learner=LearnerSection(bind="ipc:///tmp/l"),
    )
    assert with_free_ports(chosen) == chosen


@pytest.mark.parametrize(
    ("role", "endpoints", "expected"),
    [
        ("memory", {}, {"bind": None, "insecure": True, "run_directory": Path("r")}),
        (
            "memory",
            ENDPOINTS,
            {"bind": "tcp://m:2", "insecure": True, "run_directory": Path("r")},
        ),
        ("learner", {}, None),
        (
            "learner",
            {"memory": ENDPOINTS["memory"]},
            {
                "memory": "tcp://m:2",
                "bind": None,
                "run_directory": Path("r"),
                "network": list,
                "resume": Path("old"),
                "overwrite": True,
                "insecure": True,
                "evaluators_come": True,
            },
        ),
        ("collector", {"memory": ENDPOINTS["memory"]}, None),
        (
            "collector",
            ENDPOINTS,
            {
                "learner": "tcp://l:2",
                "memory": "tcp://m:2",
                "environment": dict,
                "network": list,
                "name": "it",
            },
        ),
        ("evaluator", {"memory": ENDPOINTS["memory"]}, None),
        (
            "evaluator",
            ENDPOINTS,
            {"learner": "tcp://l:2", "environment": dict, "network": list, "name": "it"},
        ),
    ],
)
def test_a_role_waits_for_the_addresses_it_needs(role, endpoints, expected):
    assert role_arguments(PlannedProcess(role, "it"), GIVEN, endpoints) == expected


def test_a_learner_that_is_started_again_takes_its_place_and_goes_on_with_the_run():
    again = role_arguments(PlannedProcess("learner", "learner"), GIVEN.gone_on(), ENDPOINTS)
    assert again is not None
    assert (again["bind"], again["resume"], again["overwrite"]) == ("tcp://l:2", Path("r"), False)


CLEANLY = LastWord("SIGTERM")
OVER = LastWord("", "updates")
RESTART, GO_ON, END, FAIL, NOTHING = (
    Consequence.RESTART, Consequence.GO_ON, Consequence.END, Consequence.FAIL, Consequence.NOTHING,
)  # fmt: skip


@pytest.mark.parametrize(
    ("exit_code", "word", "ending"),
    [
        (0, OVER, Ending.OVER),
        (0, LastWord(), Ending.OVER),
        (0, CLEANLY, Ending.SIGNALLED),
        (0, None, Ending.CURABLE),
        *((code, None, Ending.CURABLE) for code in (69, 70, 74, 75, -9, -11, -15, 130, 137, 143)),
        *((code, CLEANLY, Ending.CURABLE) for code in (70, -9)),  # a signal, and then it broke
        *((code, None, Ending.INCURABLE) for code in (1, 2, 73, 76, 77, 78, 127, 128, 255)),
    ],
)
def test_how_an_end_is_judged(exit_code, word, ending):
    assert ending_of(exit_code, word) is ending
    assert ending_of(exit_code, word, lost=True) is Ending.LOST


TABLE = {
    # what follows: while restarts are left; when none is, if it is needed, and if it is not
    ("learner", Ending.OVER): (END, END, END),
    ("learner", Ending.SIGNALLED): (END, END, END),
    ("learner", Ending.CURABLE): (FAIL, FAIL, FAIL),
    ("learner", Ending.INCURABLE): (FAIL, FAIL, FAIL),
    ("learner", Ending.LOST): (RESTART, FAIL, FAIL),
    ("memory", Ending.OVER): (END, END, END),
    ("memory", Ending.SIGNALLED): (RESTART, FAIL, FAIL),
    ("memory", Ending.CURABLE): (RESTART, FAIL, FAIL),
    ("memory", Ending.INCURABLE): (FAIL, FAIL, FAIL),
    ("memory", Ending.LOST): (RESTART, FAIL, FAIL),
    ("collector", Ending.OVER): (NOTHING, NOTHING, NOTHING),
    ("collector", Ending.SIGNALLED): (RESTART, FAIL, GO_ON),
    ("collector", Ending.CURABLE): (RESTART, FAIL, GO_ON),
    ("collector", Ending.INCURABLE): (FAIL, FAIL, GO_ON),
    ("collector", Ending.LOST): (RESTART, FAIL, GO_ON),
    ("evaluator", Ending.OVER): (NOTHING, NOTHING, NOTHING),
    ("evaluator", Ending.SIGNALLED): (RESTART, FAIL, GO_ON),
    ("evaluator", Ending.CURABLE): (RESTART, FAIL, GO_ON),
    ("evaluator", Ending.INCURABLE): (FAIL, FAIL, GO_ON),
    ("evaluator", Ending.LOST): (RESTART, FAIL, GO_ON),
}


@pytest.mark.parametrize(("role", "ending"), TABLE)
def test_what_follows_from_each_end_while_nobody_has_asked_for_it(role, ending):
    given = [
        consequence(role, ending, restarts_left=left, needed=needed, asked=False)
        for left, needed in ((True, True), (False, True), (False, False))
    ]
    assert tuple(given) == TABLE[role, ending]


def test_the_table_is_whole():
    roles = {planned.role for planned in plan_processes(Config())}
    assert set(TABLE) == set(product(roles, Ending))
    assert {role: set(choices) for role, choices in OUTCOMES.items()} == {
        role: set(Ending) for role in roles
    }


@pytest.mark.parametrize(("role", "ending"), TABLE)
@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("needed", [True, False])
def test_once_the_run_is_to_end_nothing_but_the_learners_end_counts(role, ending, left, needed):
    given = consequence(role, ending, restarts_left=left, needed=needed, asked=True)
    assert given is (TABLE[role, ending][1] if role == "learner" else NOTHING)


@pytest.mark.parametrize(("role", "ending"), TABLE)
def test_no_end_is_passed_over_in_silence_but_one_that_was_told(role, ending):
    assert (NOTHING in TABLE[role, ending]) == (
        ending is Ending.OVER and role in ("collector", "evaluator")
    )


GOAL = StopSection(evaluation_return=9.0)


@pytest.mark.parametrize(
    ("role", "others", "stop", "needed"),
    [
        ("memory", 0, StopSection(), True),
        ("learner", 0, StopSection(), True),
        ("collector", 0, StopSection(), True),
        ("collector", 1, StopSection(), False),
        ("evaluator", 0, StopSection(), False),
        ("evaluator", 0, GOAL, True),
        ("evaluator", 0, StopSection(evaluation_return=0.0), True),
        ("evaluator", 1, GOAL, False),
        ("evaluator", 0, StopSection(evaluation_return=9.0, wall_s=0.5), False),
        ("evaluator", 0, StopSection(evaluation_return=9.0, episodes=1), False),
    ],
)
def test_what_a_run_cannot_do_without(role, others, stop, needed):
    assert is_needed(role, others, stop) is needed


def test_who_goes_on_without_a_goal_is_told():
    both = StopSection(evaluation_return=9.0, updates=7, wall_s=1.0)
    assert without_goal("evaluator", 0, both).endswith("only stop.updates or stop.wall_s ends it")
    assert without_goal("evaluator", 1, both) == ""
    assert without_goal("collector", 0, both) == ""
    assert without_goal("evaluator", 0, StopSection(updates=7)) == ""


def test_restarts_come_slower_and_slower():
    delays = [restart_delay_s(restarts) for restarts in range(8)]
    assert delays == [0, 1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize(
    ("exit_code", "word", "text"),
    [
        (70, None, "ended with exit code 70"),
        (143, None, "ended with exit code 143 (SIGTERM)"),
        (-9, None, "ended with SIGKILL"),
        (-99, None, "ended with signal 99"),
        (0, OVER, "ended with exit code 0"),
        (0, CLEANLY, "was told to end by SIGTERM, and did (exit code 0)"),
        (0, None, "ended with exit code 0 in the middle of the run, which nobody had asked for"),
    ],
)
def test_how_a_process_ended(exit_code, word, text):
    assert describe_exit(exit_code, word) == text
