"""``zdqn evaluate``, ``play`` and ``export``: a trained network without a run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zdqn.cli.options import FOLDER, json_option

if TYPE_CHECKING:
    from zdqn.data import EvaluationScores

_checkpoint_argument = click.argument("checkpoint", type=click.Path(path_type=Path))
_NEW_FILE = click.Path(path_type=Path, dir_okay=False)
_seed_option = click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of the environments.",
)


@click.command()
@_checkpoint_argument
@click.option(
    "--episodes",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Episodes to play.",
)
@_seed_option
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Play as many episodes with each of so many seeds, from --seed on.",
)
@click.option(
    "--environment",
    "environments",
    metavar="ID",
    multiple=True,
    help="Play in this environment, not in the run's, which it must look like; repeatable.",
)
@json_option
def evaluate(
    checkpoint: Path,
    episodes: int,
    seed: int,
    seeds: int,
    environments: tuple[str, ...],
    as_json: bool,
) -> None:
    """Score a checkpoint as the run's evaluators do.

    CHECKPOINT is a file such as best.pt, or a run directory that has one. It acts greedily, but for
    evaluator.epsilon. The interval is of the mean return of this network: episodes are drawn again
    and again from those that were played (bootstrap). Of other networks, trained with other seeds,
    it says nothing.
    """
    from zdqn.launch.waiting import shown_progress

    found: list[EvaluationScores] = []
    each = episodes * seeds
    with shown_progress("evaluating", each * max(1, len(environments)), "episodes") as played:
        from zdqn.experiments import scoring

        def tell(count: int) -> None:
            played(len(found) * each + count)

        for environment in environments or (None,):
            scores = scoring.evaluate(
                checkpoint,
                episodes=episodes,
                seed=seed,
                seeds=seeds,
                environment=environment,
                on_episode=tell,
            )
            found.append(scores)
    if not as_json:
        for scores, name in zip(found, environments or ("",), strict=True):
            _say_scores(scores, seeds, name)
    elif environments:
        named = zip(environments, found, strict=True)
        values = [{"environment": name, **_values_of(scores, seeds)} for name, scores in named]
        click.echo(json.dumps({"environments": values}))
    else:
        click.echo(json.dumps(_values_of(found[0], seeds)))


def _values_of(scores: EvaluationScores, seeds: int) -> dict[str, Any]:
    from zdqn.experiments.run_statistics import CONFIDENCE, mean_interval

    return {
        "episodes": len(scores.returns),
        "seeds": seeds,
        "confidence": CONFIDENCE,
        "interval": mean_interval(scores.returns),
        "mean": scores.mean,
        "deviation": scores.deviation,
        "minimum": min(scores.returns),
        "maximum": max(scores.returns),
        "returns": scores.returns,
        "lengths": scores.lengths,
        "cut": scores.cut,
    }


def _say_scores(scores: EvaluationScores, seeds: int, environment: str) -> None:
    from zdqn.experiments.run_statistics import CONFIDENCE, mean_interval

    interval = mean_interval(scores.returns)
    if environment:
        click.echo(f"{environment}:")
    click.echo(
        f"return {scores.mean:.6g} ± {scores.deviation:.4g} over {len(scores.returns):,} episodes, "
        f"from {min(scores.returns):.6g} to {max(scores.returns):.6g}{scores.cut_text}"
    )
    if interval is not None:
        of_seeds = f" of {seeds} seeds" if seeds > 1 else ""
        click.echo(
            f"mean from {interval.low:.6g} to {interval.high:.6g} with {100 * CONFIDENCE:.0f} % "
            f"confidence (bootstrap, n = {len(scores.returns):,} episodes{of_seeds})"
        )


@click.command()
@_checkpoint_argument
@click.option("--video", type=FOLDER, help="Film one episode into this folder, without a window.")
@click.option(
    "--episodes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Episodes to play in a window.",
)
@_seed_option
def play(checkpoint: Path, video: Path | None, episodes: int, seed: int) -> None:
    """Show the policy that evaluators play, in a window or as a film.

    CHECKPOINT is a file such as best.pt, or a run directory that has one.
    """
    from zdqn.errors import UsageError
    from zdqn.launch.waiting import shown_progress

    if video is None:
        with shown_progress("playing", episodes, "episodes") as played:
            from zdqn.experiments import showing

            scores = showing.show(checkpoint, episodes=episodes, seed=seed, on_episode=played)
        for number, (total, length) in enumerate(zip(scores.returns, scores.lengths, strict=True)):
            click.echo(f"episode {number:,}: return {total:.6g} in {length:,} steps")
        return
    if episodes > 1:
        raise UsageError(f"--episodes is {episodes}, but a film is of one. Leave out --video.")
    if not {"DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR"} & os.environ.keys():
        # else SDL looks for a screen, and prints an error of its own when there is none
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    with shown_progress("filming", None, "steps") as filmed:
        from zdqn.experiments import showing

        scores, film = showing.play(checkpoint, video=video, seed=seed, on_step=filmed)
    click.echo(f"return {scores.mean:.6g} in {scores.lengths[0]:,} steps: {film}")


@click.command()
@_checkpoint_argument
@click.option("--onnx", type=_NEW_FILE, help="Write an ONNX file, of observations to values.")
@click.option("--safetensors", type=_NEW_FILE, help="Write the weights, by their names.")
@click.option(
    "--torchscript",
    type=_NEW_FILE,
    help="Write a TorchScript file; PyTorch deprecates it, and ONNX is the format that lasts.",
)
@click.option(
    "--observations",
    type=click.IntRange(min=1),
    default=1_000,
    show_default=True,
    help="Observations of the environment on which actions are compared.",
)
@_seed_option
def export(
    checkpoint: Path,
    onnx: Path | None,
    safetensors: Path | None,
    torchscript: Path | None,
    observations: int,
    seed: int,
) -> None:
    """Write a network for other programs, if it acts alike there.

    CHECKPOINT is a file such as best.pt, or a run directory that has one. The environment is made
    and stepped, and the actions of both are compared.
    """
    from zdqn.errors import UsageError
    from zdqn.launch.waiting import shown_progress

    files = {".onnx": onnx, ".safetensors": safetensors, ".torchscript": torchscript}
    if not any(files.values()):
        raise UsageError(
            "There is nothing to write. Give --onnx FILE, --safetensors FILE or "
            "--torchscript FILE, or several of them."
        )
    for suffix, file in files.items():
        if file is None:
            continue
        if file.suffix != suffix:
            raise UsageError(f"--{suffix[1:]} is {file}; its name must end in {suffix}.")
        with shown_progress(f"writing {file}", observations, "observations") as compared:
            from zdqn.experiments import exporting

            exported = exporting.export(
                checkpoint, file, observations=observations, seed=seed, on_observation=compared
            )
        click.echo(
            f"{exported.path}: the same actions for {exported.observations:,} of "
            f"{exported.observations:,} observations, values within "
            f"{exported.largest_difference:.2g}"
        )
