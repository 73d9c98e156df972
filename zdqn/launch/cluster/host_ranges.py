"""Names of hosts, written short: ``cpu[01-16]`` stands for sixteen."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

from zdqn.config.cluster_sections import ClientsSection
from zdqn.errors import ConfigError

MOST_HOSTS = 1_000
_NAME = re.compile(r"(?:[\w.+-]+@)?[\w.:+-]+")
_PART = re.compile(r"\[([^\[\]]*)\]")
_SPAN = re.compile(r"(\d+)(?:-(\d+))?")


def expand_hosts(patterns: Iterable[str], *, parameter: str) -> tuple[str, ...]:
    """Give the hosts that patterns stand for, each once, in their order.

    Args:
        patterns: such as ``gpu1``, ``user@cpu[01-16]`` or ``cpu[1,3,8-9].lab``; numbers keep
            their leading zeros.
        parameter: what to call them in messages, such as ``collectors[0].hosts``.

    Raises:
        ConfigError: naming the pattern and the rule.
    """
    hosts: dict[str, None] = {}
    for pattern in patterns:
        for name in _expand(pattern, parameter):
            hosts[name] = None
            if len(hosts) > MOST_HOSTS:
                raise ConfigError(
                    f'{parameter} has "{pattern}", with which it names more than {MOST_HOSTS:,} '
                    f"hosts. Write a shorter range."
                )
    return tuple(hosts)


def count_clients(section: ClientsSection, *, parameter: str) -> int:
    """Give how many processes a file wants where hosts are not its to choose.

    Args:
        section: which names hosts, for ssh, or a count.
        parameter: what to call it in messages, such as ``collectors[0]``.

    Raises:
        ConfigError: when it has neither, or both.
    """
    if section.hosts and section.count:
        raise ConfigError(
            f"{parameter} has hosts and count = {section.count}: give hosts with each for ssh (of "
            f"which Slurm and Kubernetes take the number of processes), or count alone."
        )
    if not section.hosts:
        if not section.count:
            raise ConfigError(f"{parameter} has neither count nor hosts. Write count = 8.")
        return section.count
    return len(expand_hosts(section.hosts, parameter=f"{parameter}.hosts")) * section.each


def _expand(pattern: str, parameter: str) -> Iterator[str]:
    pieces = _PART.split(pattern)  # text and contents of brackets in turn
    texts, spans = pieces[::2], pieces[1::2]
    choices = [_numbers(span, pattern, parameter) for span in spans]
    for chosen in itertools.product(*choices):
        name = "".join(itertools.chain(*itertools.zip_longest(texts, chosen, fillvalue="")))
        if not _NAME.fullmatch(name) or name.startswith("-"):
            raise ConfigError(
                f'{parameter} has "{pattern}", which is no host: a name has letters, digits, '
                f'".", "-", "_" and perhaps "user@" before it, and a range is written as in '
                f"cpu[01-16]. What else ssh needs to know belongs into ~/.ssh/config, under such a "
                f"name."
            )
        yield name


def _numbers(span: str, pattern: str, parameter: str) -> list[str]:
    found: list[str] = []
    for part in span.split(","):
        match = _SPAN.fullmatch(part.strip())
        first, last = match.groups() if match else ("", "")
        last = last or first
        if not match or int(last) < int(first):
            raise ConfigError(
                f'{parameter} has "{pattern}", in which "[{span}]" is no range: write '
                f"[FIRST-LAST] or [A,B,C] with numbers, such as cpu[01-16]."
            )
        if int(last) - int(first) > MOST_HOSTS:
            raise ConfigError(
                f'{parameter} has "{pattern}", in which "[{span}]" stands for more than '
                f"{MOST_HOSTS:,} hosts. Write a shorter range."
            )
        found += [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
    return found
