"""Sections that say how a run is carried out: its ends, its processes and their links."""

from __future__ import annotations

from typing import Annotated, Literal

from zdqn.config.section import Section, key


class RunSection(Section, frozen=True, kw_only=True):
    """What the run is called and where it goes."""

    seed: Annotated[
        int, key("Seed of everything random: networks, environments, sampling.", ge=0)
    ] = 0
    directory: Annotated[
        str, key("Folder in which `zdqn run` and `zdqn train` make a run directory.")
    ] = "runs"


class StopSection(Section, frozen=True, kw_only=True):
    """When training ends: at the first of these that is reached. 0 (or absent) means never."""

    updates: Annotated[int, key("Updates of the learner.", ge=0)] = 0
    environment_steps: Annotated[int, key("Environment steps of all collectors.", ge=0)] = 0
    episodes: Annotated[int, key("Episodes of all collectors.", ge=0)] = 0
    wall_s: Annotated[float, key("Seconds since the learner started.", ge=0)] = 0.0
    evaluation_return: Annotated[
        float | None, key("Mean return of one evaluation. Absent (`--set ...=none`) means never.")
    ] = None


class MemorySection(Section, frozen=True, kw_only=True):
    """The memory role."""

    bind: Annotated[
        str,
        key(
            "Address for hello, samples and status (REQ/REP). Transitions come in one port below; "
            "port 0 takes two free ports."
        ),
    ] = "tcp://127.0.0.1:5556"
    high_water_mark: Annotated[
        int,
        key(
            "Blocks of one collector that may wait unread at either end. 0 chooses: 2 where "
            "`samples_per_insert` lets collectors wait, so that what waits does not grow old, "
            "else 64.",
            ge=0,
            le=1000,
        ),
    ] = 0
    socket_buffer_bytes: Annotated[
        int,
        key(
            "Kernel buffer of a transitions link at either end. What waits there is old when it is "
            "read, and lost when an end dies. 0 chooses: 16 KiB where `samples_per_insert` lets "
            "collectors wait, else 1 MiB.",
            ge=0,
        ),
    ] = 0


class LearnerSection(Section, frozen=True, kw_only=True):
    """The learner role, which is the model server too."""

    bind: Annotated[
        str,
        key(
            "Address of the model server (REQ/REP). Weights are published one port below; "
            "port 0 takes two free ports."
        ),
    ] = "tcp://127.0.0.1:5558"
    device: Annotated[Literal["cpu", "cuda", "auto"], key("Where the learner computes.")] = "auto"
    compile: Annotated[
        bool | Literal["auto"],
        key(
            "Compile updates, many in one call. `zdqn run` goes on meanwhile, and with `auto` "
            "compiles where there is a C++ compiler and a run is long enough for it to pay; `zdqn "
            "train` waits for it with `true`, and compiles nothing with `auto`."
        ),
    ] = "auto"
    threads: Annotated[int, key("Threads of one torch operation on the CPU.", ge=1)] = 1
    publish_period_updates: Annotated[
        int,
        key(
            "Updates between two broadcasts. 0 chooses: as many as follow from 16 environment "
            "steps where `samples_per_insert` tells, else 10.",
            ge=0,
        ),
    ] = 0
    publish_interval_s: Annotated[
        float,
        key(
            "Least time between two broadcasts. They take no more than 2 % of the learner's time, "
            "100 MB/s to collectors on its own machine, and 20 MB/s to others, whatever it is.",
            ge=0,
        ),
    ] = 0.0
    republish_period_s: Annotated[
        float, key("Seconds after which unchanged weights are sent again.", gt=0)
    ] = 5.0
    batches_per_request: Annotated[
        int,
        key(
            "Most batches in one reply; fewer if 8 MiB hold fewer, or if learning from them would "
            "take longer than 20 ms.",
            ge=1,
            le=1024,
        ),
    ] = 64
    requests_in_flight: Annotated[int, key("Sample requests on their way.", ge=1, le=64)] = 2
    checkpoint_period_updates: Annotated[
        int, key("Updates between two checkpoints; 0 writes only the last.", ge=0)
    ] = 10_000
    checkpoints_kept: Annotated[int, key("Newest checkpoints kept.", ge=2)] = 2
    report_period_s: Annotated[
        float,
        key(
            "Seconds between two rows of metrics; from the first update on 0.1, later a tenth of "
            "the time since then, until this is reached.",
            gt=0,
        ),
    ] = 1.0
    give_up_after_s: Annotated[
        float,
        key(
            "Seconds without a new transition, while it waits for some, after which it saves a "
            "checkpoint and gives up with exit code 69; 0 waits for ever.",
            ge=0,
        ),
    ] = 0.0


