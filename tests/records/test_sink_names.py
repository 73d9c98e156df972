from tests.records.told_rows import EVALUATION, ROW
from zdqn.records.run_directory import EVALUATION_COLUMNS
from zdqn.records.sink_names import EVALUATION_NAMES, metrics_by_name, scores_by_name


def test_what_is_not_known_is_left_out_and_a_zero_is_not():
    named = metrics_by_name(ROW)
    assert (named["metrics/loss"], named["metrics/updates"]) == (0.5, 7)
    assert named["metrics/episodes"] == 0
    assert "metrics/q_mean" not in named


def test_scores_are_those_of_the_table_of_evaluations():
    assert scores_by_name(EVALUATION) == {
        "evaluation/mean": 2.0, "evaluation/deviation": 1.0, "evaluation/minimum": 1.0,
        "evaluation/maximum": 3.0, "evaluation/length_mean": 15.0,
    }  # fmt: skip
    assert set(EVALUATION_NAMES) <= set(EVALUATION_COLUMNS)
