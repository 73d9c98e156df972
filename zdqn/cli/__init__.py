"""The command line: each command parses, builds a role or a run, and runs it."""

from __future__ import annotations

from zdqn.cli.application import application


def main() -> None:
    """Run the ``zdqn`` command."""
    application()
