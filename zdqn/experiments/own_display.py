"""Whether there is a display here to show something on."""

from __future__ import annotations

import os
import sys


def has_display() -> bool:
    """Whether a window that is opened here can be seen."""
    return sys.platform == "darwin" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
