"""The commands with which hosts are reached, as text: nothing here runs one.

What comes from a user's file goes through a shell on the other side, so that all of it is quoted
here; orders and secrets never stand on a command line.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zdqn.config.cluster_sections import SshSection, SyncSection
from zdqn.launch.cluster.cluster_plan import PlannedHost
from zdqn.launch.shell_words import setup_line, shell_path

AGENT_MODULE = "zdqn.launch.cluster"
_BEATS = 3


@dataclass(frozen=True)
class SshUse:
    """How ssh is called for every host of a run.

    Attributes:
        settings: of the cluster's file.
        control_path: the socket through which calls for one host share a connection; ssh replaces
            ``%C``.
        folder: that a relative path of `settings` starts from.
    """

    settings: SshSection
    control_path: str
    folder: Path = Path()


def ssh_argv(use: SshUse, host: str, command: str) -> list[str]:
    """Give the command that has a shell of a host run a command.

    Nothing is asked (BatchMode), and whether a host key is trusted is the user's configuration's
    to say: one that is not known is refused.

    Args:
        use: how ssh is called.
        host: what ssh calls it.
        command: for the login shell there.
    """
    return [*_ssh(use), "--", host, command]


def _ssh(use: SshUse) -> list[str]:
    settings = use.settings
    config = ["-F", str(use.folder / Path(settings.config).expanduser())] if settings.config else []
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": settings.timeout_s,
        "ServerAliveInterval": max(settings.alive_s // _BEATS, 1),
        "ServerAliveCountMax": _BEATS,
        "ControlMaster": "auto",
        "ControlPath": use.control_path,
        "ControlPersist": "no",
    }
    return ["ssh", *config, "-T", *(f"-o{name}={value}" for name, value in options.items())]


def hostname_argv(use: SshUse, host: str) -> list[str]:
    """Give the command that prints what ssh knows of a host, without connecting to it."""
    return [*_ssh(use), "-G", "--", host]


def hostname_from(printed: str) -> str:
    """Find the host name that ssh connects to in what `hostname_argv` prints; "" if it is not."""
    lines = (line.split(" ", 1) for line in printed.splitlines())
    return next((words[1].strip() for words in lines if words[0] == "hostname"), "")


def rsync_argv(use: SshUse, host: str, sync: SyncSection) -> list[str]:
    """Give the command that copies files to a host; it removes nothing there.

    Args:
        use: how ssh is called.
        host: what ssh calls it.
        sync: what is copied, and where to.
    """
    source = str(use.folder / Path(sync.source).expanduser())
    if sync.source.endswith("/"):  # of a folder what is in it, and not itself, as rsync has it
        source += "/"
    target = sync.target.removeprefix("~/") or "."
    return [
        "rsync",
        "--archive",
        "--compress",
        "--protect-args",
        "--mkpath",
        *(f"--exclude={pattern}" for pattern in sync.exclude),
        f"--rsh={shlex.join(_ssh(use))}",
        "--",
        source,
        f"{host}:{target}",
    ]


def agent_command(host: PlannedHost, *arguments: str) -> str:
    """Give what the login shell of a host runs to start the agent, whichever shell that is.

    Args:
        host: how it is set up.
        arguments: of the agent's module.
    """
    script = agent_script(host, *arguments)
    return f"exec {'bash -lc' if host.setup else 'sh -c'} {shlex.quote(script)}"


def agent_script(host: PlannedHost, *arguments: str) -> str:
    """Give the lines that set a host up and become the agent."""
    lines = [setup_line(line) for line in host.setup]
    module = shlex.join(["-P", "-m", AGENT_MODULE, *arguments])
    return "\n".join([*lines, f"exec {shell_path(host.python)} {module}"])


def as_text(argv: Sequence[str]) -> str:
    """Write a command so that it can be copied into a shell."""
    return shlex.join(argv)
