"""``zdqn evaluate`` and ``zdqn play``: a trained network without a run."""

from __future__ import annotations

import json
from pathlib import Path

import click

from zdqn.cli.options import FOLDER, json_option

_checkpoint_argument = click.argument("checkpoint", type=click.Path(path_type=Path))
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
@json_option
def evaluate(checkpoint: Path, episodes: int, seed: int, as_json: bool) -> None:
    """Score a checkpoint as the run's evaluators do: greedily but for evaluator.epsilon.

    CHECKPOINT is a file such as best.pt, or a run directory that has one.
    """
    from zdqn.experiments import scoring

    scores = scoring.evaluate(checkpoint, episodes=episodes, seed=seed)
    if as_json:
        values = {
            "episodes": len(scores.returns),
            "mean": scores.mean,
            "deviation": scores.deviation,
            "minimum": min(scores.returns),
            "maximum": max(scores.returns),
            "returns": scores.returns,
            "lengths": scores.lengths,
            "cut": scores.cut,
        }
        click.echo(json.dumps(values))
        return
    click.echo(
        f"return {scores.mean:.6g} ± {scores.deviation:.4g} over {len(scores.returns)} episodes, "
        f"from {min(scores.returns):.6g} to {max(scores.returns):.6g}{scores.cut_text}"
    )


@click.command()
@_checkpoint_argument
@click.option("--video", type=FOLDER, required=True, help="Folder for the film.")
@_seed_option
def play(checkpoint: Path, video: Path, seed: int) -> None:
    """Film one episode of the policy that evaluators play.

    CHECKPOINT is a file such as best.pt, or a run directory that has one.
    """
    from zdqn.experiments import scoring

    scores, film = scoring.play(checkpoint, video=video, seed=seed)
    click.echo(f"return {scores.mean:.6g} in {scores.lengths[0]} steps: {film}")
