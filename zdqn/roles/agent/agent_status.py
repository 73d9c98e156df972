"""What an agent knows of itself and of the run."""

from __future__ import annotations

from dataclasses import dataclass

from zdqn.data import WeightVersion
from zdqn.errors import ZdqnError


@dataclass(frozen=True)
class AgentStatus:
    """What an agent knows of itself and of the run.

    Attributes:
        connected: whether it has joined a run whose learner and memory both answer.
        learner_answers: whether it was joined, and the learner answered the last ping.
        memory_answers: likewise of the memory.
        over: whether the run is over, or the agent closed: nothing is recorded any more.
        failure: why learner or memory refused to go on, or what else broke; None while all is well.
        weight_version: of the weights that chose last; None before the first.
        weights_age_s: seconds since they came; None likewise, and with a remote policy that has
            not asked yet.
        epsilon: share of random actions; None before the first action.
        environment_steps: recorded.
        episodes: recorded to their end.
        steps_dropped: not recorded, as the memory took no transitions or no run was joined.
        away_actions: actions chosen at random as there was nobody to ask.
        blocks_sent: handed to the link.
        blocks_in_flight: of those, not heard of by the memory yet; None where nobody asks it
            (``replay.samples_per_insert = 0``).
        blocks_refused: of those sent, as the memory tells.
        transitions_sent: in them.
        transitions_unsent: complete, but given up as the run, or the agent, ended.
        acting_waited_s: seconds that `act` spent waiting for weights or somebody else's actions.
        observing_waited_s: seconds that `observe` spent waiting for room.
    """

    connected: bool
    learner_answers: bool
    memory_answers: bool
    over: bool
    failure: ZdqnError | None
    weight_version: WeightVersion | None
    weights_age_s: float | None
    epsilon: float | None
    environment_steps: int
    episodes: int
    steps_dropped: int
    away_actions: int
    blocks_sent: int
    blocks_in_flight: int | None
    blocks_refused: int
    transitions_sent: int
    transitions_unsent: int
    acting_waited_s: float
    observing_waited_s: float
