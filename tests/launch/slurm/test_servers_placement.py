"""What the roles in the job of the servers are told."""

from pathlib import Path

import pytest

from tests.launch.slurm.plans import slurm_plan
from zdqn.launch.slurm.servers_placement import ServersPlacement
from zdqn.launch.slurm.slurm_record import SlurmRecord

MEMORY = {"memory": {"samples": "tcp://node1:4001", "transitions": "tcp://node1:4000"}}


def placement(directory, **changes):
    return ServersPlacement(SlurmRecord(slurm_plan(), Path("/"), **changes), directory)


def arguments_of(placed, name, endpoints):
    (process,) = (process for process in placed.processes() if process.name == name)
    told = placed.assignment(process, endpoints, "info")
    return told and told.arguments


def test_a_run_begins_anew_in_an_empty_folder(tmp_path):
    placed = placement(tmp_path)
    assert (placed.resume, placed.overwrite) == (None, False)
    assert [process.name for process in placed.processes()] == ["memory", "learner", "evaluator-0"]
    assert arguments_of(placed, "learner", {}) is None
    told = arguments_of(placed, "learner", MEMORY)
    assert (told["memory"], told["bind"], told["resume"], told["overwrite"]) == (
        "tcp://node1:4001", None, None, False,
    )  # fmt: skip


def test_one_that_was_started_before_goes_on_from_its_checkpoint(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "update-1.pt").touch()
    placed = placement(tmp_path)
    told = arguments_of(placed, "learner", MEMORY)
    assert told["resume"] == placed.resume == tmp_path
    assert not placed.overwrite


def test_one_that_was_killed_before_its_first_checkpoint_begins_anew(tmp_path):
    (tmp_path / "metrics.jsonl").touch()
    placed = placement(tmp_path)
    assert placed.resume is None
    assert placed.overwrite
    assert arguments_of(placed, "learner", MEMORY)["overwrite"]
    placed.go_on()
    assert not arguments_of(placed, "learner", MEMORY)["overwrite"]


def test_a_server_that_is_started_again_takes_its_port_on_every_interface(tmp_path):
    assert arguments_of(placement(tmp_path), "memory", MEMORY)["bind"] == "tcp://0.0.0.0:4001"


@pytest.mark.parametrize(("secure", "keys"), [(True, "keys"), (False, "")])
def test_keys_are_those_of_the_runs_folder(tmp_path, secure, keys):
    placed = placement(tmp_path, secure=secure)
    assert placed.config.security.keys == (str(tmp_path / keys) if keys else "")
    assert arguments_of(placed, "memory", {})["insecure"] != secure


def test_servers_tell_addresses_with_the_name_of_their_node(tmp_path):
    placed = placement(tmp_path)
    assert placed.reachable(placed.processes()[0], MEMORY["memory"]) == MEMORY["memory"]
