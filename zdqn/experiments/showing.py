"""Showing a stored network: one episode as a film, or some in a window."""

from __future__ import annotations

import itertools
import re
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from zdqn.config import Config
from zdqn.data import EvaluationScores
from zdqn.errors import ConfigError, FileError, UsageError
from zdqn.experiments.own_display import has_display
from zdqn.experiments.scoring import (
    check_environment_fits,
    check_least,
    load_to_play,
    play_as_evaluated,
)
from zdqn.experiments.trained_policy import TrainedPolicy
from zdqn.records.given_functions import check_environment_is_given
from zdqn.records.run_result import RunResult
from zdqn.roles.building import EnvironmentFactory, NetworkFactory, one_thread

if TYPE_CHECKING:
    from gymnasium.vector import VectorEnv


class FilmedEpisode(NamedTuple):
    """An episode that was filmed.

    Attributes:
        scores: of the one episode.
        film: the file.
    """

    scores: EvaluationScores
    film: Path


def play(
    run: RunResult | str | Path,
    *,
    video: str | Path,
    seed: int = 0,
    environment: EnvironmentFactory | None = None,
    network: NetworkFactory | None = None,
    on_step: Callable[[int], object] | None = None,
) -> FilmedEpisode:
    """Play one episode and film it, with the share of random actions of an evaluation.

    The film is named after the run, the checkpoint and the seed; it replaces no other. It is there
    once it is whole. This is what ``zdqn play`` calls.

    Args:
        run: as for `evaluate`.
        video: folder for the film; made if it is missing.
        seed: of the environment, >= 0.
        environment: makes an environment, also with ``render_mode="rgb_array"``; the one that the
            run was given, if it was.
        network: makes the network; the one that the run was given, if it was.
        on_step: told how many steps have been filmed, at each.

    Returns:
        The episode's score, and the film's path.

    Raises:
        ConfigError: when the environment draws no pictures, or ``zdqn[video]`` is not installed.
        ZdqnError: as for `evaluate`.
    """
    from gymnasium.error import DependencyNotInstalled

    check_least(seed=(seed, 0))
    video = Path(video)
    made = [folder for folder in (video, *video.parents) if not folder.exists()]
    try:
        with one_thread():
            policy = load_to_play(run, environment, network)
            check_environment_is_given(policy.config, environment)
            return _film(policy, environment, video, seed, on_step)
    except DependencyNotInstalled as error:
        raise ConfigError(
            f'Filming needs the video extra: pip install "zdqn[video]" ({error}).'
        ) from error
    except OSError as error:
        raise FileError(f"Cannot write a film to {video}: {error.strerror or error}.") from error
    finally:
        for folder in made:
            with suppress(OSError):  # the film is in it
                folder.rmdir()


def show(
    run: RunResult | str | Path,
    *,
    episodes: int = 1,
    seed: int = 0,
    environment: EnvironmentFactory | None = None,
    network: NetworkFactory | None = None,
    on_episode: Callable[[int], object] | None = None,
) -> EvaluationScores:
    """Play episodes in a window, with the share of random actions of an evaluation.

    The environment draws them at its own pace. This is what ``zdqn play`` calls without a folder
    for a film.

    Args:
        run: as for `evaluate`.
        episodes: to play, >= 1.
        seed: of the environment, >= 0.
        environment: makes an environment, also with ``render_mode="human"``; the one that the run
            was given, if it was.
        network: makes the network; the one that the run was given, if it was.
        on_episode: told how many episodes have ended, now and then.

    Returns:
        Returns and lengths of the episodes.

    Raises:
        ConfigError: when the environment cannot draw itself in a window, or a package for it is
            missing.
        UsageError: where there is no display.
        ZdqnError: as for `evaluate`.
    """
    from zdqn.envs import close_environments, environment_spec

    check_least(episodes=(episodes, 1), seed=(seed, 0))
    if not has_display():
        raise UsageError(
            "There is no display here for a window (neither DISPLAY nor WAYLAND_DISPLAY is set). "
            "`zdqn play --video DIR` makes a film instead."
        )
    with one_thread():
        policy = load_to_play(run, environment, network)
        check_environment_is_given(policy.config, environment)
        section = policy.config.environment
        environments = rendered_environments(policy.config, environment, "human")
        try:
            if "human" not in environments.metadata.get("render_modes", ()):
                raise ConfigError(
                    "The environment cannot draw itself in a window (it has no render_mode "
                    '"human"). `zdqn play --video DIR` films one that has "rgb_array".'
                )
            check_environment_fits(
                policy, environment_spec(environments, section.frame_stack, section.action_masks)
            )
            tell = (lambda episodes, _: on_episode(episodes)) if on_episode is not None else None
            return play_as_evaluated(
                policy, environments, episodes=episodes, seed=seed, label="play", tell=tell
            )
        finally:
            close_environments(environments)


