"""``zdqn bench``: what zdqn does in a second, beside what the bare machine could."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from zdqn.cli.options import json_option

if TYPE_CHECKING:
    from zdqn.benchmarks.measuring import Effort, Result

Decorated = TypeVar("Decorated", bound=Callable[..., object])

_REPEATS, _SECONDS = 5, 2.0
_QUICK_REPEATS, _QUICK_SECONDS = 2, 0.5

ALL = (
    "frames", "growth", "insert", "sample", "learner", "collector", "actions", "weights",
    "scaling", "peers", "solve",
)  # fmt: skip
"""The benchmarks in the order in which `all` runs them, the quick ones first."""


def _effort_options(command: Decorated) -> Decorated:
    for option in (
        click.option("--quick", is_flag=True, help="Measure fewer cases for a short time."),
        click.option(
            "--seconds",
            type=click.FloatRange(min=0, min_open=True),
            help=f"Length of one measurement; {_SECONDS:g}, or {_QUICK_SECONDS:g} with --quick.",
        ),
        click.option(
            "--repeats",
            type=click.IntRange(min=1),
            help=f"Measurements of each figure; {_REPEATS}, or {_QUICK_REPEATS} with --quick.",
        ),
    ):
        command = option(command)
    return command


_policy_option = click.option(
    "--policy",
    type=click.Choice(("local", "remote")),
    default="local",
    show_default=True,
    help="Where collectors get their actions from.",
)
_seeds_option = click.option(
    "--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="Runs, from seed 0."
)
_sb3_option = click.option(
    "--sb3-python",
    metavar="PATH",
    default="",
    help="Python that has stable-baselines3; by default this one.",
)
_reverb_option = click.option(
    "--reverb-python",
    metavar="PATH",
    default="",
    help="Python that has dm-reverb and TensorFlow, an environment of its own.",
)


def _effort(repeats: int | None, seconds: float | None, quick: bool) -> Effort:
    from zdqn.benchmarks.measuring import Effort

    return Effort(
        repeats=repeats or (_QUICK_REPEATS if quick else _REPEATS),
        seconds=seconds or (_QUICK_SECONDS if quick else _SECONDS),
        quick=quick,
    )


def _say(text: str) -> None:
    click.echo(f"-- {text}", err=True)


def _measure(name: str, effort: Effort, **options: Any) -> Result:
    import importlib

    from zdqn.benchmarks.processes import use_one_thread_each

    use_one_thread_each()
    result: Result = importlib.import_module(f"zdqn.benchmarks.{name}").measure(
        effort, _say, **options
    )
    return result


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


def _add_plain(name: str, summary: str) -> None:
    """Add a benchmark that has no options of its own."""

    def command(repeats: int | None, seconds: float | None, quick: bool, as_json: bool) -> None:
        _show(name, _measure(name, _effort(repeats, seconds, quick)), as_json)

    command.__doc__ = summary
    bench.command(name)(_effort_options(json_option(command)))


for _name, _summary in (
    ("insert", "Transitions a second into a memory process."),
    ("sample", "Batches a second out of a memory process."),
    ("learner", "Updates a second, fed by a memory over TCP and from a list."),
    ("collector", "Environment steps a second of one collector."),
    ("actions", "Greedy actions a second for remote-policy collectors."),
    ("weights", "Speed that the learner keeps with up to 200 subscribers."),
    ("growth", "Time per insert and sample as the replay grows."),
    ("frames", "Bytes of a transition of stacked frames."),
):
    _add_plain(_name, _summary)


@bench.command()
@_policy_option
@_effort_options
@json_option
def scaling(
    policy: str, repeats: int | None, seconds: float | None, quick: bool, as_json: bool
) -> None:
    """Environment steps a second of 1 to 32 collectors."""
    result = _measure("scaling", _effort(repeats, seconds, quick), policy=policy)
    _show("scaling", result, as_json)


@bench.command()
@_seeds_option
@click.option("--config", type=click.Path(path_type=Path), help="Instead of configs/cartpole.toml.")
@_sb3_option
@_effort_options
@json_option
def solve(
    seeds: int,
    config: Path | None,
    sb3_python: str,
    repeats: int | None,
    seconds: float | None,
    quick: bool,
    as_json: bool,
) -> None:
    """Seconds until CartPole-v1 is solved, beside SB3's."""
    effort = _effort(repeats, seconds, quick)
    result = _measure("solve", effort, seeds=seeds, config=config, sb3_python=sb3_python)
    _show("solve", result, as_json)


@bench.command()
@_sb3_option
@_reverb_option
@_effort_options
@json_option
def peers(
    sb3_python: str,
    reverb_python: str,
    repeats: int | None,
    seconds: float | None,
    quick: bool,
    as_json: bool,
) -> None:
    """Zdqn beside Stable-Baselines3 and Reverb, where they are installed."""
    effort = _effort(repeats, seconds, quick)
    result = _measure("peers", effort, sb3_python=sb3_python, reverb_python=reverb_python)
    _show("peers", result, as_json)


@bench.command(name="all")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page with all tables here, such as docs/benchmarks.md.",
)
@_policy_option
@_seeds_option
@_sb3_option
@_reverb_option
@_effort_options
@json_option
def run_all(
    output: Path | None,
    policy: str,
    seeds: int,
    sb3_python: str,
    reverb_python: str,
    repeats: int | None,
    seconds: float | None,
    quick: bool,
    as_json: bool,
) -> None:
    """All of them, one after the other; takes about an hour."""
    from zdqn.benchmarks.measuring import to_json
    from zdqn.benchmarks.page import write_page

    effort = _effort(repeats, seconds, quick)
    options: dict[str, dict[str, Any]] = {
        "scaling": {"policy": policy},
        "peers": {"sb3_python": sb3_python, "reverb_python": reverb_python},
        "solve": {"seeds": seeds, "sb3_python": sb3_python},
    }
    results = {}
    for name in ALL:
        results[name] = _measure(name, effort, **options.get(name, {}))
        if not as_json:
            _show(name, results[name], as_json)
        if output is not None:  # after each, so that what was measured is not lost
            write_page(output, results, effort)
    if as_json:
        click.echo(to_json(results))
    elif output is not None:
        click.echo(f"wrote {output}")
