"""What starting costs: which of the heavy packages each entry point loads."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import zdqn

HEAVY = ("torch", "gymnasium", "zmq", "click", "rich", "matplotlib", "cloudpickle", "numpy")


def loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split()) if done.stdout.strip() else set()


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ("import zdqn", set()),
        ("import zdqn; zdqn.load_config; zdqn.ConfigError; zdqn.__version__", set()),
        ("import zdqn.launch.plan", set()),
        ("import zdqn.launch.child_main", {"cloudpickle"}),
        ("import zdqn.launch.cluster.host_agent", {"zmq", "numpy", "cloudpickle"}),
        ("import zdqn.launch.cluster.dry_run", set()),
        ("import zdqn.launch.slurm.batch_files", set()),
        ("import zdqn.launch.slurm.collector_job", {"zmq", "numpy"}),
        ("import zdqn.cli", {"click"}),
        ("import zdqn.experiments.plots", set()),
        ("import zdqn; zdqn.Memory", {"zmq", "numpy"}),
        ("import zdqn; zdqn.Learner", {"zmq", "numpy"}),
        ("import zdqn; zdqn.Agent", {"zmq", "numpy", "gymnasium", "cloudpickle"}),
        ("import zdqn; zdqn.run; zdqn.train", {"zmq", "numpy", "cloudpickle"}),
        ("import zdqn; zdqn.Config(replay=zdqn.ReplaySection(capacity=5000))", set()),
        ("import zdqn; zdqn.EnvironmentSpec; zdqn.RunResult; zdqn.Sink", {"numpy"}),
        ("import zdqn; zdqn.load_policy; zdqn.evaluate; zdqn.play; zdqn.plot", {"numpy"}),
    ],
)
def test_importing_loads_no_more_than_it_needs(statement, allowed):
    assert loaded_by(statement) <= allowed


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["run", "--help"], ["memory", "--help"], ["nonsense"]],
)
def test_the_command_line_loads_only_click_to_explain_itself(arguments):
    statement = (
        f"from zdqn.cli import main\nsys.argv = ['zdqn', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\nprint()"
    )
    assert loaded_by(statement) <= {"click"}


def test_zdqn_memory_loads_neither_torch_nor_gymnasium_nor_rich(tmp_path):
    config = tmp_path / "memory.toml"
    config.write_text("")
    statement = (
        "import os, threading, zdqn.roles.memory\nfrom zdqn.cli import main\n"
        "zdqn.roles.memory.Memory.run = lambda self: None\n"
        f"sys.argv = ['zdqn', 'memory', {str(config)!r}, '--bind', 'tcp://127.0.0.1:0']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\nprint()"
    )
    assert loaded_by(statement) <= {"click", "zmq", "numpy"}


def test_all_is_what_is_public():
    assert sorted(zdqn.__all__) == dir(zdqn)
    for name in zdqn.__all__:
        assert getattr(zdqn, name) is not None


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(zdqn.__file__).read_text())
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in guarded.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.name for node in imports for alias in node.names}
    assert seen | {"__version__"} == set(zdqn.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="colector"):
        zdqn.colector  # noqa: B018
