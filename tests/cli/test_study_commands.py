"""`zdqn study`, `ablate` and `scale` make a plan, and say how it ended with words and a code."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.experiments.studies.made_studies import make_study
from zdqn.cli.application import application
from zdqn.experiments.studies.study_entry import StudyEnd
from zdqn.experiments.studies.study_outcomes import read_outcome

BASE = "[stop]\nenvironment_steps = 500\n"
STUDY = """
config = "base.toml"
seeds = [0, 1]
[[variants]]
name = "a"
[[variants]]
name = "b"
set = { algorithm.double = true }
"""


@pytest.fixture
def invoke(monkeypatch, tmp_path):
    """Run a command without its trainings; give the result and what was to be carried out."""
    monkeypatch.chdir(tmp_path)
    Path("base.toml").write_text(BASE)
    Path("two.toml").write_text(STUDY)
    calls = []

    def run(*words, end=None):
        plan, files = make_study(tmp_path / "over", {"a": [[1, 5]], "b": [[1, 9]]}, threshold=5.0)
        over = StudyEnd(read_outcome(plan, files), {}, files.results, stopped=False)

        def stand_in(plan, directory, *, jobs, stop):
            calls.append((plan, directory, jobs))
            if callable(end):
                return end(over, stop)
            return over

        monkeypatch.setattr("zdqn.experiments.studies.study_entry.carry_out", stand_in)
        return CliRunner().invoke(application, list(words)), calls

    return run


def test_a_study_goes_to_a_folder_of_its_name(invoke):
    result, ((plan, directory, jobs),) = invoke("study", "two.toml", "--jobs", "3")
    assert result.exit_code == 0, result.output
    assert [run.name for run in plan.runs()] == ["a/seed-0", "b/seed-0", "a/seed-1", "b/seed-1"]
    assert (directory, jobs) == (Path("studies/two"), 3)
    assert result.stdout.splitlines()[:2] == [
        "a  final return 5, 5 reached by 1 of 1", "b  final return 9, 5 reached by 1 of 1"
    ]  # fmt: skip
    assert "results.md" in result.stdout
    assert "study directory: studies/two" in result.stderr


def test_its_folder_and_its_values_may_be_others(invoke):
    _, ((plan, directory, jobs),) = invoke(
        "study", "two.toml", "--study-dir", "here", "--set", "stop.environment_steps=7"
    )
    assert (directory, jobs) == (Path("here"), None)
    assert {variant.config.stop.environment_steps for variant in plan.variants} == {7}


def test_a_dry_run_says_what_would_be_done(invoke):
    result, calls = invoke("study", "two.toml", "--dry-run", "--jobs", "2")
    assert result.exit_code == 0
    assert calls == []
    assert "two: 4 runs by zdqn train, 2 at once, in studies/two" in result.stdout
    assert "  b/seed-1" in result.stdout
    assert "| `algorithm.double` | false | true |" in result.stdout


def test_ablate(invoke):
    words = ("--set", "algorithm.double=true", "--seeds", "2", "--threshold", "3",
             "--final-evaluations", "4")  # fmt: skip
    _, ((plan, directory, _),) = invoke("ablate", "base.toml", *words)
    assert [v.name for v in plan.variants] == ["full", "no-replay", "no-target", "no-double"]
    assert (plan.command, plan.seeds, plan.threshold, plan.final_evaluations) == (
        "train", (0, 1), 3.0, 4
    )  # fmt: skip
    assert (plan.baseline, directory) == ("full", Path("studies/ablate-base"))


def test_ablate_without_some_parts_by_several_processes(invoke):
    _, ((plan, _, _),) = invoke(
        "ablate", "base.toml", "--without", "target", "--without", "replay+target",
        "--command", "run",
    )  # fmt: skip
    assert [v.name for v in plan.variants] == ["full", "no-target", "no-replay+target"]
    assert (plan.command, len(plan.seeds)) == ("run", 5)


def test_scale(invoke):
    _, ((plan, directory, _),) = invoke("scale", "base.toml", "--collectors", "1,3", "--seeds", "1")
    assert [v.config.launch.collectors for v in plan.variants] == [1, 3]
    assert (plan.command, plan.seeds) == ("run", (0,))
    assert directory == Path("studies/scale-base")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("study", "nowhere.toml"), 74, "nowhere.toml"),
        (("ablate", "base.toml", "--without", "doubel"), 2, 'Did you mean "double"'),
        (("ablate", "base.toml", "--without", "double"), 2, "nothing to leave out"),
        (("scale", "base.toml", "--collectors", "1;2"), 2, "commas between them"),
        (("scale", "base.toml", "--collectors", "0"), 2, "Give numbers >= 1"),
        (("study", "two.toml", "--jobs", "0"), 2, "--jobs"),
        (("ablate", "base.toml", "--set", "stop.environment_steps=0"), 78, "no end that is sure"),
    ],
)
def test_a_mistake_is_one_paragraph(invoke, words, code, said):
    result, calls = invoke(*words)
    assert result.exit_code == code, result.output
    assert said in " ".join(result.stderr.split())
    assert calls == []


def test_runs_that_failed_are_named_and_the_code_tells(invoke):
    def end(over, stop):
        return StudyEnd(over.outcome, {"a/seed-1": "it ended with SIGKILL"}, over.results, False)

    result, _ = invoke("study", "two.toml", end=end)
    assert result.exit_code == 70
    assert "a/seed-1: it ended with SIGKILL" in " ".join(result.stderr.split())
    assert "results:" in result.stdout


@pytest.mark.parametrize(("signal", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_one_that_was_stopped_says_that_it_goes_on(invoke, signal, code):
    def end(over, stop):
        stop.set_for(signal)
        return StudyEnd(over.outcome, {}, None, stopped=True)

    result, _ = invoke("study", "two.toml", end=end)
    assert result.exit_code == code
    assert "the same command again goes on" in result.stderr
