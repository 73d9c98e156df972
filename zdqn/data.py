"""The vocabulary: what an environment looks like, a block of transitions, a batch of them.

Plain NumPy containers that every layer shares. Nothing here computes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

ALLOWED_DTYPES = (
    "bool", "uint8", "int8", "uint16", "int16", "int32", "int64", "float16", "float32", "float64",
)  # fmt: skip
"""Observation dtypes that may travel and be stored; all little-endian."""


@dataclass(frozen=True)
class EnvironmentSpec:
    """What the rest of the system must know of an environment.

    Attributes:
        observation_shape: shape of one frame, without the stack axis; ``()`` never occurs.
        observation_dtype: NumPy name of a frame's dtype, one of `ALLOWED_DTYPES`.
        num_actions: number of discrete actions, numbered from 0.
        frame_stack: frames in one observation, >= 1.
        observation_bound: largest magnitude of an image's integers, in [1, 65535], where its space
            declares one and it is not that of every uint8 image, 255; else 0.
        action_masks: whether each observation comes with a mask of the actions that are allowed at
            it.
    """

    observation_shape: tuple[int, ...]
    observation_dtype: str
    num_actions: int
    frame_stack: int = 1
    observation_bound: int = 0
    action_masks: bool = False

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of a frame."""
        return np.dtype(self.observation_dtype)

    @property
    def observation_scale(self) -> float:
        """What brings the integers of an image into [-1, 1] as a factor; 1 where none does."""
        if self.observation_bound:
            return 1.0 / self.observation_bound
        return 1.0 / 255.0 if self.observation_dtype == "uint8" else 1.0

    @cached_property
    def frame_bytes(self) -> int:
        """Bytes of one frame."""
        return prod(self.observation_shape) * self.dtype.itemsize

    @cached_property
    def stacked_shape(self) -> tuple[int, ...]:
        """Shape of one observation as a network sees it: `(S, *shape)`, or `shape` if S is 1."""
        if self.frame_stack == 1:
            return self.observation_shape
        return (self.frame_stack, *self.observation_shape)

    @cached_property
    def stacked_bytes(self) -> int:
        """Bytes of one observation as a network sees it."""
        return self.frame_bytes * self.frame_stack

    @cached_property
    def mask_bytes(self) -> int:
        """Bytes of one mask, a bit an action (see `Block`); 0 where there are none."""
        return -(-self.num_actions // 8) if self.action_masks else 0

    @cached_property
    def row_bytes(self) -> int:
        """Bytes of one frame and its mask."""
        return self.frame_bytes + self.mask_bytes

    @cached_property
    def sample_bytes(self) -> int:
        """Bytes of one sampled transition: two stacked observations, six numbers, two masks."""
        masks = 2 * self.num_actions if self.action_masks else 0
        return 2 * self.stacked_bytes + 48 + masks

    @cached_property
    def record_dtype(self) -> np.dtype[Any]:
        """The packed little-endian record of one transition; see `record_dtype`."""
        return record_dtype(self.frame_stack)

    @cached_property
    def digest(self) -> int:
        """A 63-bit number that is equal for equal specs; requests for actions carry it."""
        return self.origin("")

    def origin(self, run_id: str) -> int:
        """Give a 63-bit number that is equal for equal specs of one run; every block carries it.

        Args:
            run_id: of the run; "" of none, which gives the spec's own `digest`.
        """
        actions = f"{self.num_actions}{' masked' if self.action_masks else ''}"
        parts = self.observation_shape, self.observation_dtype, actions, self.frame_stack
        text = "|".join(map(str, parts)) + (f"|{run_id}" if run_id else "")
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1

    def describe(self) -> str:
        """One line for messages, such as ``float32 (4,), 2 actions``."""
        stack = f", {self.frame_stack} frames stacked" if self.frame_stack > 1 else ""
        shape = ", ".join(map(str, self.observation_shape)) + (
            "," if len(self.observation_shape) == 1 else ""
        )
        bound = f" up to {self.observation_bound}" if self.observation_bound else ""
        masks = " with masks" if self.action_masks else ""
        return (
            f"{self.observation_dtype}{bound} ({shape}){stack}, {self.num_actions} actions{masks}"
        )


def record_dtype(frame_stack: int) -> np.dtype[Any]:
    """Give the record that stands for one transition in a block.

    Fields, packed without padding, little-endian:

    - ``weight_version`` int64: version of the weights that chose the action (see `WeightVersion`)
    - ``observation`` int32 (S,): rows of the block's frame table, oldest frame first
    - ``next_observation`` int32 (S,): the same for the observation n steps later
    - ``action`` int32
    - ``reward`` float32: n-step return
    - ``discount`` float32: gamma^k, 0 where the episode terminated
    - ``priority`` float32: the collector's own estimate of |TD error|, or -1 for none

    Args:
        frame_stack: S, frames per observation, >= 1.

    Returns:
        The structured dtype; 24 + 8 S bytes.
    """
    return np.dtype(
        [
            ("weight_version", "<i8"),
            ("observation", "<i4", (frame_stack,)),
            ("next_observation", "<i4", (frame_stack,)),
            ("action", "<i4"),
            ("reward", "<f4"),
            ("discount", "<f4"),
            ("priority", "<f4"),
        ]
    )


MAX_REWARD = 1e30
"""Largest magnitude of a reward; the sum of 1000 such is a float32 still."""

NO_PRIORITY = -1.0
"""Value of a record's ``priority`` when its collector makes no estimate."""


class WeightVersion(NamedTuple):
    """Order of published weights: a later learner epoch beats any version of an earlier one."""

    learner_epoch: int
    version: int

    def pack(self) -> int:
        """Give the number `learner_epoch * 2^32 + version`; larger is newer."""
        return (self.learner_epoch << 32) | self.version

    @classmethod
    def unpack(cls, packed: int) -> WeightVersion:
        """Undo `pack`."""
        return cls(packed >> 32, packed & 0xFFFFFFFF)


@dataclass(frozen=True)
class Block:
    """Some transitions of one collector, with the frames that they refer to.

    Attributes:
        frames: frame table, shape (F, *observation_shape), the environment's dtype.
        records: shape (T,), dtype `record_dtype(S)`; its references are rows of `frames`.
        masks: what was allowed when each frame was the newest one of an observation, shape
            (F, spec.mask_bytes), uint8: action a by bit `a % 8` of byte `a // 8`, bit 0 the lowest;
            bits of no action are 0. None where the spec has no masks.
    """

    frames: NDArray[Any]
    records: NDArray[Any]
    masks: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        """Count the transitions."""
        return len(self.records)


@dataclass(frozen=True)
class Batch:
    """Sampled transitions, one array per field, batch axis first.

    Attributes:
        observations: shape (B, *stacked_shape), the environment's dtype.
        actions: shape (B,), int64.
        rewards: n-step returns, shape (B,), float32.
        discounts: bootstrap factors, shape (B,), float32; 0 where the episode terminated.
        next_observations: shape (B, *stacked_shape).
        keys: lasting numbers of the items, shape (B,), int64.
        probabilities: chance with which each was drawn, shape (B,), float64, in (0, 1].
        weight_versions: packed `WeightVersion` each was collected with, shape (B,), int64.
        allowed: actions that could be taken at `observations`, shape (B, num_actions), bool; None:
            all. Given together with `next_allowed`, or not at all.
        next_allowed: the same at `next_observations`; perhaps none where the discount is 0.
    """

    observations: NDArray[Any]
    actions: NDArray[np.int64]
    rewards: NDArray[np.float32]
    discounts: NDArray[np.float32]
    next_observations: NDArray[Any]
    keys: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    weight_versions: NDArray[np.int64]
    allowed: NDArray[np.bool_] | None = None
    next_allowed: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        """Count the transitions."""
        return len(self.actions)

    def split(self, batch_size: int) -> list[Batch]:
        """Cut into batches of `batch_size`, without copying."""
        arrays: dict[str, Any] = {
            name: each for name, each in vars(self).items() if each is not None
        }
        return [
            Batch(**{name: each[start : start + batch_size] for name, each in arrays.items()})
            for start in range(0, len(self), batch_size)
        ]


@dataclass(frozen=True)
class LoggedEpisode:
    """An episode, or the part of one that is known, of T steps.

    Attributes:
        observations: acted on, and the last one, shape (T + 1, *observation_shape).
        actions: numbered from 0, shape (T,), integers.
        rewards: shape (T,).
        terminated: whether it ended for good; else it was cut short, or goes on unseen.
    """

    observations: NDArray[Any]
    actions: NDArray[Any]
    rewards: NDArray[Any]
    terminated: bool

    def __len__(self) -> int:
        """Count its steps."""
        return len(self.actions)


@dataclass(frozen=True)
class EpisodeStatistics:
    """How one episode went.

    Attributes:
        total_reward: undiscounted sum of the environment's own rewards, under all configured
            wrappers (the "return" in the sense of a score).
        length: environment steps.
        cut: whether an evaluation cut it off, as it had not ended after many steps.
    """

    total_reward: float
    length: int
    cut: bool = False


@dataclass(frozen=True)
class EvaluationScores:
    """What an evaluation measured, one entry an episode.

    Attributes:
        returns: undiscounted sums of the environment's own rewards.
        lengths: environment steps.
        cut: how many episodes were cut off, as they had not ended after many steps.
    """

    returns: tuple[float, ...] = field(default=())
    lengths: tuple[int, ...] = field(default=())
    cut: int = 0

    @property
    def mean(self) -> float:
        """Mean return."""
        return float(np.mean(self.returns))

    @property
    def cut_text(self) -> str:
        """What to say of episodes that were cut off; "" if none was."""
        if not self.cut:
            return ""
        return f", {self.cut} of them cut off after {max(self.lengths)} steps"

    @property
    def deviation(self) -> float:
        """Population standard deviation of the returns."""
        return float(np.std(self.returns))
