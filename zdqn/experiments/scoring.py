"""Scoring and showing a stored network, without any other role."""

from __future__ import annotations

import itertools
import logging
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zdqn.config import Config
from zdqn.data import EnvironmentSpec, EvaluationScores
from zdqn.errors import ConfigError, FileError, MismatchError
from zdqn.records.given_functions import check_environment_is_given, other_functions
from zdqn.rl.exploration import epsilon_greedy
from zdqn.roles.building import (
    EnvironmentFactory,
    NetworkFactory,
    build_evaluation_environments,
    build_network,
    use_threads,
)

if TYPE_CHECKING:
    from gymnasium.vector import VectorEnv

    from zdqn.rl.torch_policy import TorchPolicy

logger = logging.getLogger("zdqn")


def load_policy(
    path: Path, network: NetworkFactory | None = None
) -> tuple[TorchPolicy, Config, EnvironmentSpec]:
    """Load the online network of a checkpoint.

    Args:
        path: a file of ``checkpoints/``, or ``best.pt``.
        network: makes the network, if the run was given one.

    Returns:
        The policy, the run's configuration and its environment's spec.

    Raises:
        FileError: when the file cannot be read.
        MismatchError: when it is no checkpoint of zdqn, or does not fit the network.
        ConfigError: when a function made the network that is not given.
    """
    from zdqn.records.checkpoints import load_checkpoint
    from zdqn.rl.torch_policy import TorchPolicy

    use_threads(1)
    checkpoint = load_checkpoint(path)
    config, spec = checkpoint.config, checkpoint.spec
    policy = TorchPolicy(build_network(config, network, spec))
    policy.load({name: tensor.cpu().numpy() for name, tensor in checkpoint.online.items()})
    return policy, config, spec


def score_checkpoint(
    path: Path,
    *,
    episodes: int,
    seed: int,
    environment: EnvironmentFactory | None = None,
    network: NetworkFactory | None = None,
) -> EvaluationScores:
    """Play episodes with a checkpoint's network, as an evaluator of its run does.

    Actions are greedy but for a share of ``evaluator.epsilon``; the same seed as in the run gives
    the same scores.

    Args:
        path: a file of ``checkpoints/``, or ``best.pt``.
        episodes: to play, >= 1.
        seed: of the environments; the same seed gives the same scores.
        environment: makes an environment; the one that the run was given, if it was.
        network: makes the network; the one that the run was given, if it was.

    Returns:
        Returns and lengths.

    Raises:
        ZdqnError: when the file, the environment or the network cannot be used.
    """
    from zdqn.core.evaluation import evaluate
    from zdqn.envs import close_environments

    policy, config, spec = load_policy(path, network)
    _warn_of_others(config, environment, network)
    environments, found = build_evaluation_environments(config, environment, episodes=episodes)
    try:
        _check_spec(path, spec, found)
        scores = evaluate(
            environments,
            spec,
            _acting(policy, config, spec, seed),
            episodes=episodes,
            seed=seed,
            label="evaluate",
            stop=lambda: False,
        )
    finally:
        close_environments(environments)
    assert scores is not None
    return scores


def record_episode(
    path: Path,
    *,
    video: Path,
    seed: int,
    environment: EnvironmentFactory | None = None,
    network: NetworkFactory | None = None,
) -> tuple[EvaluationScores, Path]:
    """Play one episode and film it, with the share of random actions of an evaluation.

    The film is named after the run, the checkpoint and the seed; it replaces no other. It is there
    once it is whole.

    Args:
        path: a file of ``checkpoints/``, or ``best.pt``.
        video: folder for the film; made if it is missing.
        seed: of the environment.
        environment: makes an environment, also with ``render_mode="rgb_array"``; the one that the
            run was given, if it was.
        network: makes the network; the one that the run was given, if it was.

    Returns:
        The episode's score, and the film's path.

    Raises:
        ConfigError: when the environment draws no pictures, or ``zdqn[video]`` is not installed.
        ZdqnError: when the file, the environment or the network cannot be used.
    """
    from gymnasium.error import DependencyNotInstalled

    from zdqn.core.evaluation import evaluate
    from zdqn.envs import close_environments, environment_spec

    policy, config, spec = load_policy(path, network)
    check_environment_is_given(config, environment)
    _warn_of_others(config, environment, network)
    made = [folder for folder in (video, *video.parents) if not folder.exists()]
    try:
        video.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=video, prefix=".film-") as unfinished:
            environments = _filmed_environments(config, environment, Path(unfinished))
            try:
                _check_spec(
                    path, spec, environment_spec(environments, config.environment.frame_stack)
                )
                scores = evaluate(
                    environments,
                    spec,
                    _acting(policy, config, spec, seed),
                    episodes=1,
                    seed=seed,
                    label="play",
                    stop=lambda: False,
                )
            finally:
                close_environments(environments)
            assert scores is not None
            films = sorted(Path(unfinished).glob("*.mp4"))
            if not films:
                raise FileError(f"No film was written to {video}.")
            return scores, _place(films[-1], video, f"{_name_of(path)}-seed-{seed}")
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


def _filmed_environments(
    config: Config, environment: EnvironmentFactory | None, folder: Path
) -> VectorEnv[Any, Any, Any]:
    from zdqn.envs import make_environments

    section = config.environment
    film = {"name": "RecordVideo", "kwargs": {"video_folder": str(folder)}}
    wrappers = [{"name": item.name, "kwargs": item.kwargs} for item in section.wrappers]
    return make_environments(
        environment or section.id,
        kwargs={**section.kwargs, "render_mode": "rgb_array"},
        wrappers=[*wrappers, film],
        max_episode_steps=section.max_episode_steps,
        count=1,
        vectorization="sync",
        cut_after_steps=config.evaluator.max_episode_steps,
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


def _warn_of_others(
    config: Config, environment: EnvironmentFactory | None, network: NetworkFactory | None
) -> None:
    for text in other_functions(config, environment, network):
        logger.warning("%s", text)


def _acting(
    policy: TorchPolicy, config: Config, spec: EnvironmentSpec, seed: int
) -> Callable[[NDArray[Any]], NDArray[np.int64]]:
    """Give a policy that acts as in an evaluation of the run with this seed."""
    epsilon, rng = config.evaluator.epsilon, np.random.default_rng(seed)
    return lambda observations: epsilon_greedy(
        policy.greedy_actions(observations), spec.num_actions, epsilon, rng
    )


def _check_spec(path: Path, spec: EnvironmentSpec, found: EnvironmentSpec) -> None:
    if spec != found:
        raise MismatchError(
            f"{path} was trained on {spec.describe()}, but its environment now gives "
            f"{found.describe()}."
        )
