"""Two runs that may go on at once have a port for Prometheus each, or are refused."""

import pytest

from tests.experiments.studies.made_studies import make_plan, make_study
from zdqn.errors import ConfigError
from zdqn.experiments.studies.study_entry import carry_out
from zdqn.experiments.studies.study_folder import StudyFiles
from zdqn.experiments.studies.study_ports import check_ports
from zdqn.stopping import StopEvent

FIXED = ("sinks.prometheus=127.0.0.1:9464",)


def test_one_port_for_several_is_refused_with_its_key_and_the_ways_out(tmp_path):
    plan = make_plan(overrides=FIXED)
    with pytest.raises(ConfigError) as refused:
        carry_out(plan, tmp_path / "s", jobs=2, stop=StopEvent())
    text = str(refused.value)
    assert text.startswith("sinks.prometheus is '127.0.0.1:9464', and 2 runs would be trained")
    assert "a/seed-0, b/seed-0 and 2 more would listen on port 9464" in text
    assert "--set sinks.prometheus=127.0.0.1:0" in text
    assert "--jobs 1" in text
    assert not (tmp_path / "s").exists(), "nothing has begun"


@pytest.mark.parametrize(
    ("place", "jobs", "names", "seeds"),
    [
        ("127.0.0.1:9464", 1, ("a", "b"), (0, 1)),
        ("127.0.0.1:0", 2, ("a", "b"), (0, 1)),
        ("", 2, ("a", "b"), (0, 1)),
        ("127.0.0.1:9464", 2, ("a",), (0,)),
    ],
)
def test_what_cannot_meet_is_taken(tmp_path, place, jobs, names, seeds):
    plan = make_plan(names, seeds, overrides=(f"sinks.prometheus={place}",))
    check_ports(plan, StudyFiles(tmp_path), jobs)


def test_runs_that_are_finished_listen_no_more(tmp_path):
    plan, files = make_study(tmp_path / "s", {"a": [[1], [2]], "b": [[3], None]}, overrides=FIXED)
    check_ports(plan, files, 2)


def test_what_is_no_place_is_named_before_anything_trains(tmp_path):
    plan = make_plan(overrides=("sinks.prometheus=localhost",))
    with pytest.raises(ConfigError, match=r"sinks\.prometheus is .*HOST:PORT"):
        carry_out(plan, tmp_path / "s", stop=StopEvent())
