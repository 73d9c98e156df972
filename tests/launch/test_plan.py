"""The plan of a local run is plain data."""

import sys
from pathlib import Path

import pytest

from zdqn.config import Config, LaunchSection, LearnerSection, MemorySection
from zdqn.launch.plan import (
    PlannedProcess,
    RunArguments,
    describe_exit,
    may_restart,
    plan_processes,
    restart_delay_s,
    role_arguments,
    with_free_ports,
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
    assert argv == [sys.executable, "-m", "zdqn.launch", "collector", "collector-3"]


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
        ("memory", {}, {"bind": None, "insecure": True}),
        ("memory", ENDPOINTS, {"bind": "tcp://m:2", "insecure": True}),
        ("learner", {}, None),
        (
            "learner",
            {"memory": ENDPOINTS["memory"]},
            {
                "memory": "tcp://m:2",
                "run_directory": Path("r"),
                "network": list,
                "resume": Path("old"),
                "overwrite": True,
                "insecure": True,
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


@pytest.mark.parametrize("exit_code", [69, 70, 74, 75, -9, -11, -15])
def test_what_can_be_cured_is_started_again(exit_code):
    assert may_restart(exit_code, restarts=2, max_restarts=3)
    assert not may_restart(exit_code, restarts=3, max_restarts=3)
    assert not may_restart(exit_code, restarts=0, max_restarts=0)


@pytest.mark.parametrize("exit_code", [0, 1, 2, 73, 76, 77, 78])
def test_what_would_fail_again_is_not(exit_code):
    assert not may_restart(exit_code, restarts=0, max_restarts=3)


def test_restarts_come_slower_and_slower():
    delays = [restart_delay_s(restarts) for restarts in range(8)]
    assert delays == [0, 1, 2, 4, 8, 16, 30, 30]


def test_how_a_process_ended():
    assert describe_exit(70, {}) == "exit code 70"
    assert describe_exit(-9, {9: "SIGKILL"}) == "SIGKILL"
    assert describe_exit(-99, {}) == "signal 99"
