import numpy as np
import pytest

from zdqn.core.agenda import Counters
from zdqn.data import WeightVersion
from zdqn.rl.layer_descriptions import LayerDescription
from zdqn.roles.learner.publications import Publications
from zdqn.wire import codec, payloads
from zdqn.wire.model_messages import NetworkLayer, Weights

ARRAYS = {"weight": np.arange(3, dtype=np.float32)}


class FakePublisher:
    def __init__(self):
        self.sent = []

    def publish(self, message):
        self.sent.append(message)

    def headers(self):
        return [codec.expect(codec.decode(message), Weights) for message in self.sent]


@pytest.fixture
def publisher():
    return FakePublisher()


@pytest.fixture
def publications(publisher):
    return Publications(publisher, run_id="r", learner_epoch=3)


def test_versions_count_up_from_0_within_the_epoch(publications, publisher):
    assert publications.version == -1
    published = [publications.publish(ARRAYS, Counters(10, 5)) for _ in range(2)]
    versions = [WeightVersion.unpack(item.weight_version) for item in published]
    assert versions == [WeightVersion(3, 0), WeightVersion(3, 1)]
    assert publications.weight_version == versions[-1]
    assert [item.message for item in published] == publisher.sent


def test_what_is_sent_says_what_it_is(publications, publisher):
    publications.publish(ARRAYS, Counters(10, 5), stopping=True)
    (header,) = publisher.headers()
    assert (header.run_id, header.environment_steps, header.updates) == ("r", 10, 5)
    assert header.stopping
    arrays = payloads.read_weights(codec.decode(publisher.sent[0]), header)
    np.testing.assert_array_equal(arrays["weight"], ARRAYS["weight"])


def test_readers_are_told_how_values_follow_from_them(publications, publisher):
    layers = (LayerDescription("flatten"), LayerDescription("linear", "head", "relu"))
    publications.describe(layers)
    published = publications.publish(ARRAYS, Counters())
    (header,) = publisher.headers()
    assert header.network == published.network
    assert header.network == (
        NetworkLayer(op="flatten"), NetworkLayer(op="linear", name="head", activation="relu"),
    )  # fmt: skip


def test_a_layer_is_described_alike_where_it_is_computed_and_where_it_travels():
    assert LayerDescription._fields == NetworkLayer.__struct_fields__
    assert tuple(LayerDescription._field_defaults.values()) == NetworkLayer.__struct_defaults__


def test_what_was_published_stays_as_it_was_when_the_network_learns_on(publications):
    live = {"weight": np.arange(3, dtype=np.float32)}
    published = publications.publish(live, Counters())
    live["weight"] += 1
    np.testing.assert_array_equal(published.arrays["weight"], [0, 1, 2])


def test_the_last_version_is_sent_again_as_it_was_and_nothing_before_the_first(
    publications, publisher
):
    publications.republish()
    assert publisher.sent == []
    publications.publish(ARRAYS, Counters())
    publications.republish()
    assert publisher.sent[0] == publisher.sent[1]
    assert publications.version == 0


def test_a_resumed_learner_counts_on(publications, publisher):
    publications.count_on(41)
    publications.publish(ARRAYS, Counters())
    assert publications.weight_version == WeightVersion(3, 42)
