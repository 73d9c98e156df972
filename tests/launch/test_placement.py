"""Where the processes of a run are, and what each is told; on this machine."""

from zdqn.config import Config
from zdqn.launch.placement import ThisMachine
from zdqn.launch.plan import RunArguments


def test_all_are_here_and_wait_for_whom_they_need(tmp_path):
    placement = ThisMachine(Config(), RunArguments(run_directory=tmp_path))
    memory, learner, *_ = placement.processes()
    assert placement.directory == tmp_path
    assert placement.config.memory.bind == "tcp://127.0.0.1:0"
    told = placement.assignment(memory, {}, "info")
    assert told is not None
    assert not told.elsewhere
    assert placement.assignment(learner, {}, "info") is None
    addresses = {"samples": "tcp://127.0.0.1:7"}
    assert placement.reachable(memory, addresses) == addresses
    told = placement.assignment(learner, {"memory": addresses}, "debug")
    assert told is not None
    assert (told.arguments["memory"], told.log_level) == ("tcp://127.0.0.1:7", "debug")
