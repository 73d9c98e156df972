"""Logging of a zdqn process: plain lines on standard error."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
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


class _ShowHandler(logging.Handler):
    """Hands lines to whoever shows them."""

    def __init__(self, show: Callable[[str], None], level: int) -> None:
        super().__init__(level)
        self._show = show

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a line on."""
        try:
            self._show(self.format(record))
        except Exception:  # noqa: BLE001 - as every handler of logging does
            self.handleError(record)


@contextmanager
def log_to_screen(
    show: Callable[[str], None], file: Path | None, *, verbose: bool
) -> Iterator[None]:
    """Have what zdqn logs shown by somebody who draws, for as long as that draws.

    What `configure_logging` has set up is silent meanwhile.

    Args:
        show: told each line that a person should see: warnings and errors.
        file: gets all lines; None for none.
        verbose: whether `show` is told all lines too.

    Raises:
        OSError: when the file cannot be written.
    """
    logger = logging.getLogger("zdqn")
    silent: list[logging.Handler] = [
        handler for handler in logger.handlers if isinstance(handler, _PlainHandler | _ShowHandler)
    ]
    instead: list[logging.Handler] = [
        _ShowHandler(show, logging.NOTSET if verbose else logging.WARNING)
    ]
    if file is not None:
        instead.append(logging.FileHandler(file, encoding="utf-8"))
    for handler in silent:
        logger.removeHandler(handler)
    for handler in instead:
        handler.setFormatter(PlainFormatter(tracebacks=logger.isEnabledFor(logging.DEBUG)))
        logger.addHandler(handler)
    try:
        yield
    finally:
        for handler in instead:
            logger.removeHandler(handler)
            handler.close()
        for handler in silent:
            logger.addHandler(handler)
