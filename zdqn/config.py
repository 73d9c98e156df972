"""The configuration: the only place where a default is written.

A frozen tree of typed structs. It is read from TOML, changed by ``section.key=value`` overrides,
validated once, and passed down as plain values; nothing below this layer imports it. Every field
carries its rule and its description, from which ``docs/configuration.md`` is generated.
"""

from __future__ import annotations

import math
import re
import reprlib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec
import tomli_w
from msgspec import Meta

from zdqn.errors import ConfigError, FileError, did_you_mean

PositiveInt = Annotated[int, Meta(ge=1)]


def _field(description: str, **rules: Any) -> Meta:
    return Meta(description=description, **rules)


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all sections: frozen, keyword-only, unknown keys refused."""


class Run(Section, frozen=True):
    """What the run is called and where it goes."""

    seed: Annotated[
        int, _field("Seed of everything random: networks, environments, sampling.", ge=0)
    ] = 0
    directory: Annotated[
        str, _field("Folder in which `zdqn run` and `zdqn train` make a run directory.")
    ] = "runs"


class Stop(Section, frozen=True):
    """When training ends: at the first of these that is reached. 0 (or absent) means never."""

    updates: Annotated[int, _field("Updates of the learner.", ge=0)] = 0
    environment_steps: Annotated[int, _field("Environment steps of all collectors.", ge=0)] = 0
    episodes: Annotated[int, _field("Episodes of all collectors.", ge=0)] = 0
    wall_s: Annotated[float, _field("Seconds since the learner started.", ge=0)] = 0.0
    evaluation_return: Annotated[
        float | None, _field("Mean return of one evaluation. Absent means never.")
    ] = None


class Wrapper(Section, frozen=True):
    """One gymnasium wrapper around every environment."""

    name: Annotated[str, _field("A class of `gymnasium.wrappers`, or `module:class`.")]
    kwargs: Annotated[dict[str, Any], _field("Its keyword arguments.")] = {}


class Environment(Section, frozen=True):
    """The environment that collectors and evaluators step."""

    id: Annotated[
        str, _field("A gymnasium id, or `module:factory` that returns an environment.")
    ] = "CartPole-v1"
    kwargs: Annotated[dict[str, Any], _field("Keyword arguments of the environment.")] = {}
    wrappers: Annotated[
        tuple[Wrapper, ...], _field("Gymnasium wrappers, applied in this order.")
    ] = ()
    max_episode_steps: Annotated[
        PositiveInt | None,
        _field("Time limit that truncates episodes. Absent: the environment's own."),
    ] = None
    frame_stack: Annotated[
        int, _field("Frames in one observation; each travels and is stored once.", ge=1, le=32)
    ] = 1


class Algorithm(Section, frozen=True):
    """DQN and its parts, each a switch."""

    discount: Annotated[float, _field("Discount of one environment step (gamma).", ge=0, le=1)] = (
        0.99
    )
    n_step: Annotated[int, _field("Rewards in a return before it bootstraps.", ge=1, le=1000)] = 1
    double: Annotated[
        bool, _field("Double DQN: the online network chooses the bootstrap action.")
    ] = False
    batch_size: Annotated[int, _field("Transitions in one update.", ge=1)] = 32
    loss: Annotated[
        Literal["huber", "squared"], _field("Loss of one temporal-difference error.")
    ] = "huber"
    huber_delta: Annotated[
        float, _field("Error at which the Huber loss turns from squared to linear.", gt=0)
    ] = 1.0
    learning_rate: Annotated[float, _field("Adam's step size.", ge=0)] = 3e-4
    adam_beta1: Annotated[float, _field("Adam's decay of the mean.", ge=0, lt=1)] = 0.9
    adam_beta2: Annotated[float, _field("Adam's decay of the variance.", ge=0, lt=1)] = 0.999
    adam_eps: Annotated[float, _field("Adam's denominator offset.", gt=0)] = 1e-8
    max_gradient_norm: Annotated[
        float, _field("Gradients are scaled down to this norm; 0 leaves them alone.", ge=0)
    ] = 0.0
    target_network: Annotated[
        Literal["none", "hard", "soft"],
        _field(
            "`hard` copies the online network now and then, `soft` moves a little towards it, "
            "`none` bootstraps from the online network itself."
        ),
    ] = "hard"
    target_update_period_updates: Annotated[
        int, _field("Updates between two moves of the target network.", ge=1)
    ] = 200
    target_update_rate: Annotated[
        float, _field("Share of the online network in a soft move (tau).", gt=0, le=1)
    ] = 0.005


class Network(Section, frozen=True):
    """The Q-network."""

    kind: Annotated[
        str, _field("`mlp`, `cnn`, or `module:factory`, called with the environment's spec.")
    ] = "mlp"
    hidden: Annotated[
        tuple[PositiveInt, ...], _field("Widths of the fully connected hidden layers.")
    ] = (256, 64)
    activation: Annotated[
        Literal["relu", "tanh", "elu", "gelu", "silu"], _field("Activation of hidden layers.")
    ] = "relu"
    initialization: Annotated[
        Literal["default", "xavier", "kaiming", "orthogonal"],
        _field("How weights begin; `default` is torch's own, `xavier` sets biases to 0.01."),
    ] = "default"
    dueling: Annotated[bool, _field("Dueling heads: a state value plus centred advantages.")] = (
        False
    )


class Replay(Section, frozen=True):
    """The replay memory and its flow control."""

    kind: Annotated[Literal["uniform", "prioritized"], _field("How transitions are drawn.")] = (
        "uniform"
    )
    capacity: Annotated[
        int, _field("Transitions kept; 1 means no replay (only the newest is learned from).", ge=1)
    ] = 100_000
    min_size: Annotated[int, _field("Transitions stored before the first batch.", ge=1)] = 1_000
    samples_per_insert: Annotated[
        float,
        _field(
            "Transitions learned from per transition stored; both sides wait to hold it. "
            "0 lets both run free.",
            ge=0,
        ),
    ] = 0.0
    samples_per_insert_window: Annotated[
        float,
        _field("How far sampling may run ahead or behind, in samples. 0 chooses it.", ge=0),
    ] = 0.0
    priority_exponent: Annotated[
        float, _field("How much priorities count (alpha); 0 draws uniformly.", ge=0)
    ] = 0.6
    priority_epsilon: Annotated[
        float, _field("Added to every |TD error|, so that nothing is lost for ever.", ge=0)
    ] = 1e-6
    importance_exponent: Annotated[
        float, _field("Correction of the bias of priorities (beta) at the start.", ge=0, le=1)
    ] = 0.4
    importance_exponent_final: Annotated[
        float, _field("The same after the annealing.", ge=0, le=1)
    ] = 1.0
    importance_annealing_updates: Annotated[
        int, _field("Updates over which it is annealed linearly; 0 keeps the start.", ge=0)
    ] = 0
    initial_priority: Annotated[
        Literal["max", "collector"],
        _field("A new transition gets the highest priority so far, or its collector's estimate."),
    ] = "max"
    frames_per_transition: Annotated[
        float,
        _field(
            "Room in the frame ring per transition. 0 chooses: 2 for small frames, else 1.15.", ge=0
        ),
    ] = 0.0


class Exploration(Section, frozen=True):
    """How collectors explore."""

    kind: Annotated[
        Literal["linear", "ladder"],
        _field("`linear`: one epsilon that falls; `ladder`: one for each environment (Ape-X)."),
    ] = "linear"
    epsilon_initial: Annotated[float, _field("Epsilon at the start.", ge=0, le=1)] = 1.0
    epsilon_final: Annotated[float, _field("Epsilon after the decay.", ge=0, le=1)] = 0.1
    epsilon_decay_environment_steps: Annotated[
        int, _field("Environment steps of all collectors over which epsilon falls.", ge=0)
    ] = 100_000
    ladder_base: Annotated[float, _field("Epsilon of the first rung.", ge=0, le=1)] = 0.4
    ladder_exponent: Annotated[
        float, _field("The last rung is `base ** (1 + exponent)`.", ge=0)
    ] = 7.0


class Memory(Section, frozen=True):
    """The memory role."""

    bind: Annotated[
        str,
        _field(
            "Address for hello, samples and status (REQ/REP). Transitions come in one port below; "
            "port 0 takes two free ports."
        ),
    ] = "tcp://127.0.0.1:5556"
    high_water_mark: Annotated[
        int,
        _field(
            "Blocks of one collector that may wait unread at either end. 0 chooses: 2 where "
            "`samples_per_insert` lets collectors wait, so that what waits does not grow old, "
            "else 64.",
            ge=0,
            le=1000,
        ),
    ] = 0
    socket_buffer_bytes: Annotated[
        int,
        _field(
            "Kernel buffer of a transitions link at either end. What waits there is old when it is "
            "read, and lost when an end dies. 0 chooses: 16 KiB where `samples_per_insert` lets "
            "collectors wait, else 1 MiB.",
            ge=0,
        ),
    ] = 0


class Learner(Section, frozen=True):
    """The learner role, which is the model server too."""

    bind: Annotated[
        str,
        _field(
            "Address of the model server (REQ/REP). Weights are published one port below; "
            "port 0 takes two free ports."
        ),
    ] = "tcp://127.0.0.1:5558"
    device: Annotated[Literal["cpu", "cuda", "auto"], _field("Where the learner computes.")] = (
        "auto"
    )
    compile: Annotated[
        bool, _field("Compile loss, gradients and Adam into one graph: slower start, faster after.")
    ] = False
    threads: Annotated[int, _field("Threads of one torch operation on the CPU.", ge=1)] = 1
    publish_period_updates: Annotated[int, _field("Updates between two broadcasts.", ge=1)] = 10
    publish_interval_s: Annotated[
        float,
        _field(
            "Least time between two broadcasts, so that a quick learner does not spend its machine "
            "on sending weights; 0 sets no limit.",
            ge=0,
        ),
    ] = 0.05
    republish_period_s: Annotated[
        float, _field("Seconds after which unchanged weights are sent again.", gt=0)
    ] = 5.0
    batches_per_request: Annotated[
        int,
        _field(
            "Most batches in one reply; fewer if 8 MiB hold fewer, or if learning from them would "
            "take longer than 20 ms.",
            ge=1,
            le=1024,
        ),
    ] = 64
    requests_in_flight: Annotated[int, _field("Sample requests on their way.", ge=1, le=64)] = 2
    checkpoint_period_updates: Annotated[
        int, _field("Updates between two checkpoints; 0 writes only the last.", ge=0)
    ] = 10_000
    checkpoints_kept: Annotated[int, _field("Newest checkpoints kept.", ge=2)] = 2
    report_period_s: Annotated[float, _field("Seconds between two rows of metrics.", gt=0)] = 1.0


class Collector(Section, frozen=True):
    """A collector role."""

    policy: Annotated[
        Literal["local", "remote"],
        _field("`local` holds the weights; `remote` asks the model server for every action."),
    ] = "local"
    environments: Annotated[int, _field("Environments stepped together.", ge=1)] = 1
    vectorization: Annotated[
        Literal["sync", "async", "native"],
        _field("One process, one process each, or the environment's own vectorized form."),
    ] = "sync"
    block_transitions: Annotated[int, _field("Most transitions in one message.", ge=1)] = 32
    block_age_s: Annotated[float, _field("Seconds after which a part-filled block goes.", gt=0)] = (
        0.5
    )
    compression: Annotated[
        Literal["none", "lz4", "zstd"],
        _field("Lossless compression of frames on the wire, for slow links and large images."),
    ] = "none"
    threads: Annotated[
        int, _field("Threads of one torch operation; a small MLP acts without torch.", ge=1)
    ] = 1


class Evaluator(Section, frozen=True):
    """An evaluator role, and when the learner takes a snapshot for it."""

    period_environment_steps: Annotated[
        int, _field("Environment steps between two snapshots; 0 does not count them.", ge=0)
    ] = 0
    period_updates: Annotated[int, _field("Updates between two; 0 does not count.", ge=0)] = 0
    period_episodes: Annotated[int, _field("Episodes between two; 0 does not count.", ge=0)] = 0
    episodes: Annotated[int, _field("Episodes of one evaluation.", ge=1)] = 20
    epsilon: Annotated[float, _field("Share of random actions; 0 is greedy.", ge=0, le=1)] = 0.0
    environments: Annotated[int, _field("Environments stepped together.", ge=1)] = 10
    vectorization: Annotated[
        Literal["sync", "async", "native"], _field("As for the collector.")
    ] = "sync"


class Launch(Section, frozen=True):
    """How many of each role `zdqn run` starts."""

    collectors: Annotated[int, _field("Collector processes.", ge=1)] = 2
    evaluators: Annotated[int, _field("Evaluator processes.", ge=0)] = 1
    max_restarts: Annotated[
        int, _field("Restarts of one role that died and may be started again.", ge=0)
    ] = 3


class Links(Section, frozen=True):
    """How roles watch each other."""

    ping_period_s: Annotated[float, _field("Seconds between two pings of a client.", gt=0)] = 1.0
    dead_after_s: Annotated[float, _field("Silence after which a peer counts as dead.", gt=0)] = (
        10.0
    )
    connect_timeout_s: Annotated[
        float, _field("Seconds to wait for a server before giving up; 0 waits for ever.", ge=0)
    ] = 0.0


class Config(Section, frozen=True):
    """Everything a run is made of.

    Raises:
        ConfigError: when two values cannot work together.
    """

    run: Run = Run()
    stop: Stop = Stop()
    environment: Environment = Environment()
    algorithm: Algorithm = Algorithm()
    network: Network = Network()
    replay: Replay = Replay()
    exploration: Exploration = Exploration()
    memory: Memory = Memory()
    learner: Learner = Learner()
    collector: Collector = Collector()
    evaluator: Evaluator = Evaluator()
    launch: Launch = Launch()
    links: Links = Links()

    def __post_init__(self) -> None:
        replay, collector = self.replay, self.collector
        for key, value in flatten(self).items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError(f"{key} is {value}; it must be a finite number.")
            if isinstance(value, int) and value >= 2**63:
                raise ConfigError(f"{key} is {value}; it must be less than 2^63.")
        if replay.min_size > replay.capacity:
            raise ConfigError(
                f"replay.min_size is {replay.min_size}, more than replay.capacity "
                f"({replay.capacity}) can hold, so the learner would wait for ever. Set it to "
                f"{replay.capacity} or less."
            )
        if replay.initial_priority == "collector" and collector.policy == "remote":
            raise ConfigError(
                'replay.initial_priority is "collector", but a collector with collector.policy = '
                '"remote" holds no network to estimate priorities with. Set '
                'replay.initial_priority = "max" or collector.policy = "local".'
            )
        if collector.block_transitions < collector.environments:
            raise ConfigError(
                f"collector.block_transitions is {collector.block_transitions}, but one step of "
                f"{collector.environments} environments (collector.environments) makes as many "
                f"transitions, which must fit one block. Set it to {collector.environments} or "
                f"more."
            )

    @property
    def transition_high_water_mark(self) -> int:
        """Blocks that may wait at an end of a link, with ``memory.high_water_mark = 0`` chosen."""
        return self.memory.high_water_mark or (2 if self.replay.samples_per_insert else 64)

    @property
    def transition_buffer_bytes(self) -> int:
        """Kernel buffer of a transitions link, with ``memory.socket_buffer_bytes = 0`` chosen."""
        chosen = 16 * 1024 if self.replay.samples_per_insert else 1024 * 1024
        return self.memory.socket_buffer_bytes or chosen


SHARED_SECTIONS = ("environment", "network")
"""Sections in which learner, collectors and evaluators of one run must agree."""
SHARED_KEYS = (("algorithm", "discount"), ("algorithm", "n_step"))
"""Single keys in which they must agree: what a stored transition is made with."""


def shared_values(config: Config) -> dict[str, Any]:
    """Give the values in which all roles of a run must agree, keyed ``section.key``."""
    values = flatten(config)
    keys = {f"{section}.{key}" for section, key in SHARED_KEYS}
    return {
        key: value
        for key, value in values.items()
        if key in keys or key.split(".")[0] in SHARED_SECTIONS
    }


_SHORT = reprlib.Repr()  # a peer's values may be of any length and depth
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 20
_SHORT.maxstring = _SHORT.maxother = 200


def describe_difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """List where two flattened configurations differ, a line each.

    Args:
        ours: ``section.key`` to value, of the side that speaks.
        theirs: the same of the other side.

    Returns:
        Lines such as ``algorithm.n_step: here 3, there 1``; empty when they agree.
    """
    absent = "(absent)"
    show = _SHORT.repr
    return [
        f"{key}: here {show(ours.get(key, absent))}, there {show(theirs.get(key, absent))}"
        for key in sorted({*ours, *theirs})
        if ours.get(key, absent) != theirs.get(key, absent)
    ]


def flatten(config: Config) -> dict[str, Any]:
    """Give every value under its ``section.key``, as plain TOML-like Python values."""
    return {
        f"{section}.{key}": value
        for section, values in to_dict(config).items()
        for key, value in values.items()
    }


def to_dict(config: Config) -> dict[str, Any]:
    """Give the configuration as nested plain dictionaries and lists, without absent values."""
    return {
        section: {
            key: _tuples_to_lists(value) for key, value in values.items() if value is not None
        }
        for section, values in msgspec.to_builtins(config).items()
    }


def to_toml(config: Config) -> str:
    """Write the whole configuration, defaults included, as TOML."""
    return tomli_w.dumps(to_dict(config))


def _tuples_to_lists(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _tuples_to_lists(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_tuples_to_lists(item) for item in value]
    return value


def from_dict(values: Mapping[str, Any], *, source: str = "the configuration") -> Config:
    """Build a configuration from nested dictionaries.

    Args:
        values: section to key to value, as TOML gives them.
        source: what to call it in messages.

    Raises:
        ConfigError: for an unknown key, a wrong type, or a value out of range.
    """
    try:
        return msgspec.convert(values, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(error, values, source)) from error


def load_config(path: str | Path | None = None, overrides: Iterable[str] = ()) -> Config:
    """Read a TOML file and apply ``section.key=value`` overrides.

    Args:
        path: the file; None starts from the defaults.
        overrides: values that win over the file, as ``replay.capacity=5000``; the value is TOML,
            and anything that is not is taken as a string.

    Returns:
        The validated configuration.

    Raises:
        ConfigError: for an unknown key (with the nearest known one), a wrong type, a value out
            of range, or values that cannot work together.
        FileError: when the file cannot be read.
    """
    return load_config_with_origins(path, overrides)[0]


def load_config_with_origins(
    path: str | Path | None = None, overrides: Iterable[str] = ()
) -> tuple[Config, dict[str, str]]:
    """Read a configuration and say where each value came from.

    Args:
        path: as for `load_config`.
        overrides: as for `load_config`.

    Returns:
        The configuration, and ``section.key`` to ``"default"``, the file's name or ``"--set"``.
    """
    values = _read_toml(Path(path)) if path is not None else {}
    source = str(path) if path is not None else "the configuration"
    from_dict(values, source=source)  # so that a message names the file, not an override
    origins = dict.fromkeys(flatten(Config()), "default")
    origins.update({f"{section}.{key}": source for section, keys in values.items() for key in keys})
    for override in overrides:
        section, key, value = parse_override(override)
        values.setdefault(section, {})[key] = value
        origins[f"{section}.{key}"] = "--set"
    config = from_dict(values, source=f"{source} with --set")
    return config, origins


def parse_override(text: str) -> tuple[str, str, Any]:
    """Split ``section.key=value``.

    Raises:
        ConfigError: when it is not of that form, or names no known key.
    """
    match = re.fullmatch(r"\s*(\w+)\.(\w+)\s*=(.*)", text, flags=re.DOTALL)
    if match is None:
        raise ConfigError(
            f'--set "{text}" is not of the form section.key=value, such as replay.capacity=5000.'
        )
    section, key, written = match.group(1), match.group(2), match.group(3).strip()
    sections = get_type_hints(Config)
    if section not in sections:
        raise ConfigError(
            f'--set "{text}": there is no section "{section}". {did_you_mean(section, sections)}'
        )
    fields = sections[section].__struct_fields__
    if key not in fields:
        raise ConfigError(
            f'--set "{text}": section "{section}" has no key "{key}". {did_you_mean(key, fields)}'
        )
    try:
        parsed = tomllib.loads(f"value = {written}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return section, key, written
    if len(parsed) > 1:
        raise ConfigError(
            f'--set "{text}" holds more than one value. Give a --set of its own for each.'
        )
    return section, key, parsed["value"]


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors add a mark
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileError(f"Cannot read the configuration {path}: {reason}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from error
    except RecursionError as error:
        raise ConfigError(
            f"{path} nests lists or tables too deep to be read; no key of a configuration wants "
            f"more than two levels."
        ) from error


def _explain(error: msgspec.ValidationError, values: Mapping[str, Any], source: str) -> str:
    """Turn msgspec's message into one that names key, value, rule and way out."""
    message, _, where = str(error).partition(" - at `")
    path = where.rstrip("`").removeprefix("$").removeprefix(".")
    unknown = re.search(r"unknown field `(.+)`", message)
    if unknown is not None:
        name = unknown.group(1)
        known, place = _known_fields(path)
        return f'{source}: there is no key "{name}" in {place}. {did_you_mean(name, known)}'
    if not path:  # raised by __post_init__, which speaks for itself
        return str(error)
    value = _SHORT.repr(_lookup(values, path))
    rule = _allowed_words(path) if message.startswith("Invalid enum") else message.replace("`", "")
    rule = re.sub(r"\bobject\b", "a table", re.sub(r"\barray\b", "a list", rule))
    return f"{source}: {path} is {value}. {rule}. {_meaning(path)}"


