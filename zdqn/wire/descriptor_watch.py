"""Whether a server has a file descriptor left, without which nobody can connect.

libzmq says nothing then: it tries again and again to accept, at the cost of a processor.
"""

from __future__ import annotations

import errno
import logging
import os
import resource
from collections.abc import Callable

_NONE_LEFT = (errno.EMFILE, errno.ENFILE)


def is_one_left() -> bool:
    """Whether this process can open one more file, or accept one more connection."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno not in _NONE_LEFT
    return True


class DescriptorWatch:
    """Says once that no descriptor is left, and once that there are some again.

    Args:
        name: of the server.
        logger: of the server.
        is_left: whether there is one.
    """

    def __init__(
        self, name: str, logger: logging.Logger, *, is_left: Callable[[], bool] = is_one_left
    ) -> None:
        self._name = name
        self._logger = logger
        self._is_left = is_left
        self._lacking = False

    def look(self) -> None:
        """Look, in microseconds."""
        lacking = not self._is_left()
        if lacking == self._lacking:
            return
        self._lacking = lacking
        if lacking:
            self._logger.error(
                "no file descriptor is left of the %d that the %s may have: whoever connects now "
                "waits, and so does what it is to write. Start fewer clients, or start it again "
                "with more (`ulimit -n`; a client takes two or three)",
                resource.getrlimit(resource.RLIMIT_NOFILE)[0],
                self._name,
            )
        else:
            self._logger.info("the %s has file descriptors again", self._name)
