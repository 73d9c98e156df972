"""The parts of DQN that a configuration may have on, and what it is without each.

Another part is another row of `PARTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zdqn.config import Config, flatten
from zdqn.config.learning_sections import ExplorationSection
from zdqn.errors import UsageError, did_you_mean
from zdqn.experiments.studies.study_plan import Variant


@dataclass(frozen=True)
class LearningPart:
    """Something that can be left out.

    Attributes:
        key: ``section.key`` that it hangs on.
        is_on: whether a configuration has it.
        without: ``section.key`` to value, which leave it out.
        meaning: what a configuration without it does.
    """

    key: str
    is_on: Callable[[Config], bool]
    without: Callable[[Config], Mapping[str, Any]]
    meaning: str


def switch(key: str, off: Any, meaning: str, **also: Any) -> LearningPart:
    """Make a part that is off when one key has one value.

    Args:
        key: ``section.key``.
        off: its value without the part.
        meaning: what a configuration without it does.
        also: other keys of the same section that go with it.
    """
    section = key.partition(".")[0]
    values = {key: off, **{f"{section}.{name}": value for name, value in also.items()}}
    return LearningPart(
        key, lambda config: flatten(config).get(key, off) != off, lambda _: values, meaning
    )


def _without_replay(config: Config) -> dict[str, Any]:
    """Learn from what has just come, once; the target moves after as many transitions as before.

    With one environment that is each transition, alone and in order; with several one of each.
    """
    replay, algorithm, together = config.replay, config.algorithm, config.collector.environments
    before = replay.samples_per_insert / algorithm.batch_size or 1.0
    updates = algorithm.target_update_period_updates / before / together
    return {
        "replay.kind": "uniform",
        "replay.initial_priority": "max",
        "replay.capacity": together,
        "replay.min_size": together,
        "replay.samples_per_insert": 1.0,
        "replay.samples_per_insert_window": 0.0,
        "algorithm.batch_size": together,
        "algorithm.target_update_period_updates": max(round(updates), 1),
        "collector.block_transitions": together,
    }


def _without_noise(config: Config) -> dict[str, Any]:
    """Explore by epsilon; where that is 0 all along, by the one of the defaults."""
    values: dict[str, Any] = {"network.noisy": False}
    return values if _epsilon_explores(config.exploration) else values | _falling_epsilon(config)


def _without_ladder(config: Config) -> dict[str, Any]:
    """Give all environments one epsilon, which is above 0 at some time if nothing else explores."""
    values: dict[str, Any] = {"exploration.kind": "linear"}
    linear = config.replace(values)
    explores = config.network.noisy or _epsilon_explores(linear.exploration)
    return values if explores else values | _falling_epsilon(linear)


def _epsilon_explores(section: ExplorationSection) -> bool:
    if section.kind == "ladder":
        return section.ladder_base > 0
    at_first = section.epsilon_decay_environment_steps > 0 and section.epsilon_initial > 0
    return at_first or section.epsilon_final > 0


def _falling_epsilon(config: Config) -> dict[str, Any]:
    """Give the epsilon of the defaults, fallen after a quarter of the run at the latest."""
    default, steps = ExplorationSection(), config.stop.environment_steps
    falls = default.epsilon_decay_environment_steps
    return {
        "exploration.kind": "linear",
        "exploration.epsilon_initial": default.epsilon_initial,
        "exploration.epsilon_final": default.epsilon_final,
        "exploration.epsilon_decay_environment_steps": min(falls, steps // 4) if steps else falls,
    }


PARTS: dict[str, LearningPart] = {
    "replay": LearningPart(
        "replay.capacity",
        lambda config: config.replay.capacity > config.collector.environments,
        _without_replay,
        "what has just come is learned from, once; the target network moves after as many "
        "transitions as before",
    ),
    "target": switch(
        "algorithm.target_network", "none", "targets come from the online network itself"
    ),
    "double": switch(
        "algorithm.double", False, "the network that rates the bootstrap action chooses it too"
    ),
    "dueling": switch("network.dueling", False, "action values come from one head"),
    "n_step": switch("algorithm.n_step", 1, "returns bootstrap after one reward"),
    "prioritized": switch(
        "replay.kind", "uniform", "transitions are drawn uniformly", initial_priority="max"
    ),
    "initial_priority": LearningPart(
        "replay.initial_priority",
        lambda config: (
            config.replay.kind == "prioritized" and config.replay.initial_priority == "collector"
        ),
        lambda _: {"replay.initial_priority": "max"},
        "a new transition gets the highest priority so far",
    ),
    "distribution": switch(
        "algorithm.distribution", "none", "the mean of an action's return is learned alone"
    ),
    "munchausen": switch(
        "algorithm.munchausen",
        False,
        "targets take the highest value, and rewards are those of the environment",
    ),
    "value_rescaling": switch(
        "algorithm.value_rescaling", False, "values are learned at their own scale"
    ),
    "noisy": LearningPart(
        "network.noisy",
        lambda config: config.network.noisy,
        _without_noise,
        "layers have no noise, and epsilon explores: that of the defaults, where it is 0 all along",
    ),
    "ladder": LearningPart(
        "exploration.kind",
        lambda config: config.exploration.kind == "ladder",
        _without_ladder,
        "all environments have one epsilon, which falls",
    ),
    "reward_clipping": switch("algorithm.reward_clip", 0.0, "rewards are as large as they come"),
    "clipping": switch("algorithm.max_gradient_norm", 0.0, "gradients are as long as they come"),
}
"""Name, as ``--without`` takes it, to part."""


def parts_on(config: Config) -> list[str]:
    """Name the parts that a configuration has on."""
    return [name for name, part in PARTS.items() if part.is_on(config)]


def ablation(config: Config, without: Sequence[str] = ()) -> list[Variant]:
    """Make the variants of an ablation: the whole, and the whole without each part.

    Args:
        config: the whole.
        without: parts, or several with "+" between them to leave out together, such as
            "replay+target"; none for each that is on.

    Raises:
        UsageError: for an unknown part, or one that is not on.
    """
    on = parts_on(config)
    for name in (part for words in without for part in words.split("+")):
        if name not in PARTS:
            raise UsageError(f'--without is "{name}", no part of DQN. {did_you_mean(name, PARTS)}')
        if name not in on:
            raise UsageError(
                f'--without is "{name}", which this configuration does not have on: there is '
                f"nothing to leave out. On are: {', '.join(on) or 'none'}."
            )
    chosen = list(dict.fromkeys(without)) or on
    if not chosen:
        raise UsageError(
            f"This configuration has none of the parts on that can be left out: "
            f"{', '.join(PARTS)}. Turn one on, such as --set algorithm.double=true."
        )
    return [Variant("full", config), *(_left_out(config, words) for words in chosen)]


def _left_out(config: Config, words: str) -> Variant:
    """Leave out one part after the other: what comes of one may depend on another having gone."""
    for name in words.split("+"):
        config = config.replace(PARTS[name].without(config))
    return Variant(f"no-{words}", config)


def scaling(config: Config, collectors: Sequence[int]) -> list[Variant]:
    """Make the variants of a study of the number of collectors.

    Args:
        config: of all of them.
        collectors: how many each has.

    Raises:
        UsageError: when a number is less than 1, or stands there twice.
    """
    for count in collectors:
        if count < 1 or list(collectors).count(count) > 1:
            given = ",".join(map(str, collectors))
            raise UsageError(
                f"--collectors is {given}. Give numbers >= 1, each once, such as 1,2,4,8."
            )
    return [
        Variant(f"{count}-collectors", config.replace("launch.collectors", count))
        for count in collectors
    ]