def _meaning(path: str) -> str:
    """Say what the key at a path is for, or what a section takes."""
    section, _, key = path.split("[")[0].partition(".")
    kind = get_type_hints(Config)[section]
    hints = get_type_hints(kind, include_extras=True)
    if not key:
        return f"[{section}] is a section, with the keys {', '.join(hints)}."
    return f"It means: {hints[key.split('.')[0]].__metadata__[-1].description}"


def _known_fields(path: str) -> tuple[tuple[str, ...], str]:
    if not path:
        return Config.__struct_fields__, "the file's top level"
    section = path.split(".")[0]
    if "[" in path:  # a wrapper in environment.wrappers[...]
        return Wrapper.__struct_fields__, path
    kind = get_type_hints(Config)[section]
    return kind.__struct_fields__, f"section [{section}]"


def _allowed_words(path: str) -> str:
    section, key = path.split(".")[:2]
    words = get_args(get_type_hints(get_type_hints(Config)[section])[key])
    return "Expected one of " + ", ".join(f'"{word}"' for word in words)


def _lookup(values: Any, path: str) -> Any:
    for part in re.findall(r"\w+", path):
        try:
            values = values[int(part)] if isinstance(values, list) else values[part]
        except (KeyError, IndexError, TypeError, ValueError):
            return None
    return values
