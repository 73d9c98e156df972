"""A run as one HTML page that loads nothing: for whoever wants to see it, now or in a year."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zdqn.benchmarks.page import describe_machine
from zdqn.config import Config, flatten
from zdqn.experiments.learning_curve import LearningCurve, read_learning_curve
from zdqn.experiments.summary_words import summary_rows
from zdqn.experiments.svg_chart import ChartLine, line_chart
from zdqn.launch.wording import alike
from zdqn.records.replaced_files import replace_text
from zdqn.records.run_result import RunResult
from zdqn.records.whole_lines import unwritable

NAME = "report.html"

_X_LABEL = "environment steps"
_MOST_EVALUATIONS = 25
_NONE = "-"

_CHARTS = (
    ("Loss of an update", {"loss": "loss"}),
    ("Action values and errors", {"q_mean": "mean over a batch of max Q", "td_error_mean":
                                  "mean absolute TD error"}),
    ("Gradient norm, before clipping", {"gradient_norm": "gradient norm"}),
    ("Exploration", {"epsilon": "epsilon"}),
    ("Throughput", {"environment_steps_per_s": "environment steps/s", "updates_per_s":
                    "updates/s"}),
    ("Staleness of what is learned from", {"staleness_mean": "versions"}),
)  # fmt: skip
"""Title of a chart to its metrics, each with its name in the legend."""

_STYLE = """
:root { color-scheme: light dark; --s0: #0072b2; --s1: #b3471d; --s2: #00795a; --faint: #8886;
  --back: #fff; --text: #1c1f22; --mark: #fff3c4 }
@media (prefers-color-scheme: dark) { :root { --s0: #5db4ee; --s1: #f29a6b; --s2: #4fc9a4;
  --back: #16181b; --text: #dcdfe2; --mark: #463c12 } }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, sans-serif; background: var(--back); color: var(--text);
  max-width: 62rem; margin: 0 auto; padding: 1rem }
h1 { font-size: 1.4rem; margin: .2rem 0; overflow-wrap: anywhere }
h2 { font-size: 1.1rem; margin: 1.6rem 0 .4rem }
p { margin: .3rem 0; overflow-wrap: anywhere }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr));
  gap: 1rem }
figure { margin: 0 }
figcaption { font-weight: 600 }
.legend { font-weight: 400; font-size: .85em; display: flex; flex-wrap: wrap; gap: 0 .9rem }
.legend span { white-space: nowrap }
.legend span::before { content: "\\2014\\00a0"; font-weight: 700 }
span.s0 { color: var(--s0) } span.s1 { color: var(--s1) } span.s2 { color: var(--s2) }
svg { width: 100%; height: auto; display: block }
svg text { fill: currentColor; font-size: 14px }
.grid { stroke: var(--faint) } .goal { stroke: currentColor; stroke-dasharray: 5 4 }
.line { fill: none; stroke-width: 1.8 } .band { opacity: .18; stroke: none }
polyline.s0 { stroke: var(--s0) } polyline.s1 { stroke: var(--s1) }
polyline.s2 { stroke: var(--s2) }
polygon.s0, circle.s0 { fill: var(--s0) } polygon.s1, circle.s1 { fill: var(--s1) }
polygon.s2, circle.s2 { fill: var(--s2) }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: .93em }
th, td { text-align: left; padding: .15rem 0; border-bottom: 1px solid var(--faint);
  vertical-align: top }
