"""Scoring and showing a stored network, without any other role."""

from __future__ import annotations

import itertools
import logging
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zdqn.config import Config
from zdqn.data import EnvironmentSpec, EvaluationScores
from zdqn.errors import ConfigError, FileError, MismatchError, UsageError
from zdqn.experiments.trained_policy import TrainedPolicy, load_policy
from zdqn.records.given_functions import check_environment_is_given, other_functions
from zdqn.records.run_result import RunResult
from zdqn.rl.exploration import epsilon_greedy
from zdqn.roles.building import (
    EnvironmentFactory,
    NetworkFactory,
    build_evaluation_environments,
    one_thread,
)

if TYPE_CHECKING:
    from gymnasium.vector import VectorEnv

logger = logging.getLogger("zdqn")


class FilmedEpisode(NamedTuple):
    """An episode that was filmed.

    Attributes:
        scores: of the one episode.
        film: the file.
    """

    scores: EvaluationScores
    film: Path


def evaluate(
    run: RunResult | str | Path,
    *,
    episodes: int = 20,
    seed: int = 0,
    seeds: int = 1,
    environment: EnvironmentFactory | None = None,
    network: NetworkFactory | None = None,
    on_episode: Callable[[int], object] | None = None,
) -> EvaluationScores:
    """Play episodes with a stored network, as an evaluator of its run does.

    Actions are greedy but for a share of ``evaluator.epsilon``. This is what ``zdqn evaluate``
    calls.

    Args:
        run: what a run gave back, or its folder, for its best network (``best.pt``); or a file of
            ``checkpoints/``.
        episodes: to play with each seed, >= 1.
        seed: of the environments, >= 0; the same seed gives the same scores, and those of an
            evaluation of the run that had it.
        seeds: how many, `seed` and those that follow, >= 1.
        environment: makes an environment; the one that the run was given, if it was.
        network: makes the network; the one that the run was given, if it was.
        on_episode: told how many episodes have been played, as they end.

    Returns:
        Returns and lengths of the episodes, seed by seed, and their mean and deviation.

    Raises:
        UsageError: when `episodes`, `seed` or `seeds` is too small.
        FileError: when the file cannot be read.
        MismatchError: when it fits neither the network nor the environment.
        ConfigError: when a function made network or environment that is not given, or the
            environment cannot be made.
        EnvironmentFailedError: when the environment raises or misbehaves.
    """
    from zdqn.envs import close_environments

    _check_least(episodes=(episodes, 1), seed=(seed, 0), seeds=(seeds, 1))
    with one_thread():
        policy = _load(run, environment, network)
        environments, found = build_evaluation_environments(
            policy.config, environment, episodes=episodes
        )
        try:
            _check_spec(policy, found)
            scores = []
            for number in range(seeds):
                tell = _counting_from(number * episodes, on_episode)
                scores.append(
                    _play(
                        policy,
                        environments,
                        episodes=episodes,
                        seed=seed + number,
                        label="evaluate",
                        tell=tell,
                    )
                )
            return _together(scores)
        finally:
            close_environments(environments)


def _counting_from(
    before: int, on_episode: Callable[[int], object] | None
) -> Callable[[int, int], object] | None:
    """Tell of each episode that ends, behind those that were played before."""
    if on_episode is None:
        return None
    told = before

    def tell(episodes: int, _steps: int) -> None:
        nonlocal told
        if before + episodes > told:
            told = before + episodes
            on_episode(told)

    return tell


def _together(scores: Sequence[EvaluationScores]) -> EvaluationScores:
    return EvaluationScores(
        returns=tuple(value for some in scores for value in some.returns),
        lengths=tuple(value for some in scores for value in some.lengths),
        cut=sum(some.cut for some in scores),
    )


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

    _check_least(seed=(seed, 0))
    video = Path(video)
    made = [folder for folder in (video, *video.parents) if not folder.exists()]
    try:
        with one_thread():
            policy = _load(run, environment, network)
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
        film = {"name": "RecordVideo", "kwargs": {"video_folder": unfinished}}
        environments = rendered_environments(config, environment, film)
        try:
            found = environment_spec(environments, section.frame_stack, section.action_masks)
            _check_spec(policy, found)
            tell = (lambda _, steps: on_step(steps)) if on_step is not None else None
            scores = _play(policy, environments, episodes=1, seed=seed, label="play", tell=tell)
        finally:
            close_environments(environments)
        films = sorted(Path(unfinished).glob("*.mp4"))
        if not films:
            raise FileError(f"No film was written to {video}.")
        name = f"{_name_of(policy.checkpoint)}-seed-{seed}"
        return FilmedEpisode(scores, _place(films[-1], video, name))


def _load(
    run: RunResult | str | Path,
    environment: EnvironmentFactory | None,
    network: NetworkFactory | None,
) -> TrainedPolicy:
    """Load a policy, and warn of functions that are not those of the run."""
    policy = load_policy(run, network=network)
    for text in other_functions(policy.config, environment, network):
        logger.warning("%s", text)
    return policy


def _play(
    policy: TrainedPolicy,
    environments: VectorEnv[Any, Any, Any],
    *,
    episodes: int,
    seed: int,
    label: str,
    tell: Callable[[int, int], object] | None = None,
) -> EvaluationScores:
    """Play as in an evaluation of the run with this seed."""
    from zdqn.core.evaluation import evaluate as play_episodes

    scores = play_episodes(
        environments,
        policy.spec,
        evaluators_choice(policy, seed),
        episodes=episodes,
        seed=seed,
        label=label,
        stop=lambda: False,
        tell=tell,
    )
    assert scores is not None
    return scores


def evaluators_choice(
    policy: TrainedPolicy, seed: int
) -> Callable[[NDArray[Any], NDArray[np.bool_] | None], NDArray[np.int64]]:
    """Give what chooses actions as an evaluator does: greedily but for a few that are random.

    Args:
        policy: of the run.
        seed: of what is random.
    """
    epsilon, rng = policy.config.evaluator.epsilon, np.random.default_rng(seed)
    count = policy.spec.num_actions

    def choose(observations: NDArray[Any], allowed: NDArray[np.bool_] | None) -> NDArray[np.int64]:
        greedy = policy.actions(observations, allowed)
        return epsilon_greedy(greedy, count, epsilon, rng, allowed)

    return choose


def rendered_environments(
    config: Config, environment: EnvironmentFactory | None, film: Mapping[str, Any]
) -> VectorEnv[Any, Any, Any]:
    """Make one environment of a run that draws itself, as evaluators have it otherwise.

    Args:
        config: of the run.
        environment: makes the environment; None for that of the configuration.
        film: the wrapper that takes what is drawn, as `zdqn.envs.make_environments` takes it.

    Raises:
        ConfigError: when it cannot be made, or draws no pictures.
        EnvironmentFailedError: when it breaks.
    """
    from zdqn.envs import make_environments

    section = config.environment
    wrappers = [{"name": item.name, "kwargs": item.kwargs} for item in section.wrappers]
    return make_environments(
        environment or section.id,
        kwargs={**section.kwargs, "render_mode": "rgb_array"},
        wrappers=[*wrappers, film],
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


def _check_spec(policy: TrainedPolicy, found: EnvironmentSpec) -> None:
    if policy.spec != found:
        raise MismatchError(
            f"{policy.checkpoint} was trained on {policy.spec.describe()}, but its environment now "
            f"gives {found.describe()}."
        )


def _check_least(**given: tuple[int, int]) -> None:
    for name, (value, least) in given.items():
        if value < least:
            raise UsageError(f"{name} is {value}; it must be {least} or more.")
