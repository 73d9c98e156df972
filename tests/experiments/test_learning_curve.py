"""What is drawn of a run, read from whatever it has written so far."""

import json
from pathlib import Path

import numpy as np
import pytest

from zdqn.errors import FileError
from zdqn.experiments.learning_curve import read_learning_curve

COLUMNS = "snapshot,environment_steps,updates,mean,deviation,minimum,maximum,length_mean,evaluator"


def write_metrics(directory: Path, *rows):
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (directory / "metrics.jsonl").write_text(text)


def write_evaluations(directory: Path, *rows):
    """Write rows of steps, mean, deviation, minimum, maximum."""
    lines = [f"{number},{row[0]},0,{','.join(map(str, row[1:]))},9,evaluator-0"
             for number, row in enumerate(rows)]  # fmt: skip
    (directory / "evaluations.csv").write_text("\n".join([COLUMNS, *lines]) + "\n")


def write_config(directory: Path, text):
    (directory / "config.toml").write_text(text)


def test_what_is_read(tmp_path):
    write_metrics(tmp_path, *({"environment_steps": i, "loss": 0.5 / i} for i in range(3, 20)))
    write_evaluations(tmp_path, (8, 80, 1, 79, 81), (4, 40, 1, 39, 41), (0, 0, 1, -1, 1))
    curve = read_learning_curve(tmp_path)
    steps, losses = curve.points("loss")
    assert steps[0] == 3
    assert losses[0] == pytest.approx(0.5 / 3)
    assert curve.evaluations["environment_steps"].tolist() == [0, 4, 8]
    assert curve.scores()["mean"].tolist() == [0, 40, 80]


def test_a_line_that_is_still_being_written_is_left_out(tmp_path):
    write_metrics(tmp_path, *({"environment_steps": i} for i in range(3)))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"environment_steps": 99, "lo')
    assert read_learning_curve(tmp_path).metrics["environment_steps"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["evaluations.csv", "metrics.jsonl", "summary.json"])
def test_a_spoiled_file_is_named(tmp_path, name):
    (tmp_path / name).write_text("a,b\n1,2\n")
    with pytest.raises(FileError, match=str(tmp_path)):
        read_learning_curve(tmp_path)


def test_what_is_no_finite_number_is_no_point(tmp_path):
    losses = [None, float("nan"), 0.5, float("inf"), 0.25]
    rows = ({"environment_steps": i, "loss": loss} for i, loss in enumerate(losses))
    write_metrics(tmp_path, *rows)
    steps, loss = read_learning_curve(tmp_path).points("loss")
    assert (steps.tolist(), loss.tolist()) == ([2, 4], [0.5, 0.25])


def test_rows_that_a_resumed_run_has_overtaken_are_left_out(tmp_path):
    rows = [(0, 1.0), (10, 2.0), (20, 9.0), (30, 9.0), (15, 3.0), (25, 4.0)]
    write_metrics(tmp_path, *({"environment_steps": s, "loss": loss} for s, loss in rows))
    steps, loss = read_learning_curve(tmp_path).points("loss")
    assert (steps.tolist(), loss.tolist()) == ([0, 10, 15, 25], [1, 2, 3, 4])


def test_the_deviation_ends_at_what_was_seen(tmp_path):
    write_evaluations(tmp_path, (0, 480, 30, 470, 500), (1, 50, 10, 9, 100), (2, 5, "nan", 1, 9))
    scores = read_learning_curve(tmp_path).scores()
    assert scores["low"].tolist() == [470, 40, 1]
    assert scores["high"].tolist() == [500, 60, 9]


def test_nothing_is_read_of_an_empty_folder(tmp_path):
    curve = read_learning_curve(tmp_path)
    assert curve.is_empty
    assert (curve.best, curve.goal, curve.config) == (None, None, None)


@pytest.mark.parametrize("key", ["loss", "episode_return_mean"])
def test_one_number_is_enough_for_a_picture(tmp_path, key):
    write_metrics(tmp_path, {"environment_steps": 1, "epsilon": 1.0})
    assert read_learning_curve(tmp_path).is_empty, "exploration alone says nothing"
    write_metrics(tmp_path, {"environment_steps": 1, key: 0.0})
    assert not read_learning_curve(tmp_path).is_empty


