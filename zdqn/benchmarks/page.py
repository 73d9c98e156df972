"""All figures as a page: ``docs/benchmarks.md``."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from zdqn.benchmarks.measuring import COLUMNS, Effort, Figure, Result, figure_cells, write_number
from zdqn.errors import FileError

PACKAGES = ("zdqn", "torch", "numpy", "pyzmq", "gymnasium", "msgspec", "stable-baselines3")

_TITLES = {
    "insert": "Transitions into the memory",
    "sample": "Batches out of the memory",
    "storage": "A replay on disk",
    "keys": "What keys cost",
    "delivery": "What acknowledged delivery costs",
    "learner": "Updates of the learner",
    "collector": "Steps of a collector",
    "scaling": "More collectors",
    "actions": "Actions for remote policies",
    "weights": "Weights for many subscribers",
    "dashboard": "Pages that look on",
    "growth": "Larger replays",
    "frames": "Bytes of a transition",
    "peers": "Other frameworks",
    "solve": "CartPole solved",
    "parity": "What a step teaches",
}
_BOUNDS = {
    "insert": "Two processes send blocks to a memory process. Bound: the same messages into a loop "
    "that receives and forgets them. `check_finite`: what it takes to find that a block's frames "
    "are finite. Bound: all of its insert, without the link.",
    "sample": "One process asks a memory process for batches, as the learner does. Bound: the same "
    "replay sampled inside one process, without messages. `shared`: frames through memory that "
    "both share, as by default on one host, and read; without it all goes over the socket.",
    "storage": "Blocks of 32, read 1 or 64 at a time, and 8 batches of 32, in one process, synced "
    "every second, the files in the page cache. Bound: the same in RAM. `coming_back`: all is read "
    "and checked.",
    "keys": "As above, with a key at each end, so that everything is encrypted. Bound: the same "
    "without keys, in turn with it.",
    "delivery": "Two processes send blocks to a memory process, and keep each until it is "
    'acknowledged. Bound: the same, sent and forgotten (`links.delivery = "plain"`), in turn with '
    "it.",
    "learner": "`fed_over_tcp` samples from a memory process; `role` is the whole learner, which "
    "publishes, reports and serves as well. Bound: the same trainer, fed from a list. "
    "`compiling`: seconds until updates are compiled, without and with an earlier run's.",
    "collector": "One collector with its memory and an idle learner. Bound: its environments "
    "stepped with random actions. The last ratio is to environments stepped with the network's.",
    "scaling": "`zdqn run` on an environment that sleeps 10 ms a step. Bound: N times one bare "
    "environment.",
    "actions": "Eight processes ask for one action at a time. Bound: a bare server of the same "
    "network, or the learner's speed with nobody asking.",
    "weights": "The learner's speed with subscribers over its speed without. Bound: the same of a "
    "busy loop that sends the same bytes as often.",
    "dashboard": "A run's speed with a dashboard and so many pages, over its speed while the "
    "dashboard stands still; and the time from a row of `metrics.jsonl` into a page, as a number "
    "and as a point of a curve.",
    "growth": "Inserts and samples of 32 transitions, message in to message out. Bound: bare "
    "copies from and to arrays of the same size.",
    "frames": "84x84 frames of one byte a pixel, stacks of 4, 3-step returns. Bound: one frame.",
    "peers": "Each figure beside its peer's, measured in turn.",
    "solve": "From start to exit, until a 20-episode evaluation reaches 475.",
    "parity": "A run for each seed and way, with the same settings: 25,000 steps of CartPole, and "
    "12,000 of a pendulum that three torques swing up.",
}


def describe_machine() -> dict[str, str]:
    """Say what the figures were measured on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    machine = {
        "processor": _line_of("/proc/cpuinfo", "model name") or platform.processor() or "unknown",
        "cores": str(cores),
        "memory": _memory(),
        "system": platform.platform(),
        "Python": platform.python_version(),
    }
    for package in PACKAGES:
        try:
            machine[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return machine


def _memory() -> str:
    kilobytes = _line_of("/proc/meminfo", "MemTotal").removesuffix(" kB")
    return f"{int(kilobytes) * 1024 / 1e9:.1f} GB" if kilobytes.isdecimal() else "unknown"


def _line_of(path: str, key: str) -> str:
    """Give the value of the first line ``key: value`` of a file of Linux, or ""."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""  # another system
    found = (line.partition(":") for line in lines)
    return next((value.strip() for name, _, value in found if name.strip() == key), "")


def page_lines(results: Mapping[str, Result], effort: Effort, day: str) -> list[str]:
    """Write the page.

    Args:
        results: of the benchmarks, by name.
        effort: with which they were measured.
        day: of the measurement.
    """
    lines = [
        "# Benchmarks",
        "",
        f"What `bin/bench` printed on {day}, with {effort.repeats} repetitions of "
        f"{write_number(effort.seconds)} s after one to warm up. Shown are medians with the least "
        "and the greatest. Absolute figures drift by 20 to 30 % on shared machines; ratios were "
        "taken in one run, of measurements made in turn.",
        "",
        *table_lines(("machine", ""), describe_machine().items()),
        "",
        "## Goals",
        "",
    ]
    goals = [figure for result in results.values() for figure in result.figures if figure.goal]
    met = sum(bool(figure.met) for figure in goals)
    lines += [f"{met} of {len(goals)} are met.", ""]
    lines += table_lines(("figure", "unit", "goal", "median", "met"), map(_goal_cells, goals))
    for name, result in results.items():
        lines += ["", f"## {_TITLES[name]}: `zdqn bench {name}`", "", _BOUNDS[name], ""]
        lines += table_lines(COLUMNS, map(figure_cells, result.figures))
        for note in result.notes:
            lines += ["", note]
    return [*lines, ""]


def write_page(
    path: Path, results: Mapping[str, Result], effort: Effort, *, day: str | None = None
) -> None:
    """Write the page to a file.

    Args:
        path: of the file; its folder is made if it is missing.
        results: of the benchmarks, by name.
        effort: with which they were measured.
        day: of the measurement; None for today.

    Raises:
        FileError: when it cannot be written.
    """
    lines = page_lines(results, effort, day or time.strftime("%Y-%m-%d"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines), encoding="utf-8")
    except OSError as error:
        raise FileError(f"Cannot write {path}: {error.strerror}.") from error


def _goal_cells(figure: Figure) -> tuple[str, ...]:
    name, median, _, unit, _, _, goal, met = figure_cells(figure)
    return f"`{name}`", unit or "ratio", goal, median, "yes" if met == "yes" else "**no**"


def table_lines(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Write a table in Markdown, a line for each row after two for the headings."""
    header = list(columns)
    written = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(row) + " |" for row in written]
