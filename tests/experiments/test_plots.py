"""The learning curve: drawn from whatever a run has written so far."""

import json
import logging
import os
import struct

import pytest

from zdqn.errors import FileError, UsageError
from zdqn.experiments.plots import plot, plot_learning_curve
from zdqn.records.run_result import RunResult

COLUMNS = "snapshot,environment_steps,updates,mean,deviation,minimum,maximum,length_mean,evaluator"


def write_run(directory, rows=20, evaluations=5):
    with (directory / "metrics.jsonl").open("w") as file:
        for i in range(rows):
            row = {
                "environment_steps": i * 1000,
                "wall_s": i,
                "episode_return_mean": None if i < 2 else 20.0 * i,
                "loss": None if i < 3 else 0.5 / i,
                "epsilon": max(1 - i / 10, 0.05),
            }
            file.write(json.dumps(row) + "\n")
    lines = [f"{i},{i * 4000},{i},{i * 100},{30},{i * 60},{i * 110},9,evaluator-0"
             for i in range(evaluations)]  # fmt: skip
    lines.reverse()  # evaluators finish in any order
    (directory / "evaluations.csv").write_text("\n".join([COLUMNS, *lines]) + "\n")


def size_of_png(path):
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", data[16:24])


@pytest.mark.parametrize(("rows", "evaluations"), [(20, 5), (20, 0), (0, 5), (1, 1)])
def test_a_picture_comes_out(tmp_path, rows, evaluations):
    pytest.importorskip("matplotlib")
    write_run(tmp_path, rows, evaluations)
    path = plot_learning_curve(tmp_path)
    assert path == tmp_path / "learning_curve.png"
    width, height = size_of_png(path)
    assert width > 800
    assert height > (600 if rows > 1 else 400)


@pytest.mark.parametrize("rows", [0, 2])
def test_where_there_is_nothing_to_draw_there_is_a_sentence(tmp_path, caplog, rows):
    pytest.importorskip("matplotlib")
    write_run(tmp_path, rows, 0)
    with caplog.at_level(logging.INFO, logger="zdqn"):
        assert plot_learning_curve(tmp_path) is None
    assert f"There is nothing to draw of {tmp_path}: it has neither an evaluation" in caplog.text
    with pytest.raises(FileError, match="nothing to draw"):
        plot(tmp_path)
    assert not (tmp_path / "learning_curve.png").exists()


def test_without_matplotlib_the_way_to_get_it_is_logged(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with caplog.at_level(logging.INFO, logger="zdqn"):
        assert plot_learning_curve(tmp_path) is None
    assert 'pip install "zdqn[plot]"' in caplog.text


@pytest.mark.parametrize("name", [r"$\frac{x$", "a$b$c", r"\alpha_{", "50% ^2", "{}", "a\nb"])
def test_a_folder_may_be_called_what_would_be_a_formula(tmp_path, name):
    pytest.importorskip("matplotlib")
    (tmp_path / name).mkdir()
    write_run(tmp_path / name)
    size_of_png(plot_learning_curve(tmp_path / name))


def test_a_folder_whose_name_is_no_text_has_a_picture_too(tmp_path):
    pytest.importorskip("matplotlib")
    folder = tmp_path / os.fsdecode(b"na\xefve")
    folder.mkdir()
    write_run(folder)
    size_of_png(plot_learning_curve(folder))


def test_letters_that_the_font_lacks_are_no_warning(tmp_path):
    pytest.importorskip("matplotlib")
    folder = tmp_path / "\u8fd0\u884c"
    folder.mkdir()
    write_run(folder)
    size_of_png(plot_learning_curve(folder))


# --- on request -----------------------------------------------------------------------------------


def test_a_run_is_drawn_in_each_form(tmp_path):
    pytest.importorskip("matplotlib")
    write_run(tmp_path)
    for run in (tmp_path, str(tmp_path), RunResult(tmp_path)):
        (tmp_path / "learning_curve.png").unlink(missing_ok=True)
        path = plot(run)
        assert path == tmp_path / "learning_curve.png"
        size_of_png(path)


def test_what_is_no_run_is_not_drawn(tmp_path):
    with pytest.raises(FileError, match="holds no run"):
        plot(tmp_path)
    assert not (tmp_path / "learning_curve.png").exists()


def test_on_request_matplotlib_must_be_there(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    write_run(tmp_path)
    with pytest.raises(UsageError, match=r'pip install "zdqn\[plot\]"'):
        plot(tmp_path)
