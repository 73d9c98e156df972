"""What a file of `zdqn launch` says of Slurm: which jobs it is asked for, and what they need."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from zdqn.config.section import Section, key

AtTimeLimit = Literal["end", "requeue"]

_Cores = Annotated[int, Meta(ge=0)]
_AS_ABOVE = "As in `[slurm]`, which it stands for if it is given."


class SlurmJobSection(Section, frozen=True, kw_only=True):
    """What the jobs of one kind ask for; what is left out is as in `[slurm]`."""

    partition: Annotated[str | None, key(_AS_ABOVE)] = None
    account: Annotated[str | None, key(_AS_ABOVE)] = None
    qos: Annotated[str | None, key(_AS_ABOVE)] = None
    time: Annotated[str | None, key(_AS_ABOVE)] = None
    cpus: Annotated[_Cores | None, key(_AS_ABOVE)] = None
    memory: Annotated[str | None, key(_AS_ABOVE)] = None
    gres: Annotated[str | None, key(_AS_ABOVE)] = None
    sbatch: Annotated[tuple[str, ...], key("Options besides those of `[slurm]`.")] = ()
    python: Annotated[str | None, key("As in `[defaults]`, which it stands for.")] = None
    setup: Annotated[tuple[str, ...] | None, key("As in `[defaults]`, which they stand for.")] = (
        None
    )
    environment: Annotated[dict[str, str], key("Besides that of `[defaults]`.")] = {}  # noqa: RUF012


class SlurmSection(Section, frozen=True, kw_only=True):
    """How `zdqn launch --slurm` asks for jobs: one for the servers, an array for collectors."""

    partition: Annotated[str, key("Partition of all jobs. Empty leaves it to Slurm.")] = ""
    account: Annotated[str, key("Account that is charged. Empty leaves it to Slurm.")] = ""
    qos: Annotated[str, key("Quality of service. Empty leaves it to Slurm.")] = ""
    time: Annotated[
        str,
        key(
            "Limit of each job, as sbatch takes it: minutes, HOURS:MINUTES:SECONDS, or "
            "DAYS-HOURS. Empty leaves it to the partition."
        ),
    ] = ""
    cpus: Annotated[int, key("Cores of a job. 0 leaves it to Slurm, which gives one.", ge=0)] = 0
    memory: Annotated[
        str, key("Memory of a job, such as `8G`. Empty leaves it to the partition.")
    ] = ""
    gres: Annotated[str, key("Other resources of a job, such as `gpu:1`.")] = ""
    sbatch: Annotated[
        tuple[str, ...],
        key("More options of sbatch, one in each text, such as `--constraint=skylake`."),
    ] = ()
    at_once: Annotated[
        int, key("Collectors of an array that run at the same time, at most. 0: all.", ge=0)
    ] = 0
    checkpoint_s: Annotated[
        int,
        key(
            "Seconds before its time limit at which a job begins to end: the learner's checkpoint "
            "has to be written by then. Slurm may be up to a minute early.",
            ge=1,
            le=65535,
        ),
    ] = 120
    at_time_limit: Annotated[
        AtTimeLimit,
        key(
            "What follows a job's time limit: its end, or that it is queued again and goes on "
            "from its checkpoint."
        ),
    ] = "end"
    servers: SlurmJobSection = SlurmJobSection()
    collectors: SlurmJobSection = SlurmJobSection()
