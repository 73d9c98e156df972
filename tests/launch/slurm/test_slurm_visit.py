"""A run of Slurm, seen from another terminal."""

import pytest

from tests.launch.slurm.plans import slurm_plan
from zdqn.errors import ConfigError, FileError, PeerUnavailableError, UsageError
from zdqn.launch.slurm import slurm_visit
from zdqn.launch.slurm.batch_files import RunPlace
from zdqn.launch.slurm.run_stage import RunStage, write_stage
from zdqn.launch.slurm.slurm_commands import QueuedJob
from zdqn.launch.slurm.slurm_entry import Submission, submit_run
from zdqn.launch.slurm.slurm_visit import SlurmVisit, describe_states

pytestmark = pytest.mark.usefixtures("unlooked")


@pytest.fixture
def visit(slurm, tmp_path, monkeypatch):
    monkeypatch.setattr(slurm_visit, "_TICK_S", 0.01)
    directory = tmp_path / "run"
    submit_run(slurm_plan(), Submission(RunPlace(directory, tmp_path)))
    slurm.write(calls=[])
    return SlurmVisit(directory, lambda line: None)


def jobs(visit):
    return [visit.record.jobs[name] for name in ("servers", "collectors-0", "collectors-3")]


def test_jobs_are_shown_with_how_far_the_run_is(visit, slurm, tmp_path):
    servers, first, second = jobs(visit)
    slurm.set_states("RUNNING", array=servers, node="n1")
    slurm.set_states("", array=second)
    write_stage(tmp_path / "run", RunStage("running", 2, node="n1"))
    assert visit.describe() == [
        "Slurm: the run is running, start 2 of its servers",
        f"  servers       job {servers}  RUNNING on n1 for 0:01",
        f"  collectors-0  job {first}  3 PENDING (Resources)",
        f"  collectors-3  job {second}  not in the queue any more",
    ]
    assert visit.living() == [f"job {servers}", *(f"job {first}_{task}" for task in range(3))]


def test_a_failure_says_why(visit, slurm, tmp_path):
    write_stage(tmp_path / "run", RunStage("failed", 1, "it broke", exit_code=70))
    assert visit.describe()[0] == "Slurm: the run is failed (it broke), start 1 of its servers"
    assert visit.ends() == {"servers": 70}


def test_logs_are_the_files_of_the_run(visit, tmp_path):
    (tmp_path / "run" / "logs" / "servers.log").write_text("a\nb\n")
    (tmp_path / "run" / "logs" / "learner.log").write_text("b\n")
    assert visit.log_names() == ["learner", "servers"]
    assert visit.main_logs() == ["servers"]  # in which the learner's lines are
    assert visit.read_log("servers", -1, 1)["piece"] == b"b\n"
    visit.collect()


@pytest.mark.parametrize(
    ("name", "job"),
    [("servers", "{0}"), ("collector-1", "{1}_1"), ("collector-4@n7", "{2}_4")],
)
def test_a_job_is_restarted_by_the_name_of_its_role(visit, slurm, name, job):
    slurm.set_states("RUNNING")
    number = job.format(*jobs(visit))
    assert number in visit.restart(name)
    assert slurm.called("scontrol") == [["requeue", number]]


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("memory", UsageError, "zdqn restart servers"),
        ("evaluator-0", UsageError, "in the job of the servers"),
        ("collector-9", UsageError, 'Did you mean "collector-'),
        ("collector-0", ConfigError, "pending"),
    ],
)
def test_what_cannot_be_restarted_is_refused_with_the_way_out(visit, name, kind, words):
    with pytest.raises(kind, match=words):
        visit.restart(name)


def test_collectors_are_added_while_the_servers_have_a_job(visit, slurm):
    assert visit.add("collectors=3").startswith("added collector-5 to collector-7, job ")
    assert visit.add("collectors=1").startswith("added collector-8, job ")
    slurm.set_states("", array=jobs(visit)[0])
    with pytest.raises(PeerUnavailableError, match="no more"):
        visit.add("collectors=3")


@pytest.mark.parametrize("text", ["collectors=0", "collectors=8@n1", "evaluators=1", "8"])
def test_other_additions_are_refused_with_the_way_out(visit, text):
    with pytest.raises(UsageError, match="collectors=COUNT"):
        visit.add(text)


def test_nodes_are_slurms_to_remove(visit):
    with pytest.raises(UsageError, match=f"scancel {jobs(visit)[1]}_0"):
        visit.remove("n1")


def test_all_jobs_are_cancelled_where_no_server_answers(visit, slurm):
    assert "cancelled" in visit.end_agents()
    assert slurm.jobs == []
    assert visit.wait_for_the_end(10)


def test_what_is_left_when_the_servers_have_ended_is_cancelled(visit, slurm):
    slurm.set_states("", array=jobs(visit)[0])
    assert visit.wait_for_the_end(10)
    assert slurm.called("scancel") == [jobs(visit)[1:]]


def test_servers_that_do_not_end_are_left_alone_and_not_waited_for_without_end(visit, slurm):
    assert not visit.wait_for_the_end(0.05)
    assert slurm.called("scancel") == []


def test_a_folder_that_is_none_is_named(tmp_path):
    with pytest.raises(FileError):
        SlurmVisit(tmp_path, lambda line: None)


def test_states_are_put_into_a_few_words():
    def job(state, reason="None", node=""):
        return QueuedJob("1", "1", "", state, node, "0:05", reason)

    assert describe_states([]) == "not in the queue any more"
    assert describe_states([job("PENDING", "(Priority)")]) == "PENDING (Priority)"
    assert describe_states([job("RUNNING", node="n")]) == "RUNNING on n for 0:05"
    two = [job("RUNNING", node="n"), job("RUNNING", node="m"), job("PENDING", "Resources")]
    assert describe_states(two) == "2 RUNNING, 1 PENDING (Resources)"
