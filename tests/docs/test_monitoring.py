"""What docs/monitoring.md and docs/grafana.json say of metrics, against the code."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.launch.views import collector, evaluator, status
from zdqn.records.exposition import ALL, families
from zdqn.records.run_directory import EVALUATION_COLUMNS
from zdqn.records.sink_names import EVALUATION_NAMES
from zdqn.wire.status import MemoryOfLearner, MetricsRow

DOCS = Path(__file__).parents[2] / "docs"


def table(heading):
    """Give the first cells of the rows of the table below a heading, with all cells."""
    text = (DOCS / "monitoring.md").read_text(encoding="utf-8")
    part = text[text.index(f"## {heading}\n") :].split("\n## ", 2)[0]
    rows = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("| `")]
    return {cells[0].strip(" `"): [cell.strip() for cell in cells] for cells in rows}


def test_every_name_that_sinks_are_told_has_unit_and_meaning():
    rows = table("What numbers are called")
    told = {f"metrics/{name}" for name in MetricsRow.__struct_fields__}
    told |= {f"evaluation/{name}" for name in EVALUATION_NAMES}
    assert rows.keys() == told
    assert set(EVALUATION_NAMES) <= set(EVALUATION_COLUMNS)
    assert all(len(cells) == 3 and all(cells) for cells in rows.values())


def test_every_name_that_prometheus_is_told_has_its_kind_and_its_meaning():
    rows = table("What Prometheus is told")
    assert rows.keys() == {told.name for told in ALL}
    for told in ALL:
        _, kind, unit, meaning = rows[told.name]
        assert (kind, meaning) == (told.kind, told.meaning.removesuffix("."))
        assert unit
        assert ("_seconds" in told.name) == (unit == "s")


DASHBOARD = json.loads((DOCS / "grafana.json").read_text(encoding="utf-8"))
NAMED = {told.name: told for told in ALL}
QUERIES = [
    pytest.param(panel, target, id=f"{panel['title']} {target['refId']}")
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
]
QUERY = re.compile(r'(?P<rate>rate\()?(?P<name>zdqn_\w+)\{run=~"\$run"\}(?(rate)\[1m\]\))')
"""A number as it is, or how fast a counter rises."""


def asked(target):
    """Give the number that a query asks for, and whether it asks how fast that rises."""
    query = QUERY.fullmatch(target["expr"])
    assert query is not None, target["expr"]
    return NAMED[query["name"]], query["rate"] is not None


def everything():
    """Give the status of a run of which every number is known."""
    given = status()
    progress = msgspec.structs.asdict(given.progress)
    known: dict[str, Any] = {
        name: 1.0 if value is None else value for name, value in progress.items()
    }
    return msgspec.structs.replace(
        given,
        progress=type(given.progress)(**known),
        memory=MemoryOfLearner(address="tcp://m:1", silent_s=1.0),
        clients=[collector(0), collector(1), evaluator()],
    )


@pytest.mark.parametrize(("panel", "target"), QUERIES)
def test_the_dashboard_asks_for_what_there_is(panel, target):
    told, rises = asked(target)
    assert (told.kind == "counter") == rises


@pytest.mark.parametrize(("panel", "target"), QUERIES)
def test_the_dashboard_has_the_units_of_what_it_asks_for(panel, target):
    told, rises = asked(target)
    unit = table("What Prometheus is told")[told.name][2]
    if rises:  # seconds in a second are a share
        wanted = "percentunit" if unit == "s" else "ops"
    else:
        wanted = {"s": "s", "share": "percentunit", "bytes": "bytes"}.get(unit, "short")
    assert panel["fieldConfig"]["defaults"]["unit"] == wanted


@pytest.mark.parametrize(("panel", "target"), QUERIES)
def test_what_is_asked_for_has_the_labels_that_its_legend_names(panel, target):
    told, _ = asked(target)
    (family,) = [one for one in families(everything(), "first") if one.name == told.name]
    named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
    for sample in family.samples:
        assert named <= sample.labels.keys()
    if "name" not in named:
        assert len(family.samples) == 1, "one curve would have the name of another"


def test_the_dashboard_finds_runs_by_what_each_tells():
    (run,) = [one for one in DASHBOARD["templating"]["list"] if one["name"] == "run"]
    assert run["definition"] == run["query"]["query"] == "label_values(zdqn_updates_total, run)"
    assert NAMED["zdqn_updates_total"]


def test_panels_have_a_place_of_their_own():
    places = [tuple(panel["gridPos"].values()) for panel in DASHBOARD["panels"]]
    assert len({*places}) == len(places)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)
