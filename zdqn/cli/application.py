"""The ``zdqn`` command: finds its subcommands, and turns errors into one paragraph."""

from __future__ import annotations

import importlib
import keyword
import logging
import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import click

from zdqn.cli.signals import exit_code_of
from zdqn.errors import EnvironmentFailedError, ZdqnError

_GROUPS = {
    "Training": {
        "run": "zdqn.cli.train_commands",
        "train": "zdqn.cli.train_commands",
        "launch": "zdqn.cli.launch_command",
        "chaos": "zdqn.cli.chaos_command",
    },
    "Roles, one by one": {
        "memory": "zdqn.cli.role_commands",
        "learner": "zdqn.cli.role_commands",
        "collector": "zdqn.cli.role_commands",
        "evaluator": "zdqn.cli.role_commands",
        "import": "zdqn.cli.import_command",
    },
    "A run that goes on": {
        "status": "zdqn.cli.status_commands",
        "top": "zdqn.cli.top_command",
        "dashboard": "zdqn.cli.dashboard_command",
        "logs": "zdqn.cli.run_commands",
        "restart": "zdqn.cli.run_commands",
        "stop": "zdqn.cli.status_commands",
    },
    "What runs have learned": {
        "evaluate": "zdqn.cli.checkpoint_commands",
        "play": "zdqn.cli.checkpoint_commands",
        "export": "zdqn.cli.checkpoint_commands",
        "plot": "zdqn.cli.plot_command",
        "compare": "zdqn.cli.compare_command",
        "report": "zdqn.cli.report_command",
    },
    "Studies of several runs": {
        "study": "zdqn.cli.study_commands",
        "ablate": "zdqn.cli.study_commands",
        "scale": "zdqn.cli.study_commands",
    },
    "Before and besides": {
        "config": "zdqn.cli.config_commands",
        "keys": "zdqn.cli.keys_commands",
        "doctor": "zdqn.cli.doctor_command",
        "bench": "zdqn.cli.bench_commands",
    },
}
"""Commands by the groups of ``--help``, in its order: name to the module that defines it."""

_COMMANDS = {name: module for group in _GROUPS.values() for name, module in group.items()}

_INTERNAL_ERROR = 70


class Application(click.Group):
    """Loads a command when it is used, and ends with the exit codes of `zdqn.errors`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command."""
        if cmd_name not in _COMMANDS:
            return None
        function = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        command = getattr(importlib.import_module(_COMMANDS[cmd_name]), function)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by their groups, all with their texts in one column."""
        longest = max(map(len, _COMMANDS))
        room = formatter.width - longest - 4  # an indentation and a gap, of two each
        for title, names in _GROUPS.items():
            commands = {name: self.get_command(ctx, name) for name in names}
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (name.ljust(longest), command.get_short_help_str(room))
                        for name, command in commands.items()
                        if command is not None
                    ]
                )

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a user's mistake is one paragraph, not a traceback."""
        try:
            return super().invoke(ctx)
        except ZdqnError as error:
            where = ""
            if isinstance(error, EnvironmentFailedError) and error.__cause__ is not None:
                where = _keep_traceback()  # it is the user's code that has to be mended
            click.echo(f"error: {error}{where}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            ctx.exit(exit_code_of("SIGINT"))
        except (click.ClickException, click.exceptions.Exit, click.Abort, OSError) as error:
            if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
                self._explain_internal(ctx, error)
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is ours to explain
            self._explain_internal(ctx, error)

    def _explain_internal(self, ctx: click.Context, error: Exception) -> None:
        click.echo(
            f"error: zdqn broke: {type(error).__name__}: {error}. This is a fault of zdqn, or of "
            f"code that it was given.{_keep_traceback()}",
            err=True,
        )
        ctx.exit(_INTERNAL_ERROR)


def _keep_traceback() -> str:
    """Put the traceback of the error at hand into a file and say where, or give it for debug."""
    trace = traceback.format_exc()
    if logging.getLogger("zdqn").isEnabledFor(logging.DEBUG):
        return f"\n{trace}"
    try:
        handle, name = tempfile.mkstemp(prefix="zdqn-traceback-", suffix=".txt", text=True)
        os.close(handle)
        Path(name).write_text(trace, encoding="utf-8")
    except OSError:
        return " --log-level debug prints the traceback."
    return f" The traceback is in {name}; --log-level debug prints it."


@click.group("zdqn", cls=Application, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="zdqn", message="zdqn %(version)s")
def application() -> None:
    """Train deep Q-networks with small processes that talk over ZeroMQ.

    `zdqn run CONFIG` starts everything on this machine. The roles can also be started one by one,
    in any order, on any machines: a memory, a learner, collectors and evaluators.

    \b
    Exit codes: 0 done, 2 usage, 69 a server did not answer, 70 a role or an
    environment broke, 73 address in use, 74 file, 75 replaced by a newer
    learner, 76 peers do not match, 77 keys, 78 configuration.
    """  # noqa: D301 - click takes the control character as "keep these lines"
    # so that "module:factory" finds a module in the current folder; last, so that it hides nothing
    if "" not in sys.path:
        sys.path.append("")
