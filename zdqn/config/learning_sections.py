"""Sections that say what is learned and how: environment, algorithm, network, replay, epsilon."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from zdqn.config.section import PositiveInt, Section, key


class WrapperSection(Section, frozen=True, kw_only=True):
    """One gymnasium wrapper around every environment."""

    name: Annotated[str, key("A class of `gymnasium.wrappers`, or `module:class`.")]
    kwargs: Annotated[dict[str, Any], key("Its keyword arguments.")] = {}  # noqa: RUF012 - each struct gets its own


class EnvironmentSection(Section, frozen=True, kw_only=True):
    """The environment that collectors and evaluators step."""

    id: Annotated[str, key("A gymnasium id, or `module:factory` that returns an environment.")] = (
        "CartPole-v1"
    )
    kwargs: Annotated[dict[str, Any], key("Keyword arguments of the environment.")] = {}  # noqa: RUF012
    wrappers: Annotated[
        tuple[WrapperSection, ...], key("Gymnasium wrappers, applied in this order.")
    ] = ()
    max_episode_steps: Annotated[
        PositiveInt | None,
        key("Time limit that truncates episodes. Absent (`none`): the environment's own."),
    ] = None
    frame_stack: Annotated[
        int, key("Frames in one observation; each travels and is stored once.", ge=1, le=32)
    ] = 1
    action_masks: Annotated[
        bool,
        key(
            "Each observation comes with a mask of the actions that are allowed, as "
            '`info["action_mask"]` of resets and steps; nothing else is chosen or expected then.'
        ),
    ] = False
    function: Annotated[
        str | None,
        key(
            "Written by zdqn where a Python function made the environment: its module, name and "
            "hash. Only that function can take its place then; `--set environment.function=none` "
            "goes back to `id`."
        ),
    ] = None


class AlgorithmSection(Section, frozen=True, kw_only=True):
    """DQN and its parts, each a switch."""

    discount: Annotated[float, key("Discount of one environment step (gamma).", ge=0, le=1)] = 0.99
    n_step: Annotated[int, key("Rewards in a return before it bootstraps.", ge=1, le=1000)] = 1
    double: Annotated[bool, key("Double DQN: the online network chooses the bootstrap action.")] = (
        False
    )
    distribution: Annotated[
        Literal["none", "categorical", "quantile"],
        key(
            "What is learned of an action's return: its mean alone (`none`), or its distribution, "
            "as probabilities of fixed values (`categorical`, C51) or as quantiles (`quantile`, "
            "QR-DQN)."
        ),
    ] = "none"
    atoms: Annotated[int, key("Values of a categorical distribution.", ge=2, le=10_000)] = 51
    v_min: Annotated[float, key("Lowest value of a categorical distribution.")] = -10.0
    v_max: Annotated[float, key("Highest value of a categorical distribution.")] = 10.0
    quantiles: Annotated[int, key("Quantiles of a distribution.", ge=1, le=10_000)] = 200
    munchausen: Annotated[
        bool,
        key("Munchausen DQN: a softmax policy, and its log-probabilities count as rewards."),
    ] = False
    munchausen_alpha: Annotated[
        float, key("How much of the log-policy is added to the reward.", ge=0, le=1)
    ] = 0.9
    munchausen_temperature: Annotated[
        float, key("Temperature of the softmax policy (tau).", gt=0)
    ] = 0.03
    munchausen_clip: Annotated[
        float, key("Lowest value of the temperature times the log-policy.", le=0)
    ] = -1.0
    value_rescaling: Annotated[
        bool, key("Values are learned through h(x) = sign(x) (sqrt(abs(x) + 1) - 1) + epsilon x.")
    ] = False
    value_rescaling_epsilon: Annotated[float, key("The epsilon of h.", gt=0)] = 1e-2
    reward_clip: Annotated[
        float,
        key(
            "Largest magnitude of an environment step's reward in what is learned from; reported "
            "returns are not clipped. 0 leaves rewards alone.",
            ge=0,
        ),
    ] = 0.0
    batch_size: Annotated[int, key("Transitions in one update.", ge=1)] = 32
    loss: Annotated[Literal["huber", "squared"], key("Loss of one temporal-difference error.")] = (
        "huber"
    )
    huber_delta: Annotated[
        float, key("Error at which the Huber loss turns from squared to linear.", gt=0)
    ] = 1.0
    learning_rate: Annotated[float, key("Adam's step size.", ge=0)] = 3e-4
    adam_beta1: Annotated[float, key("Adam's decay of the mean.", ge=0, lt=1)] = 0.9
    adam_beta2: Annotated[float, key("Adam's decay of the variance.", ge=0, lt=1)] = 0.999
    adam_eps: Annotated[float, key("Adam's denominator offset.", gt=0)] = 1e-8
    max_gradient_norm: Annotated[
        float, key("Gradients are scaled down to this norm; 0 leaves them alone.", ge=0)
    ] = 0.0
    target_network: Annotated[
        Literal["none", "hard", "soft"],
        key(
            "`hard` copies the online network now and then, `soft` moves a little towards it, "
            "`none` bootstraps from the online network itself."
        ),
    ] = "hard"
    target_update_period_updates: Annotated[
        int, key("Updates between two moves of the target network.", ge=1)
    ] = 200
    target_update_rate: Annotated[
        float, key("Share of the online network in a soft move (tau).", gt=0, le=1)
    ] = 0.005


class NetworkSection(Section, frozen=True, kw_only=True):
    """The Q-network."""

    kind: Annotated[
        str, key("`mlp`, `cnn`, or `module:factory`, called with the environment's spec.")
    ] = "mlp"
    hidden: Annotated[
        tuple[PositiveInt, ...], key("Widths of the fully connected hidden layers.")
    ] = (256, 64)
    activation: Annotated[
        Literal["relu", "tanh", "elu", "gelu", "silu"], key("Activation of hidden layers.")
    ] = "relu"
    initialization: Annotated[
        Literal["default", "xavier", "kaiming", "orthogonal"],
        key("How weights begin; `default` is torch's own, `xavier` sets biases to 0.01."),
    ] = "default"
    dueling: Annotated[bool, key("Dueling heads: a state value plus centred advantages.")] = False
    noisy: Annotated[
        bool,
        key("Noisy fully connected layers, which explore by themselves; epsilon does so besides."),
    ] = False
    noisy_sigma: Annotated[float, key("Noise that noisy layers begin with (sigma_0).", ge=0)] = 0.5
    function: Annotated[
        str | None,
        key(
            "Written by zdqn where a Python function made the network: its module, name and hash. "
            "Only that function can take its place then."
        ),
    ] = None


class ReplaySection(Section, frozen=True, kw_only=True):
    """The replay memory and its flow control."""

    kind: Annotated[Literal["uniform", "prioritized"], key("How transitions are drawn.")] = (
        "uniform"
    )
    capacity: Annotated[
        int,
        key("Transitions kept; 1 means no replay (only the newest is learned from).", ge=1),
    ] = 100_000
    min_size: Annotated[int, key("Transitions stored before the first batch.", ge=1)] = 1_000
    samples_per_insert: Annotated[
        float,
        key(
            "Transitions learned from per transition stored; both sides wait to hold it. "
            "0 lets both run free.",
            ge=0,
        ),
    ] = 0.0
    samples_per_insert_window: Annotated[
        float,
        key("How far sampling may run ahead or behind, in samples. 0 chooses it.", ge=0),
    ] = 0.0
    priority_exponent: Annotated[
        float, key("How much priorities count (alpha); 0 draws uniformly.", ge=0)
    ] = 0.6
    priority_epsilon: Annotated[
        float, key("Added to every |TD error|, so that nothing is lost for ever.", ge=0)
    ] = 1e-6
    importance_exponent: Annotated[
        float, key("Correction of the bias of priorities (beta) at the start.", ge=0, le=1)
    ] = 0.4
    importance_exponent_final: Annotated[
        float, key("The same after the annealing.", ge=0, le=1)
    ] = 1.0
    importance_annealing_updates: Annotated[
        int, key("Updates over which it is annealed linearly; 0 keeps the start.", ge=0)
    ] = 0
    initial_priority: Annotated[
        Literal["max", "collector"],
        key("A new transition gets the highest priority so far, or its collector's estimate."),
    ] = "max"
    frames_per_transition: Annotated[
        float,
        key(
            "Most frames kept per transition, where memory is short: the oldest transitions go "
            "before `capacity` is reached then. 0: as many as they have.",
            ge=0,
        ),
    ] = 0.0
    storage: Annotated[
        Literal["ram", "disk"],
        key(
            "`disk` keeps the replay in memory-mapped files: it may be larger than RAM, and a "
            "memory that was killed comes back with it."
        ),
    ] = "ram"
    path: Annotated[
        str,
        key(
            "Folder of these files, and of snapshots. Empty: `replay` in the run directory.",
        ),
    ] = ""
    sync_period_s: Annotated[
        float,
        key(
            "Seconds between two moments at which all of a replay on disk is made to outlive a "
            "loss of power too; 0 leaves that to the operating system.",
            ge=0,
        ),
    ] = 10.0
    snapshot_period_s: Annotated[
        float,
        key(
            "Seconds between two snapshots of a replay in RAM, from the newest of which a memory "
            "that was killed goes on; 0 makes none.",
            ge=0,
        ),
    ] = 0.0


class ExplorationSection(Section, frozen=True, kw_only=True):
    """How collectors explore."""

    kind: Annotated[
        Literal["linear", "ladder"],
        key("`linear`: one epsilon that falls; `ladder`: one for each environment (Ape-X)."),
    ] = "linear"
    epsilon_initial: Annotated[float, key("Epsilon at the start.", ge=0, le=1)] = 1.0
    epsilon_final: Annotated[float, key("Epsilon after the decay.", ge=0, le=1)] = 0.1
    epsilon_decay_environment_steps: Annotated[
        int, key("Environment steps of all collectors over which epsilon falls.", ge=0)
    ] = 100_000
    ladder_base: Annotated[float, key("Epsilon of the first rung.", ge=0, le=1)] = 0.4
    ladder_exponent: Annotated[float, key("The last rung is `base ** (1 + exponent)`.", ge=0)] = 7.0
