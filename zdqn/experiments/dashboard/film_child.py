"""A process that plays one episode with stored weights, and gives its frames as one picture.

It has the least claim to the processor that there is, ends by itself after a while, and never
writes to the run's folder: ``python -P -m zdqn.experiments.dashboard.film_child CHECKPOINT SEED
MODULE...`` writes a line of JSON to standard output, and the picture as PNG behind it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import msgspec
from gymnasium.error import DependencyNotInstalled

from zdqn.errors import ConfigError, ZdqnError
from zdqn.experiments.dashboard.filming import FilmHeader
from zdqn.experiments.dashboard.sprite_sheet import Reel, SpriteSheet, encode_png
from zdqn.experiments.scoring import evaluators_choice
from zdqn.experiments.showing import rendered_environments
from zdqn.experiments.trained_policy import load_policy
from zdqn.roles.building import one_thread

ENDS_AFTER_S = 120
"""Seconds after which the process is ended, whatever it does: an environment may hang."""
PLAYS_FOR_S = 20.0
"""Seconds after which an episode is cut, and shown as far as it went."""

_FRAMES_PER_S = 30.0
_LEAST_CLAIM = 19
_WRAPPER = f"{__name__}:FrameTap"


class FrameTap(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Puts what the environment draws into a reel, at each step.

    Args:
        environment: that draws when it is asked to.
        reel: takes the frames of the episode that is played.
    """

    def __init__(self, environment: gymnasium.Env[Any, Any], reel: Reel) -> None:
        super().__init__(environment)
        self._reel = reel

    def reset(self, **arguments: Any) -> Any:
        """Reset, and begin a reel."""
        result = self.env.reset(**arguments)
        self._reel.begin()
        self._draw()
        return result

    def step(self, action: Any) -> Any:
        """Step, and add a frame."""
        result = self.env.step(action)
        self._draw()
        return result

    def _draw(self) -> None:
        picture: Any = self.env.render()
        if isinstance(picture, list):
            picture = picture[-1] if picture else None
        if picture is None:
            raise ConfigError("The environment draws no pictures in render_mode rgb_array.")
        self._reel.add(picture)


class PlayedEpisode(NamedTuple):
    """An episode that was played.

    Attributes:
        sheet: its frames.
        frame_s: for how long each is shown, at the environment's own pace.
        told: what was played, and what came of it.
    """

    sheet: SpriteSheet
    frame_s: float
    told: str


def play_episode(
    checkpoint: Path,
    *,
    seed: int,
    allow_code: Collection[str] = (),
    plays_for_s: float = PLAYS_FOR_S,
) -> PlayedEpisode:
    """Play one episode as an evaluator of the run does, and keep its frames.

    Args:
        checkpoint: a file with weights.
        seed: of the environment.
        allow_code: modules of which the run's configuration may name code.
        plays_for_s: after which it is cut.

    Raises:
        ZdqnError: when it cannot be played, is not drawn, or names code that is not allowed: who
            looks at a run has not asked for its code to be run.
    """
    from zdqn.core.evaluation import evaluate
    from zdqn.envs import close_environments
    from zdqn.records.given_functions import check_environment_is_given

    with one_thread():
        policy = load_policy(checkpoint, allow_code=allow_code)
        check_environment_is_given(policy.config, None)
        reel = Reel()
        tap = {"name": _WRAPPER, "kwargs": {"reel": reel}}
        environments = rendered_environments(policy.config, None, "rgb_array", tap)
        try:
            until_s = time.monotonic() + plays_for_s
            scores = evaluate(
                environments,
                policy.spec,
                evaluators_choice(policy, seed),
                episodes=1,
                seed=seed,
                label="dashboard",
                stop=lambda: time.monotonic() > until_s,
            )
            sheet = reel.sheet()
            pace = float(environments.metadata.get("render_fps") or _FRAMES_PER_S)
        finally:
            close_environments(environments)
    steps = reel.seen - 1
    came = f"return {scores.returns[0]:.4g}" if scores else "cut there: it plays for no longer"
    told = f"{checkpoint.name}, seed {seed}: {steps:,} steps, {came}"
    return PlayedEpisode(sheet, sheet.every / pace, told)


def _without(why: str) -> FilmHeader:
    return FilmHeader(why=why, computed_s=time.process_time())


def main() -> None:
    """Play what the command line names, and write it to standard output."""
    checkpoint, seed, *allow_code = Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]
    sys.path.append("")  # behind all others, so that no file of a run's folder stands for a library
    signal.alarm(ENDS_AFTER_S)
    os.nice(_LEAST_CLAIM)
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # environments print
    image = b""
    try:
        played = play_episode(checkpoint, seed=seed, allow_code=allow_code)
        sheet = played.sheet
        image = encode_png(sheet.pixels)
        header = FilmHeader(
            columns=sheet.columns,
            frames=sheet.frames,
            width=sheet.width,
            height=sheet.height,
            frame_s=played.frame_s,
            text=played.told,
            computed_s=time.process_time(),
        )
    except DependencyNotInstalled as error:
        header = _without(f"Drawing needs a package that is not installed: {error}")
    except ZdqnError as error:
        header = _without(str(error))
    output.write(msgspec.json.encode(header) + b"\n" + image)
    output.close()


if __name__ == "__main__":
    main()
