"""Every command that may take long says at a terminal what it does, and in a pipe keeps to stderr.

What takes long is held, and lets go when a line is typed.
"""

import json
import subprocess
import sys
import threading
from typing import NamedTuple

import pytest

from tests.launch.terminal import Terminal

DEADLINE_S = 60.0

DRIVER = """
import subprocess, sys, types
if sys.stdin.isatty():
    subprocess.run(["stty", "-echo"], check=True)  # what is typed would move the line
from zdqn.launch import waiting
waiting.shown_progress.__wrapped__.__kwdefaults__["period_s"] = 0.01
module, _, name = {held!r}.rpartition(".")
def hold(*args, **given):
    {tell}
    input()
    {then}
try:
    if not {whole}:
        raise ImportError
    __import__(module)
except ImportError:
    sys.modules[module] = types.ModuleType(module)
setattr(sys.modules[module], name, hold)
{first}
sys.argv = ["zdqn", *{words!r}]
from zdqn.cli import main
main()
"""


class Case(NamedTuple):
    """A command, and what of it is held."""

    words: str
    held: str
    shown: str
    tell: str = "pass"
    then: str = "return 'done.png'"
    prints: str = "done.png"
    whole: bool = False
    """Whether the rest of what is held has to be there too."""
    first: str = ""

    def argv(self):
        code = DRIVER.format(
            held=self.held, tell=self.tell, then=self.then, words=self.words.split(),
            whole=self.whole, first=self.first,
        )  # fmt: skip
        return [sys.executable, "-c", code]


CLUSTER = """
[memory]
host = "alpha"
[learner]
host = "beta"
[[collectors]]
hosts = ["gamma"]
"""
SCORES = "from zdqn.data import EvaluationScores; scores = EvaluationScores((1.0,), (10,)); "
FINDING = "from zdqn.doctor import Finding, Verdict; "
RESULT = "from zdqn.benchmarks.measuring import Result; "
COMPARED = "from types import SimpleNamespace; return SimpleNamespace("
KEPT = (
    "from zdqn.launch import keepers; keepers.is_kept = lambda _: True; "
    "keepers.recorded_ends = lambda _: None"
)
AWAY = "from zdqn.errors import PeerUnavailableError; raise PeerUnavailableError('All are away.')"

