import numpy as np
import pytest

from tests.wire.conftest import block_message, make_header
from zdqn.data import EnvironmentSpec
from zdqn.errors import ProtocolError
from zdqn.wire import block_payload, codec


@pytest.mark.parametrize("transitions", [1, 7])
def test_a_block_comes_back_as_it_was(transitions, image_spec, make_block):
    block = make_block(image_spec, transitions)
    header = make_header(frames=len(block.frames), transitions=transitions)
    read = block_payload.read_block(
        codec.decode(block_payload.encode_block(header, block)), image_spec
    )
    np.testing.assert_array_equal(read.frames, block.frames)
    np.testing.assert_array_equal(read.records, block.records)
    assert len(read) == transitions


def test_a_block_cut_anywhere_or_a_byte_too_long_is_refused(spec, make_block):
    message = block_message(spec, make_block)
    for length in range(len(message)):
        with pytest.raises(ProtocolError):
            block_payload.read_block(codec.decode(message[:length]), spec)
    for extra in (1, 63, 64):
        with pytest.raises(ProtocolError, match=f"{len(message) + extra} bytes"):
            block_payload.read_block(codec.decode(message + bytes(extra)), spec)


@pytest.mark.parametrize("field", ["frames", "transitions"])
@pytest.mark.parametrize("count", [0, -1, 5, 2**31 - 1, 2**31, 2**62, -(2**31), -(2**62)])
def test_a_block_that_counts_wrongly_is_refused_without_allocating(field, count, spec, make_block):
    message = block_message(spec, make_block, **{field: count})
    with pytest.raises(ProtocolError):
        block_payload.read_block(codec.decode(message), spec)


@pytest.mark.parametrize("field", ["sequence", "environment_steps", "episodes"])
@pytest.mark.parametrize("count", [-1, 2**48, 2**64 - 1])
def test_counters_that_could_overflow_a_sum_are_refused(field, count, spec, make_block):
    with pytest.raises(ProtocolError):
        codec.decode(block_message(spec, make_block, **{field: count}))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("observation", -1, "outside its table of 3"),
        ("observation", 3, "outside its table of 3"),
        ("next_observation", 2**31 - 1, "outside its table of 3"),
        ("next_observation", -(2**31), "outside its table of 3"),
        ("action", 2, r"outside 0..1: 2"),
        ("action", -1, r"outside 0..1: -1"),
        ("reward", np.nan, "not finite"),
        ("reward", np.inf, "not finite"),
        ("discount", -np.inf, "not finite"),
        ("priority", np.nan, "not finite"),
    ],
)
@pytest.mark.parametrize("row", [0, 1])
@pytest.mark.parametrize("frame_stack", [1, 3])
def test_a_record_that_would_poison_the_replay_is_refused(
    field, value, words, row, frame_stack, make_block
):
    spec = EnvironmentSpec((4,), "float32", 2, frame_stack)
    block = make_block(spec, 2, frames=3)
    if block.records[field].ndim == 2:
        block.records[field][row, -1] = value
    else:
        block.records[field][row] = value
    with pytest.raises(ProtocolError, match=words):
        block_payload.read_block(
            codec.decode(block_payload.encode_block(make_header(), block)), spec
        )


def test_a_block_of_another_spec_has_another_length(spec, image_spec, make_block):
    with pytest.raises(ProtocolError, match="imply"):
        block_payload.read_block(codec.decode(block_message(spec, make_block)), image_spec)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("count", [1, 4096, 4097, 9_000])
def test_one_number_that_is_not_finite_is_found_wherever_it_is(dtype, count):
    largest = np.finfo(dtype).max
    rng = np.random.default_rng(0)
    frames = rng.choice(np.array([0.0, -0.0, 1.5, -2.0, largest, -largest], dtype), (count, 1))
    assert block_payload.are_finite(frames)
    for wrong in (np.nan, -np.nan, np.inf, -np.inf):
        for place in (0, count // 2, count - 1):
            spoilt = frames.copy()
            spoilt[place] = wrong
            assert not block_payload.are_finite(spoilt)


def test_whole_numbers_are_always_finite():
    for dtype in ("uint8", "int16", "int64"):
        assert block_payload.are_finite(np.full((5_000, 1), np.iinfo(dtype).max, dtype))
