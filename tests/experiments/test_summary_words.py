"""Keys of summaries in words."""

import re
from pathlib import Path

from zdqn.experiments.summary_words import SUMMARY_NAMES, summary_rows

PAGE = Path(__file__).parents[2] / "docs" / "algorithm.md"


def test_every_key_that_is_documented_has_a_name_of_its_own():
    section = PAGE.read_text().partition("### summary.json\n")[2].partition("\n#")[0]
    cells = re.findall(r"^\| (`.*?) \|", section, re.M)
    keys = {key for cell in cells for key in re.findall(r"`(\w+)`", cell)}
    assert len(keys) > 20
    assert keys == SUMMARY_NAMES.keys()
    assert len(set(SUMMARY_NAMES.values())) == len(SUMMARY_NAMES)
    assert not any("_" in name for name in SUMMARY_NAMES.values())


def test_rows_are_for_a_person():
    summary = {
        "updates": 12_345, "new_key": 3, "stop_reason": "updates", "wall_s": 754.0,
        "best_evaluation_return": None, "waited_for_samples_s": 0.113, "verdict": "",
        "memory_restarts": 0, "flag": True,
    }  # fmt: skip
    assert summary_rows(summary) == [
        ("ended by", "stop.updates was reached"), ("wall time", "13 min"), ("updates", "12,345"),
        ("learner without data", "0.1 s"), ("memory restarted", "0"), ("new key", "3"),
        ("flag", "True"),
    ]  # fmt: skip
    assert summary_rows({}) == []
