"""The folder of the user in which compiled updates are kept from run to run."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import stat
from pathlib import Path

import msgspec

from zdqn.config import Config
from zdqn.data import EnvironmentSpec
from zdqn.errors import FileError

FOLDER = "zdqn/updates"
MOST_FILES = 32
"""Newest files that are kept; each has about 2 MB."""

_ZDQN = Path(__file__).parents[2]
_SOURCES = ("rl/*.py", "core/trainer.py", "roles/building.py")
"""What decides what an update does; its own text, so that an edit is no old update."""


class LoopCache:
    """Files of compiled updates, each under a key that says all that it was made of.

    They are code that is executed: the folder is the user's alone (0700), and one that is not is
    refused.

    Args:
        folder: made if it is missing; None for ``$XDG_CACHE_HOME/zdqn/updates``, in ``~/.cache`` if
            that is not set.

    Attributes:
        folder: where they are.

    Raises:
        FileError: if the folder cannot be made, or others can write there.
    """

    def __init__(self, folder: Path | None = None) -> None:
        try:
            self.folder = (folder or _user_folder()).absolute()
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self.folder.lstat()
        except (OSError, RuntimeError) as error:
            raise FileError(f"there is no folder for compiled updates ({error}).") from error
        ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
        if not ours or stat.S_IMODE(found.st_mode) & 0o077:
            raise FileError(
                f"{self.folder} must be a folder of this user alone, as what is in it is executed. "
                f"Remove it, or take others' rights away: chmod 700 {self.folder}"
            )

    def path(self, key: str) -> Path:
        """Say where a key's file is, if there is one."""
        return self.folder / f"{key}.pt2"

    def find(self, key: str | None) -> Path | None:
        """Give a key's file; None if there is none. It then counts as used now."""
        if key is None:
            return None
        path = self.path(key)
        try:
            os.utime(path)
        except OSError:
            return None
        return path

    def prune(self) -> None:
        """Remove the files that were not used for longest."""
        with contextlib.suppress(OSError):
            files = sorted(self.folder.glob("*.pt2"), key=lambda path: path.stat().st_mtime)
            for path in files[:-MOST_FILES]:
                path.unlink(missing_ok=True)


def loop_key(config: Config, spec: EnvironmentSpec) -> str | None:
    """Name everything that compiled updates are made of, without looking at a network.

    Args:
        config: its ``algorithm``, ``network`` and ``learner`` sections count.
        spec: of the environment.

    Returns:
        A hash; None for a network of the user's own, of which the configuration says too little.
    """
    if config.network.function is not None or ":" in config.network.kind:
        return None
    made_of = (
        config.algorithm,
        config.network,
        config.replay.kind,
        config.learner.threads,
        (spec.observation_shape, spec.observation_dtype, spec.num_actions),
        (spec.frame_stack, spec.observation_bound, spec.action_masks),
    )
    return key_of(msgspec.json.encode(made_of))


def key_of(content: bytes) -> str:
    """Hash what was compiled together with what compiled it and the machine that it is for."""
    import torch

    from zdqn.rl.loop_compiling import RECIPE

    digest = hashlib.sha256(content)
    digest.update(repr((RECIPE, torch.__version__, _machine())).encode())
    for pattern in _SOURCES:
        for path in sorted(_ZDQN.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _user_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(root) if root else Path.home() / ".cache") / FOLDER


def _machine() -> tuple[str, ...]:
    """Say for which processor code is made here; a home may be shared by machines that differ."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        features = next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        features = platform.node()
    return platform.machine(), platform.system(), features
