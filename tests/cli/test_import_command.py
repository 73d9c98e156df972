"""`zdqn import`: what it hands on, what it says at the end, and how it ends."""

from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from zdqn.cli.application import application
from zdqn.errors import UsageError
from zdqn.roles.importer import ImportResult


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Lets no importer send anything: gives what each was made with, and takes what it gives."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.toml").write_text("[run]\nseed = 3\n")
    np.savez(
        tmp_path / "data.npz", observations=np.zeros((3, 4), np.float32),
        actions=np.zeros(3, int), rewards=np.zeros(3), terminated=np.zeros(3, np.bool_),
        truncated=np.zeros(3, np.bool_),
    )  # fmt: skip
    found: dict[str, Any] = {"result": ImportResult(2, 2, 1, 0, 0, complete=True)}

    class Importer:
        def __init__(self, experience, config, **options):
            found.update(options, experience=experience, config=config)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def run(self):
            if isinstance(found["result"], Exception):
                raise found["result"]
            found["on_progress"](2)
            return found["result"]

    monkeypatch.setattr("zdqn.roles.importer.Importer", Importer)
    return found


def invoke(*words):
    return CliRunner().invoke(application, ["import", *words])


def test_what_is_asked_for_is_handed_on(made):
    done = invoke("data.npz", "c.toml", "--memory", "tcp://m:1", "--set", "run.seed=4", "--count",
                  "--keys", "k")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert (made["memory"], made["counts"], str(made["keys"])) == ("tcp://m:1", True, "k")
    assert made["config"].run.seed == 4
    assert made["experience"].steps == 3


def test_a_closing_line_says_what_became_of_it(made):
    done = invoke("data.npz", "--memory", "tcp://m:1")
    assert made["config"] is None
    assert not made["counts"]
    text = " ".join(done.stdout.split())
    assert text == (
        "sent 2 transitions, of 2 steps of data.npz, in 1 blocks; the memory stored 1 of these, "
        "refused none. 1 more were left out: nothing is known of what was observed after them."
    )


@pytest.mark.parametrize(
    ("result", "code", "words"),
    [
        (ImportResult(2, 2, 3, 2, 0, complete=True), 76, "stored 1 of these, refused 2"),
        (ImportResult(2, 2, 3, 0, 1, complete=False), 69, "stored 2 of these, refused none, and"),
        (UsageError("data.npz: episode 0 has none"), 2, "error: data.npz: episode 0 has none"),
    ],
)
def test_its_exit_code_says_whether_all_of_it_is_there(made, result, code, words):
    made["result"] = result
    done = invoke("data.npz", "--memory", "tcp://m:1")
    assert done.exit_code == code
    assert words in " ".join(done.output.split())


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["data.npz"], 2, "--memory"),
        (["none.npz", "--memory", "tcp://m:1"], 74, "none.npz"),
        (["data.npz", "--memory", "tcp://m:1", "--set", "run.seed=1"], 2, "CONFIG"),
        (["data.npz", "no.toml", "--memory", "tcp://m:1"], 74, "no.toml"),
    ],
)
def test_a_mistake_is_one_paragraph(made, words, code, says):
    done = invoke(*words)
    assert done.exit_code == code
    assert says in done.output
    assert "Traceback" not in done.output