td { overflow-wrap: anywhere }
th + th, td + td { padding-left: 1.2rem }
td:first-child { overflow-wrap: normal }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
tr.changed td { background: var(--mark) }
"""


def write_report(run: str | Path, path: Path | None = None) -> Path:
    """Write the page of a run, which may go on.

    Args:
        run: its folder.
        path: where to; None for ``report.html`` in that folder.

    Returns:
        The page.

    Raises:
        FileError: when no run has begun there, its files cannot be read, or the page cannot be
            written.
    """
    result = RunResult.open(run)
    page = report_page(result, read_learning_curve(result.run_directory))
    target = path or result.run_directory / NAME
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(target, error) from error
    replace_text(target, page.encode("utf-8", "replace").decode())
    return target


def report_page(result: RunResult, curve: LearningCurve) -> str:
    """Give the page of a run as HTML, in which nothing is loaded from anywhere.

    Args:
        result: of the run.
        curve: what its files say of its learning.
    """
    first, _, second = curve.title().partition("\n")
    body = [
        f"<h1>{_text(first)}</h1>",
        f"<p>{_text(second)}</p>",
        *_bottleneck(result.summary),
        _section("Learning", _charts(curve)),
        _section("How it ended", _table(_summary_rows(result.summary))),
        _section("Evaluations", _evaluations(curve)),
        _section("Configuration", _configuration(curve.config)),
        _section(
            "Versions",
            "<p>Of what wrote this page; the run may have been made by another.</p>"
            + _table(describe_machine().items()),
        ),
    ]
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(curve.name)}: zdqn</title><style>{_STYLE}</style></head>\n"
        f"<body>{''.join(body)}</body></html>\n"
    )


def _text(value: object) -> str:
    return html.escape(str(value))


def _section(title: str, content: str) -> str:
    return f"<h2>{_text(title)}</h2>{content}" if content else ""


def _table(rows: Iterable[tuple[str, str]]) -> str:
    lines = [f"<tr><td>{_text(name)}</td><td>{_text(value)}</td></tr>" for name, value in rows]
    return f'<div class="wide"><table>{"".join(lines)}</table></div>' if lines else ""


def _bottleneck(summary: Mapping[str, Any]) -> list[str]:
    verdict = summary.get("verdict")
    return [f"<p><strong>Bottleneck</strong>: {_text(verdict)}</p>"] if verdict else []


def _summary_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not summary:
        return [("", "It goes on, or was killed: there is no summary.")]
    return summary_rows({key: value for key, value in summary.items() if key != "verdict"})


def _charts(curve: LearningCurve) -> str:
    charts = [_returns(curve)]
    for title, metrics in _CHARTS:
        lines = [ChartLine(name, *curve.points(key)) for key, name in metrics.items()]
        charts.append(line_chart(title, _X_LABEL, lines))
    drawn = "".join(charts)
    return f'<div class="charts">{drawn}</div>' if drawn else "<p>Nothing was measured yet.</p>"


def _returns(curve: LearningCurve) -> str:
    scores = curve.scores()
    lines = [
        ChartLine(
            "evaluation, and one deviation", scores["environment_steps"], scores["mean"],
            scores["low"], scores["high"],
        ),
        ChartLine("while exploring", *curve.points("episode_return_mean")),
    ]  # fmt: skip
    return line_chart("Return of an episode", _X_LABEL, lines, goal=curve.goal)


_EVALUATION_COLUMNS = {
    "environment_steps": "environment steps", "wall_s": "wall time, s", "mean": "mean",
    "deviation": "deviation", "minimum": "lowest", "maximum": "highest", "episodes": "episodes",
}  # fmt: skip


def _evaluations(curve: LearningCurve) -> str:
    table = curve.evaluations
    count = len(table["mean"])
    if not count:
        return "<p>There was none.</p>"
    best = _best_row(table["mean"])
    chosen = sorted({*range(max(0, count - _MOST_EVALUATIONS), count), *([best] if best is not None
                     else [])})  # fmt: skip
    head = "".join(f'<th class="n">{_text(name)}</th>' for name in _EVALUATION_COLUMNS.values())
    columns = [_column(table[key][chosen]) for key in _EVALUATION_COLUMNS]
    rows = [
        f"<tr{' class=changed' if row == best else ''}>"
        + "".join(f'<td class="n">{text}</td>' for text in texts)
        + "</tr>"
        for row, texts in zip(chosen, zip(*columns, strict=True), strict=True)
    ]
    note = f"<p>{len(chosen)} of {count}; the best is marked.</p>"
    return f'{note}<div class="wide"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def _best_row(means: NDArray[np.float64]) -> int | None:
    return int(np.nanargmax(means)) if np.isfinite(means).any() else None


def _column(values: NDArray[np.float64]) -> list[str]:
    """Write numbers that stand below each other, alike."""
    known = np.isfinite(values)
    form = alike(values[known].tolist())
    return [
        form.format(value) if is_known else _NONE
        for value, is_known in zip(values.tolist(), known.tolist(), strict=True)
    ]


def _configuration(config: Config | None) -> str:
    if config is None:
        return "<p>It cannot be read.</p>"
    defaults = flatten(Config())
    rows: Sequence[str] = [
        f"<tr{'' if defaults.get(key) == value else ' class=changed'}>"
        f"<td>{_text(key)}</td><td>{_text(_shown_key(value))}</td></tr>"
        for key, value in flatten(config).items()
    ]
    note = "<p>What differs from the defaults is marked.</p>"
    return f'{note}<div class="wide"><table>{"".join(rows)}</table></div>'


def _shown_key(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
