"""``zdqn plot``: a run's learning curve, at any time, and several runs in one picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from zdqn.experiments.return_curves import Axis


@click.command()
@click.argument(
    "run_dirs", metavar="RUN_DIR...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--by",
    metavar="SECTION.KEY",
    help="Draw runs with one value of this key together: interquartile mean and 95 % interval.",
)
@click.option(
    "--smooth",
    type=click.IntRange(min=1),
    metavar="N",
    help="Make each point the mean of N returns of its run.",
)
@click.option(
    "--x",
    "axis",
    type=click.Choice(("steps", "time", "episodes")),
    help="What lies under the curves.  [default: steps]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the picture here: .png, .svg or .pdf.  [default: runs.png]",
)
def plot(
    run_dirs: tuple[Path, ...],
    by: str | None,
    smooth: int | None,
    axis: Axis | None,
    out: Path | None,
) -> None:
    """Draw the learning curve of a run, or of several in one picture.

    RUN_DIR is the folder that `zdqn run` or `zdqn train` printed; runs may go on still. One alone,
    without an option, is drawn into its folder as learning_curve.png, with loss and epsilon.
    """
    from zdqn.launch.waiting import shown_progress

    if len(run_dirs) == 1 and (by, smooth, axis, out) == (None, None, None, None):
        with shown_progress(f"drawing {run_dirs[0]}"):
            from zdqn.experiments import plots

            drawn = plots.plot(run_dirs[0])
        click.echo(drawn)
        return
    with shown_progress("reading runs", len(run_dirs), "runs") as read:
        from zdqn.experiments.several_runs import plot_runs

        drawn = plot_runs(
            run_dirs,
            out or Path("runs.png"),
            by=by,
            smooth=smooth or 1,
            axis=axis or "steps",
            on_run=read,
        )
    click.echo(drawn)
