"""The parts of DQN that a configuration may have on, and what it is without each.

Another part is another row of `PARTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zdqn.config import Config, flatten
from zdqn.errors import UsageError, did_you_mean
from zdqn.experiments.studies.study_plan import Variant


@dataclass(frozen=True)
class LearningPart:
    """Something that can be left out.

    Attributes:
        is_on: whether a configuration has it.
        without: ``section.key`` to value, which leave it out.
        meaning: what a configuration without it does.
    """

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
        lambda config: flatten(config).get(key, off) != off, lambda _: values, meaning
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


PARTS: dict[str, LearningPart] = {
    "replay": LearningPart(
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
    values: dict[str, Any] = {}
    for name in words.split("+"):
        values.update(PARTS[name].without(config))
    return Variant(f"no-{words}", config.replace(values))


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