class CollectorSection(Section, frozen=True, kw_only=True):
    """A collector role."""

    policy: Annotated[
        Literal["local", "remote"],
        key("`local` holds the weights; `remote` asks the model server for every action."),
    ] = "local"
    environments: Annotated[int, key("Environments stepped together.", ge=1)] = 1
    vectorization: Annotated[
        Literal["sync", "async", "native"],
        key("One process, one process each, or the environment's own vectorized form."),
    ] = "sync"
    block_transitions: Annotated[int, key("Most transitions in one message.", ge=1)] = 32
    block_age_s: Annotated[float, key("Seconds after which a part-filled block goes.", gt=0)] = 0.5
    compression: Annotated[
        Literal["none", "lz4", "zstd"],
        key("Lossless compression of frames on the wire, for slow links and large images."),
    ] = "none"
    threads: Annotated[
        int, key("Threads of one torch operation; a small MLP acts without torch.", ge=1)
    ] = 1


class EvaluatorSection(Section, frozen=True, kw_only=True):
    """An evaluator role, and when the learner takes a snapshot for it."""

    period_environment_steps: Annotated[
        int, key("Environment steps between two snapshots; 0 does not count them.", ge=0)
    ] = 0
    period_updates: Annotated[int, key("Updates between two; 0 does not count.", ge=0)] = 0
    period_episodes: Annotated[int, key("Episodes between two; 0 does not count.", ge=0)] = 0
    waiting_snapshots: Annotated[
        int,
        key(
            "Snapshots that wait for an evaluator at most, each a copy of the network in the "
            "learner's memory; one more, and the oldest is dropped.",
            ge=1,
        ),
    ] = 16
    episodes: Annotated[int, key("Episodes of one evaluation.", ge=1)] = 20
    max_episode_steps: Annotated[
        int,
        key(
            "Steps after which an episode is cut off and counted as cut. 0 chooses: 10,000 where "
            "the environment has no time limit of its own, else no cut.",
            ge=0,
        ),
    ] = 0
    epsilon: Annotated[float, key("Share of random actions; 0 is greedy.", ge=0, le=1)] = 0.0
    environments: Annotated[int, key("Environments stepped together.", ge=1)] = 10
    vectorization: Annotated[Literal["sync", "async", "native"], key("As for the collector.")] = (
        "sync"
    )


class LaunchSection(Section, frozen=True, kw_only=True):
    """How many of each role `zdqn run` starts."""

    collectors: Annotated[int, key("Collector processes.", ge=1)] = 2
    evaluators: Annotated[int, key("Evaluator processes.", ge=0)] = 1
    max_restarts: Annotated[
        int, key("Restarts of one role that died and may be started again.", ge=0)
    ] = 3


class SinksSection(Section, frozen=True, kw_only=True):
    """Where the numbers of a run go besides its run directory; `docs/monitoring.md` has more."""

    csv: Annotated[bool, key("Write `metrics.csv` too: the columns of `metrics.jsonl`.")] = False
    tensorboard: Annotated[
        bool, key("Write event files for TensorBoard into the run directory.")
    ] = False
    wandb: Annotated[
        bool,
        key(
            "Keep a run of Weights & Biases in `wandb/` of the run directory, offline unless the "
            "variable WANDB_MODE says otherwise. Needs the `wandb` extra."
        ),
    ] = False
    mlflow: Annotated[
        str,
        key(
            "Folder of an MLflow store on the learner's machine, made if it is missing. Empty: "
            "none. Needs the `mlflow` extra."
        ),
    ] = ""
    prometheus: Annotated[
        str,
        key(
            "HOST:PORT at which the learner, or `zdqn train`, tells a Prometheus that asks; port 0 "
            "takes a free one. Empty: nowhere. Needs the `prometheus` extra."
        ),
    ] = ""


class SecuritySection(Section, frozen=True, kw_only=True):
    """Who may take part."""

    keys: Annotated[
        str,
        key(
            "Folder of keys, as `zdqn keys init` makes it. With it every link is encrypted and "
            "joined only by those with an allowed key. Empty: anybody who can connect takes part."
        ),
    ] = ""


class LinksSection(Section, frozen=True, kw_only=True):
    """How roles reach and watch each other."""

    ping_period_s: Annotated[float, key("Seconds between two pings of a client.", gt=0)] = 1.0
    dead_after_s: Annotated[float, key("Silence after which a peer counts as dead.", gt=0)] = 10.0
    connect_timeout_s: Annotated[
        float, key("Seconds to wait for a server before giving up; 0 waits for ever.", ge=0)
    ] = 0.0
    delivery: Annotated[
        Literal["plain", "acked"],
        key(
            "Whether a collector keeps each block until the memory says that it has it, and sends "
            "it again if a connection breaks or the memory dies (`acked`); with `plain` what was "
            'on its way is lost then, and counted. With `replay.storage = "disk"` nothing is lost '
            "by a memory that is killed."
        ),
    ] = "plain"
    shared_memory: Annotated[
        bool | Literal["auto"],
        key(
            "Whether a memory writes the frames of batches into memory that a learner of the same "
            "user on the same host shares with it: `auto` where a batch has 32 KiB of them, `true` "
            "for every size, and with a warning where it cannot be. Else, and with `false` at "
            "either end, they go through the socket."
        ),
    ] = "auto"
