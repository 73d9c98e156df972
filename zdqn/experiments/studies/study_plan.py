"""Which runs a study is made of: a pure function of what its file says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zdqn.config import Config, flatten, load_config, parse_override
from zdqn.config.explaining import convert, show_value
from zdqn.config.loading import read_toml
from zdqn.config.study_sections import Changes, Study
from zdqn.errors import ConfigError, did_you_mean

_NAME = re.compile(r"[A-Za-z0-9][\w.+-]{0,63}", re.ASCII)
_ANY_PORT = {"memory.bind": "tcp://127.0.0.1:0", "learner.bind": "tcp://127.0.0.1:0"}
"""Several runs of one machine must not want the same ports."""
_SERVERS = 2


@dataclass(frozen=True)
class Variant:
    """One of the things that are compared.

    Attributes:
        name: in tables and figures, and of the folder of its runs.
        config: of its runs, but for their seed.
    """

    name: str
    config: Config


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study.

    Attributes:
        variant: its name.
        seed: of the run.
        config: with that seed.
    """

    variant: str
    seed: int
    config: Config

    @property
    def name(self) -> str:
        """What it is called, which is where its files are too."""
        return f"{self.variant}/seed-{self.seed}"


@dataclass(frozen=True)
class StudyPlan:
    """What a study is made of, resolved and checked.

    Attributes:
        title: first line of the results.
        command: "train" or "run".
        variants: what is compared; at least one.
        seeds: of each variant.
        baseline: name of the variant that others are compared with.
        threshold: return to which steps and time are counted; None if there is none.
        final_evaluations: how many of a run's last evaluations its final score is the mean of.
        unfinished: "restart" or "resume".
    """

    title: str
    command: str
    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]
    baseline: str
    threshold: float | None
    final_evaluations: int
    unfinished: str

    def runs(self) -> tuple[PlannedRun, ...]:
        """Give all runs, those of the first seed first, so that variants can soon be compared."""
        return tuple(
            PlannedRun(variant.name, seed, variant.config.replace("run.seed", seed))
            for seed in self.seeds
            for variant in self.variants
        )

    def trained(self) -> dict[str, Any]:
        """Give everything that says what its runs are, flat: what may not change in a folder.

        What is only looked at (title, baseline, threshold, final score) is left out, and seeds,
        as those of a run are in its name.
        """
        own: dict[str, Any] = {"command": self.command}
        for variant in self.variants:
            values = flatten(variant.config.replace("run.seed", 0))
            own.update({f"{variant.name}: {key}": value for key, value in values.items()})
        return own


def load_study(path: Path) -> Study:
    """Read the file of a study.

    Raises:
        ConfigError: for an unknown key, a wrong type, or a value out of range.
        FileError: when it cannot be read.
    """
    return convert(read_toml(path), Study, source=str(path), top="the file's top level")


def plan_study(study: Study, path: Path, overrides: Iterable[str] = ()) -> StudyPlan:
    """Resolve a study: each variant's configuration, and the runs that follow.

    Args:
        study: what its file says.
        path: of the file, for messages, and beside which configurations are.
        overrides: ``section.key=value``, which win in every variant.

    Raises:
        ConfigError: when it, or a configuration, cannot work.
        FileError: when a configuration cannot be read.
    """
    overrides = tuple(overrides)
    if not study.variants:
        raise ConfigError(
            f"{path}: variants is empty, so there is nothing to train. Add a table [[variants]] "
            f'with a name for each, such as name = "double", set = {{ algorithm.double = true }}.'
        )
    variants = []
    for place, given in enumerate(study.variants):
        source = f"{path}, variant {show_value(given.name)}"
        file = given.config or study.config
        if not file:
            raise ConfigError(
                f"{source} has no configuration. Give config at the top of the file, for all "
                f"variants, or in [[variants]] number {place + 1}, such as "
                f'config = "cartpole.toml".'
            )
        config = load_config(path.parent / Path(file).expanduser())
        changes = {**_flat(study.set, f"{path}, set"), **_flat(given.set, source)}
        changes |= {
            f"{section}.{key}": value for section, key, value in map(parse_override, overrides)
        }
        variants.append(Variant(given.name, _changed(config, changes, source)))
    return checked_plan(
        variants,
        source=str(path),
        title=study.title or path.stem,
        command=study.command,
        seeds=study.seeds,
        baseline=study.baseline,
        threshold=study.threshold,
        final_evaluations=study.final_evaluations,
        unfinished=study.unfinished,
    )


def checked_plan(
    variants: Sequence[Variant],
    *,
    source: str,
    title: str,
    command: str,
    seeds: Sequence[int],
    baseline: str = "",
    threshold: float | None = None,
    final_evaluations: int = 1,
    unfinished: str = "restart",
) -> StudyPlan:
    """Put a plan together, and refuse one that could not be carried out or not be compared.

    Args:
        variants: what is compared, at least one.
        source: what to call the plan in messages.
        title: of the results.
        command: "train" or "run".
        seeds: of each variant.
        baseline: name of a variant; "" for the first.
        threshold: a return; None for that of ``stop.evaluation_return``, if all have the same.
        final_evaluations: see `StudyPlan`.
        unfinished: see `StudyPlan`.

    Raises:
        ConfigError: naming what is wrong.
    """
    _check_names([variant.name for variant in variants], source)
    _check_seeds(seeds, source)
    names = [variant.name for variant in variants]
    if baseline and baseline not in names:
        raise ConfigError(
            f"{source}: baseline is {show_value(baseline)}, but no variant is called so. "
            f"{did_you_mean(baseline, names)}"
        )
    if command == "run":
        variants = [Variant(each.name, each.config.replace(_ANY_PORT)) for each in variants]
    _check_different(variants, source)
    _check_comparable(variants, source)
    goals = {variant.config.stop.evaluation_return for variant in variants}
    if threshold is None and len(goals) == 1:
        (threshold,) = goals
    return StudyPlan(
        title=title,
        command=command,
        variants=tuple(variants),
        seeds=tuple(seeds),
        baseline=baseline or names[0],
        threshold=threshold,
        final_evaluations=final_evaluations,
        unfinished=unfinished,
    )