# --- the best -------------------------------------------------------------------------------------


def test_the_best_is_where_its_network_is_from(tmp_path):
    write_evaluations(tmp_path, (0, 1, 0, 1, 1), (10, 7, 0, 7, 7), (20, 7, 0, 7, 7))
    assert read_learning_curve(tmp_path).best == (10, 7, None, "best")
    (tmp_path / "best.pt").touch()
    (tmp_path / "summary.json").write_text('{"best_rescored_return": 6.5}')
    assert read_learning_curve(tmp_path).best == (10, 7, 6.5, "best.pt")


def test_a_better_one_from_before_the_run_went_on_here_has_no_place_in_it(tmp_path):
    write_metrics(tmp_path, {"environment_steps": 20, "best_evaluation_return": 9.0})
    write_evaluations(tmp_path, (10, 7, 0, 7, 7))
    curve = read_learning_curve(tmp_path)
    assert curve.best is None
    assert "best 9, last 7" in curve.title()


# --- the title ------------------------------------------------------------------------------------


def test_the_title_says_what_was_trained_and_what_came_of_it(tmp_path):
    write_config(tmp_path, '[environment]\nid = "CartPole-v1"\n[run]\nseed = 7\n'
                           "[stop]\nevaluation_return = 475.0\n")  # fmt: skip
    write_evaluations(tmp_path, (0, 20, 0, 20, 20), (8000, 487.34, 3, 480, 490))
    summary = {"stop_reason": "evaluation_return", "environment_steps": 9000, "wall_s": 7.2,
               "best_rescored_return": 480.0}  # fmt: skip
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    curve = read_learning_curve(tmp_path)
    assert curve.goal == 475.0
    first, second = curve.title().split("\n")
    assert first.startswith("CartPole-v1, seed 7 | ")
    assert second == (
        "goal reached after 9,000 environment steps, 7.2 s: best 487.3, scored again 480, "
        "last 487.3"
    )


@pytest.mark.parametrize(
    ("reason", "beginning"),
    [("", "so far 500 env"), ("wall_s", "stop.wall_s was reached after 500 env")],
)
def test_the_title_says_why_it_ended(tmp_path, reason, beginning):
    write_metrics(tmp_path, {"environment_steps": 500, "wall_s": 200.0})
    if reason:
        (tmp_path / "summary.json").write_text(json.dumps({"stop_reason": reason}))
    second = read_learning_curve(tmp_path).title().split("\n")[1]
    assert second == f"{beginning}ironment steps, 3 min: no evaluation"


def test_long_names_lose_their_middle(tmp_path):
    folder = tmp_path / ("run-" + "x" * 200 + "-end")
    folder.mkdir()
    write_config(folder, f'[environment]\nid = "some.module:{"Y" * 200}-v1"\n')
    first = read_learning_curve(folder).title().split("\n")[0]
    assert len(first) < 100
    assert first.startswith("some.module:YYY")
    assert "YY-v1, seed 0 | run-xxx" in first
    assert first.endswith("xx-end")


def test_a_name_of_several_lines_is_one(tmp_path):
    (tmp_path / "a\nb").mkdir()
    assert read_learning_curve(tmp_path / "a\nb").title().split("\n")[0] == "a b"


def test_a_configuration_of_another_version_keeps_nobody_from_drawing(tmp_path):
    write_config(tmp_path, "[of]\nlater = 1\n")
    curve = read_learning_curve(tmp_path)
    assert (curve.config, curve.goal) == (None, None)
    assert curve.title().startswith(tmp_path.name[:10])


def test_a_run_that_goes_on_has_no_end_yet(tmp_path):
    summary = '{"stop_reason": "updates", "metrics_bytes": 0}'  # of an earlier start
    (tmp_path / "summary.json").write_text(summary)
    write_metrics(tmp_path, {"environment_steps": 1, "loss": 1.0})
    curve = read_learning_curve(tmp_path)
    assert not curve.summary
    assert np.isfinite(curve.points("loss")[1]).all()
