"""What keys cost: inserts and samples with CURVE, beside the same without."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from zdqn.benchmarks.bench_insert import SENDERS, BlockSenders, send_blocks
from zdqn.benchmarks.bench_sample import SUBJECTS, Subject, make_sampler, open_stream
from zdqn.benchmarks.measuring import Effort, Figure, Goal, Result, Say, alternate, rate_of
from zdqn.benchmarks.processes import MemoryProcess, make_node
from zdqn.wire.keys.key_folder import KeyFolder

SHARE = Goal(0.5)

_TRANSITIONS = 32
"""In a message, and in a batch."""
_BATCHES, _IN_FLIGHT = 64, 2
_TRIAL = 200


def measure(effort: Effort, say: Say) -> Result:
    """Measure inserts and samples, each with keys and without in turn.

    Args:
        effort: how long.
        say: told what is going on.
    """
    result = Result()
    result.add(*measure_subject(effort, say, SUBJECTS[0]))
    return result


def measure_subject(effort: Effort, say: Say, subject: Subject) -> list[Figure]:
    """Measure two memory processes, one of which has keys.

    Args:
        effort: how long.
        say: told what is going on.
        subject: what they hold.
    """
    figures = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="zdqn-bench-")))
        KeyFolder(folder / "keys").init()
        keyed, plain = (_Side(stack, subject, keys) for keys in (str(folder / "keys"), ""))
        say(f"keys: insert, {_TRANSITIONS} a message")
        messages = max(int(plain.insert(_TRIAL) * effort.seconds / _TRANSITIONS / SENDERS), _TRIAL)
        values, bound = alternate(
            effort, lambda: keyed.insert(messages), lambda: plain.insert(messages)
        )
        figures += _pair(
            f"keys.insert.{subject.kind}.{_TRANSITIONS}", "transitions/s", values, bound
        )
        say(f"keys: sample, batches of {_TRANSITIONS}, {_BATCHES} a reply")
        values, bound = alternate(
            effort,
            lambda: rate_of(keyed.sample, effort.seconds),
            lambda: rate_of(plain.sample, effort.seconds),
        )
        name = f"keys.sample.{subject.kind}.{_TRANSITIONS}.{_BATCHES}_a_reply"
        figures += _pair(name, "batches/s", values, bound)
    return figures


def _pair(
    name: str, unit: str, values: tuple[float, ...], bound: tuple[float, ...]
) -> list[Figure]:
    keyed, plain = Figure(name, unit, values, bound), Figure(name, unit, bound)
    return [keyed, keyed.over(plain, f"{name}.share", SHARE)]


class _Side:
    """A memory process, and those who insert and sample; closed by the stack."""

    def __init__(self, stack: ExitStack, subject: Subject, keys: str) -> None:
        config = subject.config.replace("security.keys", keys)
        self._memory = stack.enter_context(MemoryProcess(config, subject.spec))
        self._memory.fill(subject.items)
        self._senders = stack.enter_context(
            BlockSenders(send_blocks, subject.spec, config, self._memory.transitions)
        )
        node = stack.enter_context(make_node(config, "learner"))
        stream = open_stream(node, self._memory, _TRANSITIONS, _BATCHES, _IN_FLIGHT)
        stack.callback(stream.close)
        self.sample = make_sampler(stream, subject, _TRANSITIONS)

    def insert(self, messages: int) -> float:
        """Have each sender insert so many messages, and give transitions a second."""
        return self._senders.insert_into(self._memory, _TRANSITIONS, messages)
