"""What docs/monitoring.md and docs/grafana.json say of metrics, against the code."""

import json
import re
from pathlib import Path

from zdqn.records.exposition import ALL
from zdqn.records.run_directory import EVALUATION_COLUMNS
from zdqn.records.sink_names import EVALUATION_NAMES
from zdqn.wire.status import MetricsRow

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


def test_the_dashboard_asks_for_what_there_is():
    dashboard = json.loads((DOCS / "grafana.json").read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += [v["definition"] for v in dashboard["templating"]["list"] if "definition" in v]
    names = {told.name for told in ALL}
    for query in asked:
        found = set(re.findall(r"zdqn_\w+", query))
        assert found, query
        assert found <= names, query
    counters = {told.name for told in ALL if told.kind == "counter"}
    for query in asked[:-1]:
        (name,) = re.findall(r"zdqn_\w+", query)
        assert (name in counters) == query.startswith("rate("), query


def test_panels_have_a_place_of_their_own():
    dashboard = json.loads((DOCS / "grafana.json").read_text(encoding="utf-8"))
    places = [tuple(panel["gridPos"].values()) for panel in dashboard["panels"]]
    assert len({*places}) == len(places)
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(places)
