"""How a run ended, in a few aligned lines."""

import pytest

from zdqn.launch.summary import summary_lines
from zdqn.records.run_files import read_summary


def test_summary(tmp_path):
    assert read_summary(tmp_path) == {}
    assert summary_lines({}) == ["The run was stopped before training began."]
    (tmp_path / "summary.json").write_text(
        '{"stop_reason": "evaluation_return", "wall_s": 61, "updates": 5000, "updates_per_s": 99.5,'
        ' "best_evaluation_return": 500.0, "final_evaluation_return": null, "blocks_lost": 0}'
    )
    lines = summary_lines(read_summary(tmp_path))
    assert lines == [
        "ended             the goal was reached (stop.evaluation_return), 1:01 min",
        "evaluation        best 500",
        "updates           5,000, 100/s",
        "data              0 blocks lost",
    ]


def test_everything_a_run_can_tell():
    lines = summary_lines(
        {
            "stop_reason": "updates",
            "wall_s": 3725.0,
            "best_evaluation_return": 475.25,
            "best_rescored_return": 451.5,
            "final_evaluation_return": 470.0,
            "environment_steps": 123_456,
            "environment_steps_per_s": 1234.5,
            "episodes": 1_000,
            "updates": 60,
            "updates_per_s": 2000.0,
            "samples_per_insert": 7.984,
            "staleness_mean": 2.25,
            "blocks_lost": 3,
            "verdict": "collector-bound",
            "run_directory": "runs/a",
            "learning_curve": "runs/a/curve.png",
        }
    )
    assert lines == [
        "ended             stop.updates was reached, 1:02:05 h",
        "evaluation        best 475.25, the same network scored again 451.5, final 470",
        "environment steps 123,456, 1,234/s, 1,000 episodes",
        "updates           60, 2,000/s",
        "data              7.98 samples per insert, staleness 2.2, 3 blocks lost",
        "verdict           collector-bound",
        "run directory     runs/a",
        "learning curve    runs/a/curve.png",
    ]


def test_a_row_of_which_nothing_is_known_is_left_out():
    known = {"updates": 0, "verdict": "", "wall_s": None, "of": "a later version"}
    assert summary_lines(known) == ["updates           0"]


def test_on_a_terminal_no_word_is_broken_and_a_path_stays_whole():
    directory = "runs/" + 60 * "long-name-"
    lines = summary_lines({"verdict": 12 * "seven words ", "run_directory": directory}, 80)
    assert lines == [
        f"verdict           {(5 * 'seven words ').strip()}",
        f"                  {(5 * 'seven words ').strip()}",
        f"                  {(2 * 'seven words ').strip()}",
        f"run directory     {directory}",
    ]
    assert summary_lines({"verdict": "a b"}, 5) == ["verdict           a b"]


@pytest.mark.parametrize(
    ("reason", "said"),
    [("SIGINT", "stopped by SIGINT"), ("sink", "a sink or callback returned False"),
     ("wall_s", "stop.wall_s was reached"),
     ("zdqn stop by me", "zdqn stop by me"), ("\x1b[2Ja\nb", "?[2Ja b")],
)  # fmt: skip
def test_why_it_ended(reason, said):
    assert summary_lines({"stop_reason": reason}) == [f"ended             {said}"]
