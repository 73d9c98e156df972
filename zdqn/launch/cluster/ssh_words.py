"""What it means when no agent answers, from what ssh and the shell there have said."""

from __future__ import annotations

import re
from collections.abc import Sequence

from zdqn.errors import (
    ConfigError,
    MismatchError,
    NotAllowedError,
    PeerUnavailableError,
    ZdqnError,
)
from zdqn.launch.shell_words import SETUP_FAILED

_SSH_FAILED = 255
_NOT_FOUND = 127
_NOT_EXECUTABLE = 126

_REASONS: tuple[tuple[str, type[ZdqnError], str], ...] = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED|host key .* has changed",
        NotAllowedError,
        "its host key is another than the one in known_hosts: it was installed anew, or somebody "
        "else answers in its place. Ask who runs it; if it is right, `ssh-keygen -R {name}`, then "
        "`ssh {host}` once to see and accept the new key",
    ),
    (
        "Host key verification failed|host key is known",
        NotAllowedError,
        "its host key is not known here. Run `ssh {host}` once, compare the fingerprint and accept "
        "it; zdqn never does that for you",
    ),
    (
        "Permission denied|Too many authentication failures",
        NotAllowedError,
        "it does not let you in without a question. Run `ssh-add`, or put your public key there "
        "(`ssh-copy-id {host}`), until `ssh -o BatchMode=yes {host} true` works",
    ),
    (
        "Could not resolve hostname",
        PeerUnavailableError,
        "there is no host of that name. Correct the name, or give it a HostName in ~/.ssh/config",
    ),
    (
        "Connection refused",
        PeerUnavailableError,
        "it is up, but no sshd listens there. Start it, or give the right Port in ~/.ssh/config",
    ),
    (
        "timed out|No route to host|Network is unreachable|not responding",
        PeerUnavailableError,
        "it cannot be reached. See whether it is up, and whether the network, a firewall or a jump "
        "host (ProxyJump in ~/.ssh/config) is in between: `ssh -v {host} true`",
    ),
    (
        "Bad configuration option|Bad owner or permissions|Can't open user config file",
        ConfigError,
        "ssh cannot read its configuration. Correct the file that it names",
    ),
)


def explain_ssh(host: str, code: int, lines: Sequence[str], *, began: bool) -> ZdqnError:
    """Say why an agent does not answer, or does no more.

    Args:
        host: what it is called.
        code: exit code of the command that led to it.
        lines: the last that it said.
        began: whether the agent had answered before.
    """
    text = "\n".join(lines)
    name = host.rpartition("@")[2]
    if began:
        said = f' ssh said: "{lines[-1]}".' if lines else ""
        return PeerUnavailableError(
            f"{host}: the connection broke (exit code {code}).{said} See whether the host is up, "
            f"and who ended the agent."
        )
    if code == _SSH_FAILED:
        for pattern, kind, meaning in _REASONS:
            if re.search(pattern, text):
                return kind(f"{host}: {meaning.format(host=host, name=name)}.{_said(lines)}")
        return PeerUnavailableError(f"{host}: ssh failed.{_said(lines)}")
    return _explain_start(host, code, lines, text)


def _explain_start(host: str, code: int, lines: Sequence[str], text: str) -> ZdqnError:
    if code == SETUP_FAILED:
        failed = next((line for line in reversed(lines) if "setup failed: " in line), "")
        return ConfigError(
            f"{host}: a line of setup failed: {failed.partition('setup failed: ')[2]}. Correct it "
            f"in the cluster's file, or run it on that host to see why.{_said(lines[:-1])}"
        )
    if "No module named" in text:
        return MismatchError(
            f"{host}: its Python has no zdqn, or an older one. Install the same zdqn there, or "
            f"give the python that has it.{_said(lines)}"
        )
    if code in (_NOT_FOUND, _NOT_EXECUTABLE):
        return ConfigError(
            f"{host}: its python cannot be run. Give the path of one that has zdqn, such as "
            f'python = "~/venv/bin/python".{_said(lines)}'
        )
    return PeerUnavailableError(
        f"{host}: the agent ended with exit code {code} before it spoke.{_said(lines)}"
    )


def _said(lines: Sequence[str]) -> str:
    shown = [line for line in lines if line.strip() and not set(line) <= {"@", " "}]
    return f' It said: "{shown[-1].strip()}".' if shown else ""
