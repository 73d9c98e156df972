"""``zdqn report``: a run as one HTML page."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run_dir", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the page here, not to report.html in the run's folder.",
)
def report(run_dir: Path, out: Path | None) -> None:
    """Write a run as one HTML page that loads nothing else.

    RUN_DIR is the folder that `zdqn run` or `zdqn train` printed; the run may go on still.
    """
    from zdqn.launch.waiting import shown_progress

    with shown_progress(f"reading {run_dir}"):
        from zdqn.experiments.report_page import write_report

        page = write_report(run_dir, out)
    click.echo(page)
