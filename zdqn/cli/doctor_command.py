"""``zdqn doctor``: what would keep a run from working, before it does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zdqn.cli.options import (
    EXISTING_FILE,
    FOLDER,
    client_config,
    json_option,
    keys_option,
    set_option,
)

if TYPE_CHECKING:
    from zdqn.doctor import Finding

_SUBJECT_WIDTH = 21
_MARKS = {"good": ("ok", "green"), "odd": ("look", "yellow"), "bad": ("BAD", "red")}
"""Verdict to the word for it, and its color."""
_MARK_WIDTH = 5


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
    from zdqn.wire.keys.role_keys import open_keys

    config = client_config(config_path, overrides)
    folder = config.security.keys if keys is None and config is not None else keys
    found = examine(
        config,
        memory=memory,
        learner=learner,
        run_directory=run_directory,
        keys=open_keys(folder, "operator"),
    )
    findings = []
    for finding in found:
        findings.append(finding)
        if not as_json:
            _show(finding)
    if as_json:
        click.echo(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        click.echo(_sum_up(findings))
    codes = [finding.exit_code for finding in findings if finding.exit_code]
    click.get_current_context().exit(codes[0] if codes else 0)


def _show(finding: Finding) -> None:
    """Print a finding; its lines are broken between words, and begin below each other."""
    import sys

    from zdqn.launch.canvas import terminal_width
    from zdqn.launch.lines import broken, printable

    word, color = _MARKS[finding.verdict]
    width = terminal_width(sys.stdout)
    text, remedy = printable(finding.text), printable(finding.remedy)
    if remedy:
        text += f"{'' if text.endswith(('.', '?')) else '.'} {remedy}"
    indent = _MARK_WIDTH + _SUBJECT_WIDTH
    lines = [text] if width is None else broken(text, max(width - indent, 20))
    head = click.style(f"{word:<{_MARK_WIDTH}}", fg=color) + f"{finding.subject:<{_SUBJECT_WIDTH}}"
    for number, line in enumerate(lines):
        click.echo(f"{'' if number else head}{' ' * indent if number else ''}{line}")


def _sum_up(findings: list[Finding]) -> str:
    """Say in a line how many of the findings want something done."""
    from zdqn.launch.wording import counted

    verdicts = [str(finding.verdict) for finding in findings]
    bad, odd = verdicts.count("bad"), verdicts.count("odd")
    if not bad and not odd:
        return f"{counted(len(findings), 'thing')} looked at: all are well"
    parts = [f"{bad} would keep a run from working"] if bad else []
    parts += [f"{odd} to look at"] if odd else []
    return f"{counted(len(findings), 'thing')} looked at: {', '.join(parts)}"
