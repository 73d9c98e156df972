"""A configuration as rows for a page."""

from zdqn.config import Config, flatten
from zdqn.experiments.dashboard.page_config import describe_config


def rows_of(config):
    return {row["key"]: row for row in describe_config(config)}


def test_every_key_is_there_and_none_differs_by_default():
    rows = rows_of(Config())
    assert set(flatten(Config())) <= set(rows)
    assert not [key for key, row in rows.items() if row["differs"]]
    assert all(row["meaning"] for row in rows.values())


def test_what_differs_is_marked_with_both_values():
    config = Config().replace("algorithm.discount", 0.5).replace("stop.updates", 7)
    rows = rows_of(config)
    assert [key for key, row in rows.items() if row["differs"]] == [
        "stop.updates", "algorithm.discount"
    ]  # fmt: skip
    assert rows["algorithm.discount"]["value"] == "0.5"
    assert rows["algorithm.discount"]["default"] == "0.99"
    assert rows["stop.updates"]["default"] == "0"


def test_values_are_written_as_a_person_reads_them():
    config = Config().replace("network.hidden", [8, 16]).replace("environment.id", "a\x1bb")
    rows = rows_of(config)
    assert rows["network.hidden"]["value"] == "[8,16]"
    assert "\x1b" not in rows["environment.id"]["value"]
    assert rows["environment.max_episode_steps"]["value"] == "absent"
    assert rows["algorithm.double"]["value"] in ("true", "false")


def test_what_is_not_known_has_no_rows():
    assert describe_config(None) == []
