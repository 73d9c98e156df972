"""Logging of a zdqn process: plain lines on standard error."""

from __future__ import annotations

import logging
import sys
import time
from typing import TextIO

LEVELS = ("debug", "info", "warning", "error")


class PlainFormatter(logging.Formatter):
    """``HH:MM:SS level message``, with a traceback only at the debug level."""

    def __init__(self, *, tracebacks: bool = False) -> None:
        super().__init__()
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        """Give the line of a record."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{clock} {record.levelname.lower()} {record.getMessage()}"
        if self._tracebacks and record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class _PlainHandler(logging.StreamHandler[TextIO]):
    """Marks the handler that `configure_logging` replaces when it is called again."""


def configure_logging(level: str, stream: TextIO | None = None) -> None:
    """Send what zdqn logs to a stream. A program that embeds zdqn does not call this.

    Args:
        level: one of `LEVELS`.
        stream: where to; standard error by default.
    """
    logger = logging.getLogger("zdqn")
    for handler in list(logger.handlers):
        if isinstance(handler, _PlainHandler):
            logger.removeHandler(handler)
    handler = _PlainHandler(stream or sys.stderr)
    handler.setFormatter(PlainFormatter(tracebacks=level == "debug"))
    logger.addHandler(handler)
    logger.setLevel(level.upper())
