"""A run's folder: who uses it, how it ended, and what could be gone on with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from zdqn.config import load_config
from zdqn.doctor.findings import Finding, bad, good, odd
from zdqn.errors import FileError, ZdqnError
from zdqn.launch.summary import describe_end
from zdqn.records.checkpoints import CheckpointDirectory, load_checkpoint
from zdqn.records.run_files import RunFiles, read_summary
from zdqn.records.run_lock import describe_holder


def examine_run(directory: Path) -> Iterator[Finding]:
    """Look at a run's folder.

    Args:
        directory: the folder.
    """
    files = RunFiles(directory)
    if not files.results():
        error = FileError(f"{directory} holds no run.")
        yield bad("run", error, "Give the folder that zdqn run or zdqn train printed.")
        return
    yield _state(files)
    try:
        load_config(files.config)
    except ZdqnError as error:
        yield bad("its configuration", error)
        return
    yield good("its configuration", f"{files.config} can be read")
    yield from _checkpoints(files)
    yield from _best(files)


def _state(files: RunFiles) -> Finding:
    holder = describe_holder(files.lock) or describe_holder(files.launch_lock)
    if holder:
        return good("run", f"{files.path} is in use by {holder}")
    try:
        summary = read_summary(files.path)
    except FileError as error:
        return odd("run", str(error), f"--resume {files.path} writes it anew.")
    if not summary:
        return odd(
            "run",
            f"nobody uses {files.path}, and its last start left no summary: it was killed",
            f"--resume {files.path} goes on with it.",
        )
    return good("run", f"{files.path}: {describe_end(summary)}")


def _checkpoints(files: RunFiles) -> Iterator[Finding]:
    if not any(files.checkpoints.glob("*.pt")):
        yield odd(
            "checkpoints",
            "none so far: --resume would find nothing to go on with",
            "The first is saved after learner.checkpoint_period_updates, and the last at the end.",
        )
        return
    try:
        loaded = CheckpointDirectory(files.checkpoints).newest()
    except ZdqnError as error:
        yield odd("checkpoints", str(error), "Training cannot be gone on with.")
        return
    for warning in loaded.warnings:
        yield odd("checkpoints", warning, "Remove it; the run goes on from an older one.")
    counters = loaded.checkpoint.counters
    yield good(
        "checkpoints",
        f"{loaded.path.name} is whole: {counters.updates:,} updates, "
        f"{counters.environment_steps:,} environment steps",
    )


def _best(files: RunFiles) -> Iterator[Finding]:
    if not files.best.exists():
        return
    try:
        best = load_checkpoint(files.best)
    except ZdqnError as error:
        yield odd("best network", str(error), "Use one of checkpoints/ instead.")
    else:
        yield good("best network", f"{files.best.name}, evaluated at {best.evaluation_return:g}")
