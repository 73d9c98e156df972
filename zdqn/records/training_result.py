"""How a training ended, of whatever kind it was."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended.

    Attributes:
        stop_reason: which end condition, or who asked.
        summary: what ``summary.json`` holds.
        run_directory: where everything is.
    """

    stop_reason: str
    summary: dict[str, Any]
    run_directory: Path
