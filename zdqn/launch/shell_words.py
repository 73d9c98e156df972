"""What users write, as words and lines of a shell script: nothing here runs one."""

from __future__ import annotations

import shlex

SETUP_FAILED = 113
"""Exit code of a start that ended in a setup line."""


def setup_line(line: str) -> str:
    """Give the lines of a script that run a setup line, and end the script if that fails."""
    if not line.strip() or line.lstrip().startswith("#"):
        return line  # braces around nothing are a mistake to a shell
    said = shlex.quote(f"setup failed: {line}")
    return f"{{ {line}\n}} || {{ echo {said} >&2; exit {SETUP_FAILED}; }}"


def shell_path(path: str) -> str:
    """Quote a path for a shell; ``~/`` at its beginning stays the home folder there."""
    if path.startswith("~/"):
        return f'"$HOME"/{shlex.quote(path[2:])}' if path[2:] else '"$HOME"'
    return shlex.quote(path)
