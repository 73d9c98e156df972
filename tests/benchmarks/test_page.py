"""The page with all figures."""

import pytest

from tests.benchmarks.tiny import TINY
from zdqn.benchmarks import page
from zdqn.benchmarks.measuring import Figure, Goal, Result
from zdqn.errors import FileError


def test_the_page(tmp_path):
    results = {
        "insert": Result([Figure("insert.a", "t/s", (3.0,), (6.0,), Goal(2))]),
        "sample": Result([Figure("sample.b", "b/s", (1.0,), goal=Goal(2))], ["Left out."]),
    }
    path = tmp_path / "docs" / "benchmarks.md"
    page.write_page(path, results, TINY, day="2031-02-03")
    text = path.read_text()
    assert "2031-02-03" in text
    assert "1 of 2 are met." in text
    assert "| `sample.b` | b/s | >= 2.00 | 1.00 | **no** |" in text
    assert "Left out." in text
    assert "| processor |" in text
    assert "| torch |" in text


def test_a_page_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="Cannot"):
        page.write_page(tmp_path / "file" / "page.md", {}, TINY)
