"""``zdqn doctor``: what would keep a run from working, before it does."""

from __future__ import annotations

import json
from pathlib import Path

import click

from zdqn.cli.findings_page import show_finding, sum_up
from zdqn.cli.options import (
    EXISTING_FILE,
    FOLDER,
    client_config,
    json_option,
    keys_option,
    set_option,
)

_SUBJECT_WIDTH = 21


@click.command()
@click.argument("config_path", metavar="[CONFIG]", type=EXISTING_FILE, required=False)
@set_option
@click.option("--memory", metavar="ADDR", help="Look at a memory that is up, and the way to it.")
@click.option("--learner", metavar="ADDR", help="Look at a learner that is up, and the way to it.")
@click.option(
    "--run", "run_directory", metavar="RUN_DIR", type=FOLDER, help="Look at a run's folder."
)
@keys_option
@json_option
def doctor(
    config_path: Path | None,
    overrides: tuple[str, ...],
    memory: str | None,
    learner: str | None,
    run_directory: Path | None,
    keys: Path | None,
    as_json: bool,
) -> None:
    """Look for what would keep a run from working, and say the way out.

    Without arguments it looks at this machine. With CONFIG it makes and steps the environment, and
    looks at whether the replay fits and the ports are free. Nothing is changed anywhere.

    The exit code is 0 if a run would work, else that of the error it would end with.
    """
    from zdqn.doctor import examine
    from zdqn.launch.waiting import shown_progress
    from zdqn.wire.keys.role_keys import open_keys

    config = client_config(config_path, overrides)
    folder = config.security.keys if keys is None and config is not None else keys
    operator = open_keys(folder, "operator")
    findings = []
    with shown_progress("looking") as progress:
        for finding in examine(
            config,
            memory=memory,
            learner=learner,
            run_directory=run_directory,
            keys=operator,
            say=progress.doing,
        ):
            findings.append(finding)
            if not as_json:
                show_finding(
                    finding.verdict, finding.subject, finding.text, finding.remedy, _SUBJECT_WIDTH
                )
    if as_json:
        click.echo(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        click.echo(sum_up([finding.verdict for finding in findings], "thing"))
    codes = [finding.exit_code for finding in findings if finding.exit_code]
    click.get_current_context().exit(codes[0] if codes else 0)
