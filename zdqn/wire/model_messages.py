"""The messages of a learner's two links: weights, greedy actions, snapshots and their scores."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from zdqn.wire.field_types import (
    Digest,
    Label,
    Rows,
    Session,
    Share,
    SomeRows,
    Total,
    Version,
    WaitMs,
)
from zdqn.wire.protocol import Answer, Header, Kind


class TensorInfo(msgspec.Struct, frozen=True, array_like=True):
    """Name, dtype and shape of one array of a network."""

    name: str
    dtype: str
    shape: Annotated[tuple[Rows, ...], Meta(max_length=8)]


class WeightsRequest(Header, frozen=True):
    """Ask for the current weights; answered by `Weights`."""

    kind = Kind.WEIGHTS_REQUEST


# The fields are those of `zdqn.rl.layer_descriptions.LayerDescription`; a test holds them equal.
# They are two, as `Spec` and `EnvironmentSpec` are: one says what a network is, and knows no wire;
# this one bounds what a peer may say of one (`Label`, `SomeRows`), passes over what it does not
# know and leaves out what is as usual. None of that is for `zdqn.data` to know, below both.
class NetworkLayer(Answer, frozen=True, omit_defaults=True):
    """One step from an observation to action values.

    Attributes:
        op: "flatten", "image", "convolution", "linear", "noisy_linear", "dueling", "noisy_dueling",
            "categorical" or "quantiles".
        name: what the names of its tensors begin with; "" for one without.
        activation: applied to what it gives; "" for none.
        stride: of a convolution, in both directions.
        scale: by which an image is multiplied.
        channels_last: whether they are the last axis of a frame of three.
        numbers: given for each action, by a distribution.
        v_min: lowest value of a categorical one.
        v_max: highest.
    """

    op: Label
    name: Label = ""
    activation: Label = ""
    stride: SomeRows = 1
    scale: float = 1.0
    channels_last: bool = False
    numbers: SomeRows = 1
    v_min: float = 0.0
    v_max: float = 0.0


class Weights(Answer, frozen=True):
    """A network's weights. Payload: one array per entry of `tensors`, in that order.

    Attributes:
        run_id: the run that they belong to.
        weight_version: packed `zdqn.data.WeightVersion`.
        environment_steps: of all collectors, when they were published.
        updates: of the learner, when they were published.
        stopping: training is over; collectors should finish.
        tensors: name, dtype and shape of each array.
        network: how action values follow from them; empty for a network of the user's own.
    """

    kind = Kind.WEIGHTS
    has_payload = True
    run_id: Label
    weight_version: Version
    environment_steps: Total
    updates: Total
    stopping: bool
    tensors: tuple[TensorInfo, ...]
    network: tuple[NetworkLayer, ...] = ()


class ActionRequest(Header, frozen=True):
    """Ask for greedy actions. Payload: ``observations`` (count, *stacked_shape).

    Where the spec has ``action_masks``, ``masks`` (count, ceil(num_actions / 8)) uint8 follow, each
    with an action that is allowed; see `zdqn.data.Block`.

    Attributes:
        session: of the collector.
        spec_digest: `EnvironmentSpec.digest` of its environment.
        count: observations, >= 1.
    """

    kind = Kind.ACTION_REQUEST
    has_payload = True
    session: Session
    spec_digest: Digest
    count: SomeRows


class Actions(Answer, frozen=True):
    """Greedy actions. Payload: ``actions`` (count,) int64.

    Attributes:
        count: actions.
        weight_version: packed version of the weights that chose them.
    """

    kind = Kind.ACTIONS
    has_payload = True
    count: SomeRows
    weight_version: Version


class Claim(Header, frozen=True):
    """An evaluator asks for the next snapshot to score.

    Attributes:
        session: of the evaluator.
        wait_ms: how long the learner may wait for one before it says there is none, at most a
            minute.
    """

    kind = Kind.CLAIM
    session: Session
    wait_ms: WaitMs


class Snapshot(Answer, frozen=True):
    """A frozen snapshot that this evaluator alone shall score. Payload as in `Weights`.

    Attributes:
        snapshot: its number in the run, from 0.
        weights: what the payload holds.
        episodes: to play.
        epsilon: share of random actions.
        seed: of the evaluation.
    """

    kind = Kind.SNAPSHOT
    has_payload = True
    snapshot: Rows
    weights: Weights
    episodes: SomeRows
    epsilon: Share
    seed: Total


class NothingToEvaluate(Answer, frozen=True):
    """No snapshot is waiting; claim again, unless the run is over.

    Attributes:
        stopping: the run is over and no snapshot will come.
    """

    kind = Kind.NOTHING_TO_EVALUATE
    stopping: bool


class EvaluationResult(Header, frozen=True, omit_defaults=True):
    """The scores of a snapshot. Payload: ``returns`` (episodes,) float64, ``lengths`` int64.

    Attributes:
        session: of the evaluator.
        snapshot: number of the snapshot.
        episodes: episodes played.
        duration_s: seconds it took.
        cut: how many of the episodes were cut off, as they had not ended after many steps.
    """

    kind = Kind.EVALUATION_RESULT
    has_payload = True
    session: Session
    snapshot: Rows
    episodes: SomeRows
    duration_s: Annotated[float, Meta(ge=0, le=1e9)]
    cut: Rows = 0


class ConfigurationRequest(Header, frozen=True):
    """Ask for the whole configuration, to look at it; needs no hello."""

    kind = Kind.CONFIGURATION_REQUEST


class Configuration(Answer, frozen=True):
    """The whole configuration of a run.

    Attributes:
        values: nested maps, section to key to value.
    """

    kind = Kind.CONFIGURATION
    values: dict[str, Any]