def processes_of(plan: StudyPlan) -> int:
    """Give how many processes the largest run of a study has."""
    if plan.command == "train":
        return 1
    launches = [variant.config.launch for variant in plan.variants]
    return max(_SERVERS + launch.collectors + launch.evaluators for launch in launches)


def default_jobs(plan: StudyPlan, cores: int) -> int:
    """Choose how many runs go at once: so many that each process has a core, and at least one.

    Args:
        plan: of the study.
        cores: that there are.
    """
    return max(1, min(cores // processes_of(plan), len(plan.variants) * len(plan.seeds)))


def describe_change(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say how what is trained differs, a line for each value: ``command was ... and is ...``.

    Variants of which only one side knows are none: they have no runs that could be mixed.

    Args:
        before: of `StudyPlan.trained`, as it was.
        now: as it is.
    """
    shared = {_owner(key) for key in before} & {_owner(key) for key in now}
    return [
        f"{key} was {_shown(before, key)} and is {_shown(now, key)}"
        for key in {**before, **now}
        if _owner(key) in shared
        and (before.get(key) != now.get(key) or (key in before) != (key in now))
    ]


def _owner(key: str) -> str:
    """Give the variant of a value of `StudyPlan.trained`, or the key itself, of the study's own."""
    return key.partition(": ")[0]


def _shown(values: Mapping[str, Any], key: str) -> str:
    return show_value(values[key]) if key in values else "absent"


def _flat(changes: Changes, source: str) -> dict[str, Any]:
    """Give changes as ``section.key`` to value."""
    flat = {}
    for section, values in changes.items():
        if not isinstance(values, Mapping):
            raise ConfigError(
                f"{source}: set holds {section} = {show_value(values)}, which is no key of a "
                f"section. Write it as section.key, such as set = {{ replay.capacity = 5000 }}."
            )
        flat.update({f"{section}.{key}": value for key, value in values.items()})
    return flat


def _changed(config: Config, changes: Mapping[str, Any], source: str) -> Config:
    """Change values; a message names where they stand."""
    values = dict(changes)
    for name, value in changes.items():
        if isinstance(value, str) and value.lower() == "none":
            section, key, parsed = parse_override(f"{name}={value}")
            values[f"{section}.{key}"] = parsed
    try:
        return config.replace(values)
    except ConfigError as error:
        text = str(error).removeprefix("zdqn.Config.replace: ")
        raise ConfigError(f"{source}: {text}") from error


# --- what is refused ----------------------------------------------------------------------------


def _check_names(names: Sequence[str], source: str) -> None:
    for name in names:
        if _NAME.fullmatch(name) is None:
            raise ConfigError(
                f"{source}: name is {show_value(name)}, but a variant's runs go to a folder of its "
                f"name. Use up to 64 letters, digits, dots, plus signs, hyphens and underscores, a "
                f"letter or a digit first."
            )
    folded = [name.lower() for name in names]
    for name in names:
        if folded.count(name.lower()) > 1:
            raise ConfigError(
                f"{source}: two variants are called {show_value(name)} (capitals do not count, as "
                f"some file systems have none). Give each a name of its own."
            )


def _check_seeds(seeds: Sequence[int], source: str) -> None:
    if not seeds:
        raise ConfigError(f"{source}: seeds is empty. Give at least one, such as seeds = [0].")
    if len(set(seeds)) < len(seeds):
        raise ConfigError(
            f"{source}: seeds is {show_value(list(seeds))}, where one stands twice. The same seed "
            f"says nothing new; give each once."
        )


def _check_different(variants: Sequence[Variant], source: str) -> None:
    """Refuse a variant that changes nothing: its name would promise what is not there."""
    for number, one in enumerate(variants):
        for other in variants[:number]:
            if one.config == other.config:
                raise ConfigError(
                    f"{source}: the variants {other.name} and {one.name} have the same "
                    f"configuration, so that they would differ by chance alone. Change a value in "
                    f"the `set` of one of them, or leave one out."
                )


def _check_comparable(variants: Sequence[Variant], source: str) -> None:
    first = variants[0]
    for variant in variants:
        ours, theirs = variant.config.environment.id, first.config.environment.id
        if ours != theirs:
            raise ConfigError(
                f"{source}: environment.id is {show_value(theirs)} in variant {first.name} and "
                f"{show_value(ours)} in variant {variant.name}: their returns cannot be compared. "
                f"Make a study of each."
            )
        if not has_an_end(variant.config):
            raise ConfigError(
                f"{source}: variant {variant.name} has no end that is sure to come: stop.updates, "
                f"stop.environment_steps, stop.episodes and stop.wall_s are all 0. Set one, such "
                f"as set = {{ stop.environment_steps = 100_000 }}."
            )


def has_an_end(config: Config) -> bool:
    """Whether a run ends whatever it learns: `stop.evaluation_return` alone may never come."""
    stop = config.stop
    return any((stop.updates, stop.environment_steps, stop.episodes, stop.wall_s))
