"""The table of docs/reliability.md: every number once, and every test that it names is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8").splitlines()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in LINES
    if re.match(r"\| \d+ \|", line)
]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_every_case_has_its_row():
    assert [int(number) for number, *_ in ROWS] == list(range(1, 71))


@pytest.mark.parametrize(("number", "case", "shown"), ROWS)
def test_what_a_case_is_shown_by_is_there(number, case, shown):
    if shown.startswith("not yet"):
        assert re.fullmatch(r"not yet: .{10,}", shown), "a case without a test has a reason"
        return
    named = NAMED.findall(shown)
    assert ", ".join(f"`{path}::{name}`" for path, name in named) == shown
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, path
