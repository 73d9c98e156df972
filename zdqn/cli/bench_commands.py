"""``zdqn bench``: what zdqn does in a second, beside what the bare machine could."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from zdqn.cli.options import Decorated, json_option
from zdqn.launch.handled_signals import handled

if TYPE_CHECKING:
    from zdqn.benchmarks.bench_configs import ConfigurationRow
    from zdqn.benchmarks.measuring import Effort, Result, Say

_REPEATS, _SECONDS = 5, 2.0
_QUICK_REPEATS, _QUICK_SECONDS = 2, 0.5

_OWN_OPTIONS = {
    "policy": click.option(
        "--policy",
        type=click.Choice(("local", "remote")),
        default="local",
        show_default=True,
        help="Where collectors get their actions from.",
    ),
    "seeds": click.option(
        "--seeds",
        type=click.IntRange(min=1),
        default=5,
        show_default=True,
        help="Runs, from seed 0.",
    ),
    "config": click.option(
        "--config", type=click.Path(path_type=Path), help="Instead of configs/cartpole.toml."
    ),
    "task": click.option(
        "--task",
        type=click.Choice(("cartpole", "pendulum", "both")),
        default="both",
        show_default=True,
        help="What is learned.",
    ),
    "lags": click.option(
        "--lags",
        is_flag=True,
        help="Put each lag of four collectors back, or take it away, one at a time.",
    ),
    "sb3_python": click.option(
        "--sb3-python",
        metavar="PATH",
        default="",
        help="Python that has stable-baselines3; by default this one.",
    ),
    "sbx_python": click.option(
        "--sbx-python",
        metavar="PATH",
        default="",
        help="Python that has sbx-rl; by default this one.",
    ),
    "reverb_python": click.option(
        "--reverb-python",
        metavar="PATH",
        default="",
        help="Python that has dm-reverb and TensorFlow, an environment of its own.",
    ),
}
"""What only some benchmarks take, by the name of their parameter."""

_EFFORT_OPTIONS = (
    click.option(
        "--repeats",
        type=click.IntRange(min=1),
        help=f"Measurements of each figure; {_REPEATS}, or {_QUICK_REPEATS} with --quick.",
    ),
    click.option(
        "--seconds",
        type=click.FloatRange(min=0, min_open=True),
        help=f"Length of one measurement; {_SECONDS:g}, or {_QUICK_SECONDS:g} with --quick.",
    ),
    click.option("--quick", is_flag=True, help="Measure fewer cases for a short time."),
)


class _Benchmark(NamedTuple):
    summary: str
    takes: tuple[str, ...] = ()
    """Of `_OWN_OPTIONS`."""


_BENCHMARKS = {
    "frames": _Benchmark("Bytes of a transition of stacked frames."),
    "growth": _Benchmark("Time per insert and sample as the replay grows."),
    "insert": _Benchmark("Transitions a second into a memory process."),
    "storage": _Benchmark("Inserts and samples of a replay on disk, beside one in RAM."),
    "sample": _Benchmark("Batches a second out of a memory process."),
    "keys": _Benchmark("Inserts and samples with keys, beside the same without."),
    "delivery": _Benchmark("Inserts that are acknowledged, beside the same that are not."),
    "learner": _Benchmark("Updates a second, fed by a memory over TCP and from a list."),
    "collector": _Benchmark("Environment steps a second of one collector."),
    "actions": _Benchmark("Greedy actions a second for remote-policy collectors."),
    "weights": _Benchmark("Speed that the learner keeps with up to 200 subscribers."),
    "dashboard": _Benchmark("Speed that a run keeps while up to 8 pages look on."),
    "scaling": _Benchmark("Environment steps a second of 1 to 32 collectors.", ("policy",)),
    "peers": _Benchmark(
        "Zdqn beside Stable-Baselines3, SBX and Reverb, if installed.",
        ("sb3_python", "sbx_python", "reverb_python"),
    ),
    "solve": _Benchmark(
        "Seconds until CartPole-v1 is solved, beside SB3's.", ("seeds", "config", "sb3_python")
    ),
    "parity": _Benchmark(
        "What a step teaches: one process, 1 to 16 collectors, SB3.",
        ("seeds", "task", "lags", "sb3_python"),
    ),
}
"""In the order in which `all` runs them, the quick ones first."""

ALL = tuple(_BENCHMARKS)

_TAKEN_BY_ALL = ("policy", "seeds", "sb3_python", "sbx_python", "reverb_python")


def _options(*own: str) -> Callable[[Decorated], Decorated]:
    """Make a decorator that gives a command those of its own and what every benchmark has."""
    options = (*(_OWN_OPTIONS[name] for name in own), *_EFFORT_OPTIONS, json_option)

    def decorate(command: Decorated) -> Decorated:
        for option in reversed(options):  # click shows first what comes last
            command = option(command)
        return command

    return decorate


def _effort(repeats: int | None, seconds: float | None, quick: bool) -> Effort:
    from zdqn.benchmarks.measuring import Effort

    return Effort(
        repeats=repeats or (_QUICK_REPEATS if quick else _REPEATS),
        seconds=seconds or (_QUICK_SECONDS if quick else _SECONDS),
        quick=quick,
    )


@contextmanager
def _shown(title: str) -> Iterator[Say]:
    """Show what is measured, and since when; a log has a line for each case as it begins."""
    from zdqn.launch.waiting import shown_progress

    with shown_progress(title) as progress:

        def say(text: str) -> None:
            progress.doing(text)
            if not sys.stderr.isatty():
                click.echo(f"-- {text}", err=True)

        yield say


def _measure(name: str, effort: Effort, *, place: str = "", **options: Any) -> Result:
    import importlib

    from zdqn.benchmarks.processes import use_one_thread_each

    use_one_thread_each()
    with _leaving_on_sigterm(), _shown(f"bench {name}{place}") as say:
        benchmark = importlib.import_module(f"zdqn.benchmarks.bench_{name}")
        result: Result = benchmark.measure(effort, say, **options)
    return result


@contextmanager
def _leaving_on_sigterm() -> Iterator[None]:
    """End on SIGTERM as on Ctrl-C, so that the processes of a measurement end too."""

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    with handled(signal.SIGTERM, by=leave):
        yield


def _show(name: str, result: Result, as_json: bool) -> None:
    from zdqn.benchmarks.measuring import print_result, to_json

    if as_json:
        click.echo(to_json({name: result}))
    else:
        print_result(name, result)


@click.group()
def bench() -> None:
    """Measure zdqn on this machine.

    Every figure is the median of some repetitions after a warm-up, with the least and the greatest
    of them. "bound" is what the bare machine did in the same run, "ratio" how close zdqn came.
    Nothing else should run meanwhile.
    """


def _add(name: str) -> None:
    """Add the command that runs one benchmark."""
    benchmark = _BENCHMARKS[name]

    def command(
        repeats: int | None, seconds: float | None, quick: bool, as_json: bool, **own: Any
    ) -> None:
        _show(name, _measure(name, _effort(repeats, seconds, quick), **own), as_json)

    command.__doc__ = benchmark.summary
    bench.command(name)(_options(*benchmark.takes)(command))


for _name in ALL:
    _add(_name)


@bench.command(name="configs")
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Runs of each configuration, from seed 0.",
)
@click.option(
    "--limit-s",
    type=click.FloatRange(min=0),
    default=0.0,
    help="Seconds of training after which a run is ended, which the table says; 0 for none.",
)
@click.option(
    "--config",
    "configs",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    help="Only this one; may be given several times. By default all in configs/.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page with the table here, such as docs/configurations.md; rows that it has of "
    "other configurations stay.",
)
@json_option
def run_configs(
    seeds: int, limit_s: float, configs: tuple[Path, ...], output: Path | None, as_json: bool
) -> None:
    """What each shipped configuration reaches; hours without a limit.

    Each is run as its first lines say, to an end condition of its own. What wants an extra that is
    not installed is left out, which the table says.
    """
    from zdqn.benchmarks.bench_configs import page_text, to_json, write_page

    rows: list[ConfigurationRow] = []
    for row in _measure_configs(seeds=seeds, limit_s=limit_s, configs=configs):
        rows.append(row)
        if output is not None:  # after each, so that what was measured is not lost
            write_page(output, rows)
    if as_json:
        click.echo(to_json(rows))
    else:
        click.echo(page_text(rows, ""), nl=False)
    if output is not None:
        click.echo(f"wrote {output}", err=True)


def _measure_configs(**options: Any) -> Iterator[ConfigurationRow]:
    from zdqn.benchmarks import bench_configs

    with _leaving_on_sigterm(), _shown("bench configs") as say:
        yield from bench_configs.measure(say, **options)


@bench.command(name="all")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page with all tables here, such as docs/benchmarks.md.",
)
@_options(*_TAKEN_BY_ALL)
def run_all(
    output: Path | None,
    repeats: int | None,
    seconds: float | None,
    quick: bool,
    as_json: bool,
    **own: Any,
) -> None:
    """All but configs, one after the other; takes about an hour."""
    from zdqn.benchmarks.measuring import to_json
    from zdqn.benchmarks.page import write_page

    effort = _effort(repeats, seconds, quick)
    results = {}
    for number, (name, benchmark) in enumerate(_BENCHMARKS.items(), 1):
        given = {option: own[option] for option in benchmark.takes if option in own}
        place = f", {number} of {len(_BENCHMARKS)}"
        results[name] = _measure(name, effort, place=place, **given)
        if not as_json:
            _show(name, results[name], as_json)
        if output is not None:  # after each, so that what was measured is not lost
            write_page(output, results, effort)
    if as_json:
        click.echo(to_json(results))
    elif output is not None:
        click.echo(f"wrote {output}")
