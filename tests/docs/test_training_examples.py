"""Programs of docs/examples that train, from their first line to their last."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from zdqn.records.run_result import RunResult

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
DEADLINE_S = 250


def run_program(folder, name, *arguments, deadline_s=DEADLINE_S):
    """Run an example in a folder, and give what it printed to standard output."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *map(str, arguments)], cwd=folder, env=ENVIRONMENT,
        capture_output=True, text=True, timeout=deadline_s,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- an environment and a network of one's own ----------------------------------------------------


def test_an_environment_and_a_network_of_ones_own(tmp_path):
    output = run_program(tmp_path, "own_environment.py", 40)
    assert re.search(r"one process\nRunResult\(.*'updates', updates=40", output), output
    assert re.search(r"several processes\nRunResult\(.*'updates', updates=40", output), output
    assert re.search(r"from \[\d, \d\] to \[\d, \d\]: (up|down|left|right)", output), output


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_it_is_learned(tmp_path):
    output = run_program(tmp_path, "own_environment.py", deadline_s=380)
    returns = [float(found) for found in re.findall(r"best_evaluation_return=([\d.]+)", output)]
    assert len(returns) == 2
    assert min(returns) >= 0.85


# --- a search for hyperparameters -----------------------------------------------------------------


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """The module of the sweep, in a folder of its own."""
    pytest.importorskip("optuna", reason="needs the extra `studies`")
    monkeypatch.chdir(tmp_path)
    path = EXAMPLES / "optuna_sweep.py"
    spec = importlib.util.spec_from_file_location("optuna_sweep", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Trial:
    """Proposes the least of everything, and is pruned at an evaluation."""

    number = 3

    def __init__(self, pruned_at):
        self.reported = []
        self._pruned_at = pruned_at

    def suggest_float(self, name, low, high, *, log):
        return low

    def suggest_int(self, name, low, high, *, log=False):
        return low

    def report(self, value, step):
        self.reported.append(step)

    def should_prune(self):
        return len(self.reported) > self._pruned_at


def test_a_trial_that_is_pruned_ends_its_run_well(sweep):
    trial = Trial(pruned_at=1)
    with pytest.raises(sweep.optuna.TrialPruned):
        sweep.objective(trial, 2_000)
    result = RunResult.open("sweep/3")
    assert result.stop_reason == "sink"
    assert result.evaluations()["snapshot"].tolist() == trial.reported == [0, 1]


def test_one_that_is_not_gives_the_score_of_its_best_network(sweep):
    trial = Trial(pruned_at=100)
    assert sweep.objective(trial, 1_000) == RunResult.open("sweep/3").best_rescored_return
    assert RunResult.open("sweep/3").stop_reason == "environment_steps"


@pytest.mark.slow
def test_a_search_goes_on_where_it_was(sweep, tmp_path):
    output = run_program(tmp_path, "optuna_sweep.py", 1, 600)
    assert "best: 0, in sweep/0" in output
    output = run_program(tmp_path, "optuna_sweep.py", 1, 600)
    assert re.search(r"^  1 (COMPLETE|PRUNED) ", output, re.MULTILINE), output


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_search_finds_what_learns_and_prunes_what_does_not(sweep, tmp_path):
    output = run_program(tmp_path, "optuna_sweep.py", 12, 10_000, deadline_s=560)
    assert "PRUNED" in output
    best = int(re.findall(r"^best: (\d+)", output, re.MULTILINE)[0])
    assert json.loads((tmp_path / f"sweep/{best}/summary.json").read_text())["updates"] > 0


# --- a notebook -----------------------------------------------------------------------------------

SHORT = """
config = config.replace({
    "stop.environment_steps": 1_500, "replay.min_size": 200, "replay.samples_per_insert": 4.0,
    "learner.report_period_s": 0.1, "evaluator.period_environment_steps": 500,
})
"""
"""Runs after the notebook's configuration: a second of training."""


def execute(folder, *, short):
    """Run the notebook in a kernel, and give its cells by id, with what they show."""
    pytest.importorskip("nbclient", reason="needs nbclient")
    pytest.importorskip("ipykernel", reason="needs ipykernel")
    notebook = json.loads((EXAMPLES / "train_and_plot.ipynb").read_text(encoding="utf-8"))
    if short:
        (cell,) = (cell for cell in notebook["cells"] if cell["id"] == "configuration")
        cell["source"].append(f"\n{SHORT}")
    path = folder / "notebook.ipynb"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", KERNEL, str(path)], cwd=folder, env=ENVIRONMENT,
        capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return {cell["id"]: cell for cell in json.loads(path.read_text())["cells"]}


KERNEL = """
import sys
import nbclient, nbformat

notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[1])
"""


def shown(cell, kind):
    """Give what a cell shows of a kind, such as text/plain."""
    found = (output.get("data", {}).get(kind) for output in cell["outputs"])
    return ["".join(text) for text in found if text is not None]


@pytest.mark.timeout(300)
def test_a_notebook_trains_shows_how_it_goes_and_plots(tmp_path):
    cells = execute(tmp_path, short=True)
    assert_it_shows_everything(cells)
    said = "".join(cells["follow"]["outputs"][-1]["text"])
    assert said.startswith(("sink [", "environment_steps [")), said


def assert_it_shows_everything(cells):
    for cell in cells.values():
        streams = [
            output for output in cell.get("outputs", ()) if output["output_type"] == "stream"
        ]
        assert [output for output in streams if output["name"] == "stderr"] == []
    page, result = shown(cells["train"], "text/plain")
    assert "CartPole-v1  has ended" in page
    assert result.startswith("RunResult(")
    (marked,) = shown(cells["train"], "text/html")
    assert marked.startswith("<pre>")
    for name in ("curve", "own-plot", "use"):
        assert shown(cells[name], "image/png"), name


def test_a_notebook_is_kept_without_what_it_showed():
    notebook = json.loads((EXAMPLES / "train_and_plot.ipynb").read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"]] == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_solves_cartpole(tmp_path):
    cells = execute(tmp_path, short=False)
    assert_it_shows_everything(cells)
    assert "stop_reason='evaluation_return'" in shown(cells["train"], "text/plain")[-1]
