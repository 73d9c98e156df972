"""docs/studies.md names every key of a study and every part; the studies that come are valid."""

import re
from pathlib import Path

import pytest

from zdqn.config.study_sections import Study, VariantsSection
from zdqn.experiments.studies.study_parts import PARTS
from zdqn.experiments.studies.study_plan import load_study, plan_study

ROOT = Path(__file__).parents[2]
HOURS = {"rainbow"}
"""Studies that take hours, and so have fewer seeds."""
SHIPPED = sorted((ROOT / "configs" / "studies").glob("*.toml"))


def tables():
    """Give the first and second cells of each table of the page, by its rows."""
    text = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        lines = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in
                 table.splitlines()]  # fmt: skip
        yield {row[0].strip("`"): row[1] for row in lines[2:]}


@pytest.mark.parametrize("section", [Study, VariantsSection])
def test_every_key_is_described(section):
    assert set(section.__struct_fields__) in [set(table) for table in tables()]


def test_defaults_are_those_of_the_page():
    page = next(table for table in tables() if "seeds" in table)
    study = Study()
    for key in ("command", "unfinished"):
        assert page[key] == f'`"{getattr(study, key)}"`'
    assert page["seeds"] == f"`{list(study.seeds)}`"
    assert page["final_evaluations"] == f"`{study.final_evaluations}`"


def test_every_part_is_described():
    assert set(PARTS) in [set(table) for table in tables()]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_study_that_is_shipped_can_be_made(path):
    plan = plan_study(load_study(path), path)
    assert len(plan.seeds) >= (3 if path.stem in HOURS else 5)
    assert plan.threshold is not None
    text = path.read_text(encoding="utf-8").replace("\n# ", " ")
    assert f"`zdqn study configs/studies/{path.name}" in text


def test_there_are_some():
    assert {path.stem for path in SHIPPED} == {
        "dqn-components", "dqn-components-updates", "rainbow", "workers"
    }  # fmt: skip
