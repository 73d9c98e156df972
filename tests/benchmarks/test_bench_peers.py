"""Other frameworks: found or left out, and how their figures are put beside ours."""

import re
import sys
from pathlib import Path

import pytest

from tests.benchmarks.tiny import TINY, quiet
from zdqn.benchmarks import bench_peers
from zdqn.benchmarks.measuring import Figure, Goal
from zdqn.benchmarks.subjects import seed_config
from zdqn.errors import ConfigError, RoleFailedError


def test_peers_that_are_not_installed_are_named(monkeypatch):
    monkeypatch.setattr(bench_peers, "find_python", lambda *_: None)
    result = bench_peers.measure(TINY, quiet)
    assert not result.figures
    named = [re.search(r"--\w+-python", note)[0] for note in result.notes]  # type: ignore[index]
    assert named == ["--sb3-python", "--sbx-python", "--reverb-python"]


def test_peers_beside_zdqn(monkeypatch):
    """All measurements are stood in for: this is how they are put together."""
    rates = {"insert.vector": 10.0, "sample.vector.32": 20.0, "insert.image": 3.0}
    answers = {
        "sb3_script": {"environment_steps_per_s": 100.0, "updates_per_s": 50.0},
        "reverb_script": rates,
    }
    asked = []

    def run_script(_, script, *words):
        asked.append(words)
        return answers[Path(script).stem], 1.0

    monkeypatch.setattr(bench_peers, "run_script", run_script)
    monkeypatch.setattr(bench_peers, "make_trainer", lambda *_: None)  # it would compile
    monkeypatch.setattr(bench_peers, "find_python", lambda *_: sys.executable)
    monkeypatch.setattr(bench_peers, "_run_steps_per_s", lambda *_: 400.0)
    monkeypatch.setattr(bench_peers, "_train_steps_per_s", lambda *_: 200.0)
    monkeypatch.setattr(bench_peers, "FedTrainer", FakeTrainer)
    fake = Figure("ours", "", (60.0,))
    monkeypatch.setattr(bench_peers, "measure_memory", lambda *_: [fake])
    monkeypatch.setattr(
        bench_peers, "measure_subject", lambda *_, batch_sizes, requests: [fake] * len(batch_sizes)
    )
    figures = {figure.name: figure for figure in bench_peers.measure(TINY, quiet).figures}
    assert figures["peers.zdqn.run_to_sb3"].median == 4
    assert figures["peers.zdqn.updates_eager_to_sb3"].median == 3
    assert figures["peers.zdqn.updates_compiled_to_sb3"].goal == Goal(3.0)
    assert figures["peers.zdqn.updates_compiled_to_sbx"].median == 3
    assert figures["peers.zdqn.updates_compiled_to_sbx"].goal == Goal(0.7)
    assert figures["peers.zdqn.run_compiled_to_sbx"].median == 4
    assert {words[-1] for words in asked if words[0] == "update-only"} == {"sb3", "sbx"}
    assert figures["peers.zdqn.sample.vector.32_to_reverb"].median == 3
    for name in ("train", "train_compiled"):
        assert figures[f"peers.zdqn.{name}_to_sb3"].median == 2
        assert figures[f"peers.zdqn.{name}_to_sb3"].goal == Goal(3.0)
    assert figures["peers.zdqn.run_compiled_to_sb3"].goal == Goal(8.0)


@pytest.mark.slow
def test_zdqn_at_the_seeds_settings():
    config = seed_config(
        *bench_peers._RATIO, "collector.environments=8", "learner.report_period_s=0.1"
    )
    assert bench_peers._train_steps_per_s(config, 1000) > 0
    assert bench_peers._run_steps_per_s(config, 0.1) > 0


class FakeTrainer:
    """Stands in for a trainer that is fed by a memory."""

    def __init__(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def updates_per_s(self, _):
        return 150.0


def test_find_python():
    assert bench_peers.find_python("", "json") == sys.executable
    assert bench_peers.find_python("", "no_such_module") is None
    with pytest.raises(ConfigError, match="no Python interpreter"):
        bench_peers.find_python("/no/such/python", "json")


def test_a_script_that_prints_no_result_is_an_error(tmp_path):
    script = tmp_path / "peer.py"
    script.write_text(
        "import sys\nprint('warning')\nprint('{\"rate\": 3}' if sys.argv[1:] else '')"
    )
    assert bench_peers.run_script(sys.executable, str(script), "go")[0] == {"rate": 3}
    with pytest.raises(RoleFailedError, match="no result"):
        bench_peers.run_script(sys.executable, str(script))