def _film(
    policy: TrainedPolicy,
    environment: EnvironmentFactory | None,
    video: Path,
    seed: int,
    on_step: Callable[[int], object] | None,
) -> FilmedEpisode:
    from zdqn.envs import close_environments, environment_spec

    config, section = policy.config, policy.config.environment
    video.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=video, prefix=".film-") as unfinished:
        folder = Path(unfinished) / "film"  # gymnasium makes it, and warns of one that is there
        film = {"name": "RecordVideo", "kwargs": {"video_folder": str(folder)}}
        environments = rendered_environments(config, environment, "rgb_array", film)
        try:
            found = environment_spec(environments, section.frame_stack, section.action_masks)
            check_environment_fits(policy, found)
            tell = (lambda _, steps: on_step(steps)) if on_step is not None else None
            scores = play_as_evaluated(
                policy, environments, episodes=1, seed=seed, label="play", tell=tell
            )
        finally:
            close_environments(environments)
        films = sorted(folder.glob("*.mp4"))
        if not films:
            raise FileError(f"No film was written to {video}.")
        name = f"{_name_of(policy.checkpoint)}-seed-{seed}"
        return FilmedEpisode(scores, _place(films[-1], video, name))


def rendered_environments(
    config: Config,
    environment: EnvironmentFactory | None,
    render_mode: str,
    *film: Mapping[str, Any],
) -> VectorEnv[Any, Any, Any]:
    """Make one environment of a run that draws itself, as evaluators have it otherwise.

    Args:
        config: of the run.
        environment: makes the environment; None for that of the configuration.
        render_mode: how it draws itself, as gymnasium names it.
        film: wrappers that take what is drawn, as `zdqn.envs.make_environments` takes them.

    Raises:
        ConfigError: when it cannot be made, or draws no pictures.
        EnvironmentFailedError: when it breaks.
    """
    from zdqn.envs import make_environments

    section = config.environment
    wrappers = [{"name": item.name, "kwargs": item.kwargs} for item in section.wrappers]
    return make_environments(
        environment or section.id,
        kwargs={**section.kwargs, "render_mode": render_mode},
        wrappers=[*wrappers, *film],
        max_episode_steps=section.max_episode_steps,
        count=1,
        vectorization="sync",
        cut_after_steps=config.evaluator.max_episode_steps,
        action_masks=section.action_masks,
    )


def _name_of(path: Path) -> str:
    """Give run and checkpoint as a file name, such as ``first-best``."""
    folder = path.resolve().parent
    run = folder.parent if folder.name == "checkpoints" else folder
    return re.sub(r"[^\w.-]+", "-", f"{run.name}-{path.stem}")


def _place(film: Path, folder: Path, name: str) -> Path:
    """Put a film into a folder, beside any of the same name."""
    for number in itertools.count(1):
        place = folder / (f"{name}.mp4" if number == 1 else f"{name}-{number}.mp4")
        try:
            place.touch(exist_ok=False)
        except FileExistsError:
            continue
        return film.replace(place)
    raise AssertionError("unreachable")