CASES = [
    Case(
        "evaluate best.pt --episodes 8", "zdqn.experiments.scoring.evaluate",
        "evaluating, 3 of 8 episodes", "given['on_episode'](3)", SCORES + "return scores",
        "return 1 ± 0",
    ),
    Case(
        "play best.pt --video films", "zdqn.experiments.showing.play", "filming, 3 steps",
        "given['on_step'](3)", SCORES + "return scores, 'film.mp4'", "film.mp4",
    ),
    Case(
        "play best.pt --episodes 4", "zdqn.experiments.showing.show", "playing, 3 of 4 episodes",
        "given['on_episode'](3)", SCORES + "return scores", "episode 0: return 1",
    ),
    Case(
        "export best.pt --onnx a.onnx", "zdqn.experiments.exporting.export",
        "writing a.onnx, 3 of 1,000 observations", "given['on_observation'](3)",
        f"{COMPARED}path='a.onnx', observations=9, largest_difference=0.0)", "a.onnx",
    ),
    Case("plot a", "zdqn.experiments.plots.plot", "drawing a"),
    Case(
        "plot a b c", "zdqn.experiments.several_runs.plot_runs", "reading runs, 1 of 3 runs",
        "given['on_run'](1)",
    ),
    Case("report a", "zdqn.experiments.report_page.write_report", "reading a"),
    Case(
        "compare a b", "zdqn.experiments.run_comparison.compare_runs", "comparing",
        then=f"{COMPARED}names=('a', 'b'), configuration=[], results=[], note='noted', "
        "values={'results': {}})",
        prints="noted",
    ),
    Case(
        "doctor", "zdqn.doctor.examine", "the environment", "given['say']('the environment')",
        FINDING + "return [Finding('disk', Verdict.GOOD, 'large')]", "all are well", whole=True,
    ),
    Case(
        "bench frames --quick", "zdqn.benchmarks.bench_frames.measure", "frames: collecting",
        "args[1]('frames: collecting')", RESULT + "return Result()", "zdqn bench frames",
    ),
    Case(
        "import data.npz --memory tcp://127.0.0.1:1", "zdqn.records.experience.open_experience",
        "reading data.npz", then=AWAY, prints="All are away.", whole=True,
    ),
    Case(
        "status a", "zdqn.cli.status_commands.ask", "asking the servers", then=AWAY,
        prints="All are away.", whole=True,
    ),
    Case(
        "restart collector-0 a", "zdqn.launch.cluster.changes.change_run",
        "restarting collector-0 of a",
    ),
    Case(
        "logs a", "zdqn.launch.keepers.visit", "asking the hosts of the run", then=AWAY,
        prints="All are away.", whole=True, first=KEPT,
    ),
    Case(
        "stop a", "zdqn.launch.keepers.visit", "asking the hosts of the run", then=AWAY,
        prints="All are away.", whole=True, first=KEPT,
    ),
    Case(
        "launch cluster.toml --slurm --check", "zdqn.launch.slurm.slurm_checks.look_at_slurm",
        "looking at Slurm, and at the Python", then=AWAY, prints="All are away.", whole=True,
    ),
    Case(
        "launch a --remove beta", "zdqn.launch.cluster.changes.change_run",
        "remove beta: waiting for the hosts of a", whole=True,
    ),
    Case(
        "launch cluster.toml --check --local",
        "zdqn.launch.cluster.cluster_hosts.HostSession", "connecting, 0 of 3 hosts", then=AWAY,
        prints="All are away.", whole=True,
    ),
]  # fmt: skip


def names(cases):
    return [pytest.param(case, id=case.words) for case in cases]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "cluster.toml").write_text(CLUSTER)
    return tmp_path


@pytest.mark.parametrize("case", names(CASES))
def test_a_terminal_shows_what_is_waited_for_until_it_is_there(case, folder):
    terminal = Terminal(case.argv(), columns=100, cwd=folder)
    try:
        terminal.read_until(
            lambda lines: any(case.shown in line for line in lines), case.shown, DEADLINE_S
        )
        terminal.type(b"\n")
        terminal.finish()
        text = "\n".join(terminal.screen.text())
        assert case.prints in text
        assert case.shown not in text
        assert terminal.screen.cursor_is_shown
    finally:
        terminal.close()


def run_piped(argv, shown, folder):
    """Run a command whose standard error is read until it says something; give all it wrote."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=folder
    ) as child:
        watchdog = threading.Timer(DEADLINE_S, child.kill)
        watchdog.start()
        try:
            lines: list[str] = []
            assert child.stderr is not None
            while not any(shown in line for line in lines):
                lines.append(child.stderr.readline())
                assert lines[-1], "".join(lines)
            out, rest = child.communicate("\n")
        finally:
            watchdog.cancel()
            watchdog.join()
            child.kill()
    return out, "".join(lines) + rest


AS_JSON = {
    "evaluate best.pt --episodes 8": "mean",
    "compare a b": "results",
    "bench frames --quick": None,
}


@pytest.mark.parametrize("case", names(CASES))
def test_a_pipe_has_it_on_standard_error_alone(case, folder):
    words = f"{case.words} --json" if case.words in AS_JSON else case.words
    out, err = run_piped(case._replace(words=words).argv(), case.shown, folder)
    assert case.shown not in out
    if case.words in AS_JSON:
        key = AS_JSON[case.words]
        assert key is None or key in json.loads(out)
        assert isinstance(json.loads(out), dict)
    else:
        assert case.prints in out + err
