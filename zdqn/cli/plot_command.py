"""``zdqn plot``: a run's learning curve, at any time."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path))
def plot(run_dir: Path) -> None:
    """Draw learning_curve.png of a run, which may go on still.

    RUN_DIR is the folder that `zdqn run` or `zdqn train` printed.
    """
    from zdqn.experiments import plots

    click.echo(plots.plot(run_dir))
