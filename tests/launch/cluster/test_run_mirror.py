"""The files of a run, kept in a second place while they grow."""

import os

import pytest

from zdqn.launch.cluster import run_mirror
from zdqn.launch.cluster.run_mirror import MIRRORED, RunMirror, read_news


@pytest.fixture
def there(tmp_path):
    folder = tmp_path / "there"
    folder.mkdir()
    return folder


@pytest.fixture
def mirror(tmp_path, there):
    (tmp_path / "here").mkdir()
    asked = []

    def ask(known):
        asked.append(dict(known))
        return read_news(there, known)

    made = RunMirror(tmp_path / "here", ask)
    made.asked = asked  # type: ignore[attr-defined]
    return made


def here(tmp_path, name):
    return (tmp_path / "here" / name).read_text()


def test_what_grows_is_added_to(tmp_path, there, mirror):
    path = there / "metrics.jsonl"
    path.write_text("1\n")
    assert mirror.copy(MIRRORED)
    with path.open("a") as file:
        file.write("2\n")
    assert (
        read_news(there, {"metrics.jsonl": mirror._known["metrics.jsonl"]})["metrics.jsonl"][
            "piece"
        ]
        == b"2\n"
    )
    assert mirror.copy(MIRRORED)
    assert here(tmp_path, "metrics.jsonl") == "1\n2\n"
    assert not mirror.copy(MIRRORED)


def test_what_is_replaced_is_read_anew(tmp_path, there, mirror):
    path = there / "summary.json"
    for text in ('{"a": 1}', '{"a": 2, "b": 3}', "{}"):
        path.unlink(missing_ok=True)
        path.write_text(text)
        mirror.copy_all()
        assert here(tmp_path, "summary.json") == text


def test_a_large_file_comes_in_pieces(tmp_path, there, mirror, monkeypatch):
    monkeypatch.setattr(run_mirror, "MOST_BYTES", 10)
    (there / "best.pt").write_text("0123456789" * 3 + "end")
    (there / "metrics.jsonl").write_text("1\n")
    mirror.copy_all()
    assert here(tmp_path, "best.pt") == "0123456789" * 3 + "end"
    assert here(tmp_path, "metrics.jsonl") == "1\n"


def test_other_files_are_given_to_nobody(there):
    (there / "secret").write_text("x")
    assert read_news(there, {"secret": [0, 0], "../there/secret": [0, 0]}) == {}


def test_it_copies_by_itself_until_it_is_left(tmp_path, there, mirror, until):
    (there / "metrics.jsonl").write_text("1\n")
    (there / "best.pt").write_text("network")
    with mirror:
        until(lambda: (tmp_path / "here" / "metrics.jsonl").exists())
        assert not (tmp_path / "here" / "best.pt").exists()
        mirror.finish()
    assert here(tmp_path, "best.pt") == "network"


def test_files_are_as_old_as_there_so_that_it_is_known_when_a_run_ended(tmp_path, there, mirror):
    for age, name in enumerate(("metrics.jsonl", "evaluations.csv", "summary.json")):
        (there / name).write_text("{}\n")
        os.utime(there / name, (1_000 - age, 1_000 - age))
    mirror.copy_all()
    for age, name in enumerate(("metrics.jsonl", "evaluations.csv", "summary.json")):
        assert (tmp_path / "here" / name).stat().st_mtime == 1_000 - age
