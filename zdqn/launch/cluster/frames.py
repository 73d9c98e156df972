"""What the launcher and an agent say to each other over ssh: frames of a length and msgpack.

The launcher gives orders on the agent's standard input, and asks; the agent reports and answers on
its standard output. What a login prints before the agent runs is told apart by `GREETING`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from zdqn.errors import ProtocolError

GREETING = b"\0zdqn agent\n"
"""The first bytes of an agent; no login prints a zero."""
MOST_BYTES = 64 * 2**20
"""Of one frame: a configuration, a piece of a file, a line."""
_LENGTH = struct.Struct(">I")


class Frame(msgspec.Struct, frozen=True, tag=True):
    """Base of what is said."""


class StartOrder(Frame, frozen=True):
    """Start a process.

    Attributes:
        role: of it.
        name: of it, by which all else speaks of it.
        environment: variables that it gets besides those of the agent.
    """

    role: str
    name: str
    environment: dict[str, str]


class InputOrder(Frame, frozen=True):
    """Hand bytes to a process."""

    name: str
    data: bytes


class CloseInputOrder(Frame, frozen=True):
    """End the standard input of a process."""

    name: str


class SignalOrder(Frame, frozen=True):
    """Send a signal to a process, and to everything that it has started."""

    name: str
    number: int


class AskOrder(Frame, frozen=True):
    """Ask the agent something; it answers with the same number."""

    number: int
    question: str
    arguments: dict[str, Any]


class AliveOrder(Frame, frozen=True):
    """Say that the launcher lives: silence means that the connection is dead."""


class OutputReport(Frame, frozen=True):
    """A line that a process wrote for its launcher."""

    name: str
    line: bytes


class ErrorsReport(Frame, frozen=True):
    """A line that a process logged."""

    name: str
    line: bytes


class EndedReport(Frame, frozen=True):
    """A process has ended, and all that it wrote has been told.

    Attributes:
        name: of it.
        code: its exit code, or minus the signal that ended it.
    """

    name: str
    code: int


class AnswerReport(Frame, frozen=True):
    """The answer to a question.

    Attributes:
        number: of the question.
        answer: what was asked for.
        error: the class of a `zdqn.errors` that came instead; "" for none.
        message: of the error.
    """

    number: int
    answer: Any = None
    error: str = ""
    message: str = ""


Order: TypeAlias = StartOrder | InputOrder | CloseInputOrder | SignalOrder | AskOrder | AliveOrder
Report: TypeAlias = OutputReport | ErrorsReport | EndedReport | AnswerReport


def encode_frame(frame: Frame) -> bytes:
    """Write a frame."""
    body = msgspec.msgpack.encode(frame)
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Bytes in, frames out.

    Args:
        kind: of the frames that may come: `Order` or `Report`.
    """

    def __init__(self, kind: Any) -> None:
        self._decoder = msgspec.msgpack.Decoder(kind)
        self._held = bytearray()

    def take(self, piece: bytes) -> list[Any]:
        """Give the frames that a piece completes.

        Raises:
            ProtocolError: for what is no frame.
        """
        self._held += piece
        found = []
        while len(self._held) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._held)
            if length > MOST_BYTES:
                raise ProtocolError(
                    f"a frame of {length:,} bytes came over ssh; the most is {MOST_BYTES:,}. "
                    f"Something else writes where the agent does."
                )
            end = _LENGTH.size + length
            if len(self._held) < end:
                break
            body = bytes(self._held[_LENGTH.size : end])
            del self._held[:end]
            try:
                found.append(self._decoder.decode(body))
            except msgspec.DecodeError as error:
                raise ProtocolError(
                    f"a frame that came over ssh cannot be read: {error}. Install the same zdqn on "
                    f"both sides."
                ) from error
        return found


class GreetingReader:
    """Finds where an agent begins to speak; what came before is text of the login.

    Args:
        say: told each line of that.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._held = b""

    def take(self, piece: bytes) -> bytes | None:
        """Give what follows the greeting, once it has come; None before."""
        self._held += piece
        before, found, after = self._held.partition(GREETING)
        if not found:
            *lines, self._held = self._held.split(b"\n")
            self._tell(lines)
            return None
        self._held = b""
        self._tell(before.split(b"\n"))
        return after

    def _tell(self, lines: list[bytes]) -> None:
        for line in lines:
            if text := line.decode(errors="replace").strip():
                self._say(text)
