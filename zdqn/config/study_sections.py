"""What a file of `zdqn study` holds: variants of a configuration, seeds, and what is looked at."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from zdqn.config.section import Section, key

Changes = dict[str, dict[str, Any]]
"""Section to key to value, such as ``{"algorithm": {"double": True}}``."""


class VariantsSection(Section, frozen=True, kw_only=True):
    """One variant: a configuration, and what it has otherwise."""

    name: Annotated[
        str, key("What it is called in tables and figures; its runs are in a folder of this name.")
    ]
    config: Annotated[str, key("Its configuration, instead of the study's `config`.")] = ""
    set: Annotated[
        Changes,
        key(
            "Values that win over the study's own, as `set = { algorithm.double = true }`; "
            '`"none"` makes a value absent that may be.'
        ),
    ] = {}  # noqa: RUF012 - each struct gets its own


class Study(Section, frozen=True, kw_only=True):
    """Variants of a configuration, each trained with the same seeds.

    Raises:
        ConfigError: for a wrong value.
    """

    title: Annotated[str, key("The first line of the results; the file's name if empty.")] = ""
    command: Annotated[
        Literal["train", "run"],
        key(
            "How each run is made: `train` in one process, the same for the same seed, or `run` "
            "with all roles as processes."
        ),
    ] = "train"
    config: Annotated[
        str, key("Configuration of every variant that has none; beside this file if relative.")
    ] = ""
    seeds: Annotated[
        tuple[Annotated[int, key("A seed.", ge=0)], ...],
        key("Seeds (`run.seed`) that every variant is trained with."),
    ] = (0, 1, 2, 3, 4)
    set: Annotated[Changes, key("Values of every variant that win over its configuration.")] = {}  # noqa: RUF012
    variants: Annotated[
        tuple[VariantsSection, ...], key("What is compared, each as `[[variants]]`.")
    ] = ()
    baseline: Annotated[
        str, key("The variant that the others are compared with; the first if empty.")
    ] = ""
    threshold: Annotated[
        float | None,
        key(
            "Mean return of an evaluation, to which steps and time are counted. Absent: "
            "`stop.evaluation_return`, if all variants have the same."
        ),
    ] = None
    final_evaluations: Annotated[
        int, key("A run's final score is the mean of so many of its last evaluations.", ge=1)
    ] = 1
    unfinished: Annotated[
        Literal["restart", "resume"],
        key(
            "What becomes of a run that was cut off: begun again, or gone on with from its newest "
            "checkpoint, without the replay that it had (unless that is on disk)."
        ),
    ] = "restart"
