from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.rl.sampled import arrays_of
from tests.wire.conftest import zeros
from zdqn.data import ALLOWED_DTYPES, EnvironmentSpec
from zdqn.errors import ProtocolError
from zdqn.wire import codec, payloads
from zdqn.wire.memory_messages import Batches, Progress, SampleRequest
from zdqn.wire.model_messages import ActionRequest, Snapshot, TensorInfo, Weights

NO_PROGRESS = Progress(**dict.fromkeys(Progress.__struct_fields__, 0))


def test_batches_come_back_as_they_were(image_spec):
    progress = Progress(
        session=1, environment_steps=9, episodes=1, transitions=8, blocks=2, blocks_lost=0,
        blocks_duplicated=0, blocks_refused=0,
    )  # fmt: skip
    header = Batches(batch_size=3, batches=2, size=8, progress=progress)
    buffer, batch = payloads.allocate_batches(header, image_spec)
    rng = np.random.default_rng(0)
    for array in arrays_of(batch).values():
        array[...] = rng.integers(0, 100, array.shape)
    read_header, read = payloads.read_batches(codec.decode(buffer.tobytes()), image_spec)
    assert read_header == header
    assert read.observations.shape == (6, 4, 3, 5)
    for name, array in arrays_of(batch).items():
        np.testing.assert_array_equal(getattr(read, name), array)


@given(
    shape=st.lists(st.integers(1, 7), min_size=1, max_size=3),
    dtype=st.sampled_from(sorted(ALLOWED_DTYPES)),
    stack=st.integers(1, 4),
    batches=st.integers(1, 3),
    batch_size=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
)
def test_batches_are_the_same_bytes_in_the_message_and_in_a_slot(
    shape, dtype, stack, batches, batch_size, seed
):
    spec = EnvironmentSpec(tuple(shape), dtype, 2, stack)
    count = batches * batch_size
    slot = np.full(payloads.slot_bytes(count, spec), 255, np.uint8)
    rng = np.random.default_rng(seed)
    drawn = [rng.bytes(count * spec.stacked_bytes) for _ in range(2)]
    read = []
    for shared in (False, True):
        header = Batches(
            batch_size=batch_size, batches=batches, size=8, progress=NO_PROGRESS, shared=shared
        )
        buffer, batch = payloads.allocate_batches(header, spec, slot if shared else None)
        for name, array in arrays_of(batch).items():
            array[...] = 1
            if "observations" in name:
                frames = np.frombuffer(drawn[name.startswith("next")], spec.dtype)
                array[...] = frames.reshape(array.shape)
        read_header, got = payloads.read_batches(codec.decode(buffer.tobytes()), spec, slot)
        assert read_header == header
        read.append(got)
    for name, array in arrays_of(read[0]).items():
        other = getattr(read[1], name)
        assert (other.shape, other.dtype) == (array.shape, array.dtype)
        assert other.tobytes() == array.tobytes()
    header = Batches(
        batch_size=batch_size, batches=batches, size=8, progress=NO_PROGRESS, shared=True
    )
    message = codec.decode(payloads.allocate_batches(header, spec, slot)[0].tobytes())
    for too_short in (None, slot[:-1]):
        with pytest.raises(ProtocolError, match="shared memory"):
            payloads.read_batches(message, spec, too_short)


def test_weights_come_back_by_name():
    arrays: dict[str, NDArray[Any]] = {
        "a": np.ones((2, 3), np.float32),
        "b": np.array(5, np.int64),
        "c": np.zeros((0, 4), np.float64),
    }
    header = Weights(
        run_id="r", weight_version=1, environment_steps=0, updates=0, stopping=False,
        tensors=payloads.describe_tensors(arrays),
    )  # fmt: skip
    message = codec.decode(codec.encode(header, list(arrays.values())))
    read = payloads.read_weights(message, codec.expect(message, Weights))
    assert list(read) == ["a", "b", "c"]
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].shape == array.shape


def test_the_largest_counts_are_refused_for_their_length_without_allocating(spec):
    most = 2**31 - 1
    request = SampleRequest(batch_size=most, batches=most, priorities=most)
    with pytest.raises(ProtocolError, match="imply"):
        codec.read_arrays(codec.decode(codec.encode(request)), payloads.priorities_layout(most))
    progress = Progress(**dict.fromkeys(Progress.__struct_fields__, 0))
    batches = Batches(batch_size=most, batches=most, size=0, progress=progress)
    with pytest.raises(ProtocolError, match="imply"):
        payloads.read_batches(codec.decode(codec.encode(batches)), spec)
    action = ActionRequest(session=1, spec_digest=1, count=most)
    with pytest.raises(ProtocolError, match="imply"):
        codec.read_arrays(
            codec.decode(codec.encode(action)), payloads.action_request_layout(action, spec)
        )


def test_empty_arrays_take_no_room_so_that_a_plain_request_is_just_its_header(spec):
    plain = codec.encode(SampleRequest(batch_size=1))
    assert codec.encode(SampleRequest(batch_size=1), zeros(payloads.priorities_layout(0))) == plain
    keys, errors = codec.read_arrays(codec.decode(plain), payloads.priorities_layout(0))
    assert len(keys) == len(errors) == 0


def weights_message(*tensors: TensorInfo, payload: int = 0) -> bytes:
    header = Weights(
        run_id="r", weight_version=1, environment_steps=0, updates=0, stopping=False,
        tensors=tensors,
    )  # fmt: skip
    return codec.encode(header, [np.zeros(payload, np.uint8)] if payload else [])


@pytest.mark.parametrize(
    "tensors",
    [
        [TensorInfo("w", "object", (1,))],
        [TensorInfo("w", "f8,f8", (1,))],
        [TensorInfo("w", "<f4", (1,))],
        [TensorInfo("w", "complex64", (1,))],
        [TensorInfo("w", "", (1,))],
        [TensorInfo("w", "float32", (-1,))],
        [TensorInfo("w", "float32", (-2, -3))],
        [TensorInfo("w", "float32", (0, -5))],
        [TensorInfo("w", "float32", (2**62,))],
        [TensorInfo("w", "float32", (2**31 - 1,) * 8)],
        [TensorInfo("w", "float32", (0, *(2**31 - 1,) * 7))],
        [TensorInfo("w", "float32", (1,) * 9)],
        [TensorInfo("w", "float32", (2,)), TensorInfo("w", "float32", (2,))],
    ],
)
def test_a_tensor_that_may_not_travel_is_refused_whole(tensors):
    message = weights_message(*tensors, payload=64)

    def read():
        decoded = codec.decode(message)
        return payloads.read_weights(decoded, codec.expect(decoded, Weights))

    with pytest.raises(ProtocolError):
        read()


def test_a_snapshot_carries_weights_the_same_way():
    weights = codec.decode(weights_message(TensorInfo("w", "uint8", (5,)), payload=5)).header
    assert isinstance(weights, Weights)
    header = Snapshot(snapshot=0, weights=weights, episodes=1, epsilon=0.0, seed=3)
    message = codec.decode(codec.encode(header, (np.arange(5, dtype=np.uint8),)))
    np.testing.assert_array_equal(payloads.read_weights(message, weights)["w"], np.arange(5))
