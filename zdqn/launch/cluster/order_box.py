"""Orders to a launcher from another terminal: files in a folder of the run, which it looks at."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zdqn import errors
from zdqn.errors import PeerUnavailableError, RoleFailedError, UsageError, ZdqnError
from zdqn.wire.keys.private_files import (
    check_private_folder,
    make_private_folder,
    read_private,
    replace_private,
)

_TICK_S = 0.05


class OrderBox:
    """A folder of orders, and of what became of them; only its owner can put any there.

    Args:
        directory: of the run.
    """

    def __init__(self, directory: Path) -> None:
        self._folder = directory / "orders"

    def open(self) -> None:
        """Make the folder, empty.

        Raises:
            NotAllowedError: when others can enter it.
        """
        make_private_folder(self._folder)
        for path in self._folder.iterdir():
            path.unlink()

    def take(self) -> list[tuple[str, dict[str, Any]]]:
        """Give the orders that have come, each with its name."""
        found = []
        for path in sorted(self._folder.glob("*.order")):
            with contextlib.suppress(OSError, ValueError, ZdqnError):
                found.append((path.stem, json.loads(read_private(path))))
            with contextlib.suppress(OSError):
                path.unlink()
        return found

    def answer(self, name: str, text: str, error: ZdqnError | None = None) -> None:
        """Say what became of an order."""
        told = {"text": text, "error": type(error).__name__ if error is not None else ""}
        with contextlib.suppress(OSError):
            replace_private(self._folder / f"{name}.answer", json.dumps(told))

    def close(self) -> None:
        """Take no more orders."""
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                path.unlink()
            self._folder.rmdir()

    def post(self, order: Mapping[str, Any], timeout_s: float) -> str:
        """Give an order, and wait for what becomes of it.

        Returns:
            What the launcher says.

        Raises:
            ZdqnError: what it says instead, or that nobody takes orders there.
        """
        name = secrets.token_hex(8)
        try:
            check_private_folder(self._folder)
            replace_private(self._folder / f"{name}.order", json.dumps(dict(order)))
        except FileNotFoundError as error:
            raise UsageError(
                f"No launcher takes orders in {self._folder.parent}: the run has ended, or was not "
                f"started by `zdqn launch`."
            ) from error
        answer = self._folder / f"{name}.answer"
        by_s = time.monotonic() + timeout_s
        while time.monotonic() < by_s:
            with contextlib.suppress(FileNotFoundError):
                told = json.loads(read_private(answer))
                answer.unlink()
                if told["error"]:
                    raise getattr(errors, told["error"], RoleFailedError)(told["text"])
                return str(told["text"])
            time.sleep(_TICK_S)
        raise PeerUnavailableError(
            f"The launcher of {self._folder.parent} has not carried out the order within "
            f"{timeout_s:.0f} s. Look at its terminal."
        )
