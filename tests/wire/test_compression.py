"""Compressed frames: the same bytes come out, and nothing else is believed."""

import subprocess
import sys

import numpy as np
import pytest

from zdqn.core.broker import Draw, MemoryBroker
from zdqn.core.store import TransitionStore
from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError, ProtocolError
from zdqn.wire import block_payload, codec, compression
from zdqn.wire.memory_messages import BlockHeader, SampleRequest

MODULES = {"lz4": "lz4.block", "zstd": "zstandard"}
SPEC = EnvironmentSpec((9, 8), "uint8", 3, 4)


@pytest.fixture(params=MODULES)
def kind(request):
    pytest.importorskip(MODULES[request.param])
    return request.param


@pytest.fixture
def zstandard():
    return pytest.importorskip("zstandard")


def header_for(block, spec, kind, **changes):
    values = {
        "session": 5, "sequence": 0, "origin": spec.digest, "frames": len(block.frames),
        "transitions": len(block), "environment_steps": 9, "episodes": 1, "compression": kind,
        **changes,
    }  # fmt: skip
    return BlockHeader(**values)


def with_frames(block, packed, kind, **changes):
    """A block message whose compressed frames are `packed`, whatever that is."""
    packed = np.frombuffer(packed, np.uint8)
    header = header_for(block, SPEC, kind, frames_bytes=len(packed), **changes)
    return codec.decode(codec.encode(header, (packed, block.records)))


# --- round trips --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "bool", "float32", "int16"])
def test_frames_and_records_come_back_as_they_were(kind, dtype, make_block):
    spec = EnvironmentSpec((9, 8), dtype, 3, 4)
    block = make_block(spec, 12)
    message = codec.decode(block_payload.encode_block(header_for(block, spec, kind), block))
    read = block_payload.read_block(message, spec)
    assert read.frames.dtype == spec.dtype
    np.testing.assert_array_equal(read.frames, block.frames)
    np.testing.assert_array_equal(read.records, block.records)


def test_frames_that_are_alike_take_far_less_room(kind, make_block):
    block = make_block(SPEC, 200)
    block.frames[:] = block.frames[0]
    plain = block_payload.encode_block(header_for(block, SPEC, "none"), block)
    packed = block_payload.encode_block(header_for(block, SPEC, kind), block)
    assert len(packed) < len(plain) - 0.9 * block.frames.nbytes


def test_a_memory_stores_the_same_from_either(kind, make_block):
    def sample(compressed_as):
        store = TransitionStore(
            capacity=50, prioritized=False, priority_exponent=0.6,
            priority_epsilon=1e-6, min_size=1, samples_per_insert=0.0,
            samples_per_insert_window=0.0, batch_size=4, block_transitions=12,
            usual_frames_per_transition=2.0,
            most_frames_per_transition=2.0, seed=0,
        )  # fmt: skip
        store.make_room(SPEC)
        broker = MemoryBroker(store, session=1, n_step=1)
        block = make_block(SPEC, 12)
        broker.intake.insert(
            block_payload.encode_block(header_for(block, SPEC, compressed_as), block)
        )
        assert store.size == 12
        draw = broker.sample(SampleRequest(batch_size=8))
        assert isinstance(draw, Draw)
        return draw.message

    np.testing.assert_array_equal(sample(kind), sample("none"))


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 15, 17, 3_000_000])
def test_frames_must_be_exactly_as_many_as_the_header_says(kind, frames, make_block):
    block = make_block(SPEC, 12, frames=16)
    block.records["observation"] = block.records["next_observation"] = 0
    packed = compression.compress(block.frames, kind).tobytes()
    with pytest.raises(ProtocolError, match=f"{kind} frames"):
        block_payload.read_block(with_frames(block, packed, kind, frames=frames), SPEC)


def test_a_header_that_claims_too_much_is_refused_before_room_is_made(kind, make_block):
    block = make_block(SPEC, 2)
    packed = compression.compress(block.frames, kind).tobytes()
    with pytest.raises(ProtocolError, match="at most 268435456"):
        block_payload.read_block(with_frames(block, packed, kind, frames=2**31 - 1), SPEC)


def test_a_zstd_frame_that_claims_or_hides_another_size_is_refused(zstandard, make_block):
    block = make_block(SPEC, 2)
    bomb = zstandard.ZstdCompressor(19).compress(bytes(1 << 27))
    assert len(bomb) < 50_000
    with pytest.raises(ProtocolError, match=f"hold {1 << 27} bytes"):
        block_payload.read_block(with_frames(block, bomb, "zstd"), SPEC)
    stream = zstandard.ZstdCompressor().compressobj()
    unsized = stream.compress(block.frames.tobytes()) + stream.flush()
    with pytest.raises(ProtocolError, match="do not tell their size"):
        block_payload.read_block(with_frames(block, unsized, "zstd"), SPEC)


def test_what_is_damaged_is_refused_or_of_the_right_size(kind, make_block):
    block = make_block(SPEC, 8)
    packed = compression.compress(block.frames, kind).tobytes()
    for length in range(len(packed)):
        with pytest.raises(ProtocolError):
            block_payload.read_block(with_frames(block, packed[:length], kind), SPEC)
    with pytest.raises(ProtocolError):
        block_payload.read_block(with_frames(block, packed + b"more", kind), SPEC)
    rng = np.random.default_rng(0)
    for _ in range(500):
        damaged = bytearray(packed)
        damaged[rng.integers(len(packed))] ^= 1 << rng.integers(8)
        try:
            read = block_payload.read_block(with_frames(block, bytes(damaged), kind), SPEC)
        except ProtocolError:
            continue
        assert read.frames.shape == block.frames.shape


def test_bytes_of_compressed_frames_need_a_compression(make_block):
    block = make_block(SPEC, 2)
    header = header_for(block, SPEC, "none", frames_bytes=1)
    with pytest.raises(ProtocolError, match="frames_bytes 1"):
        block_payload.read_block(
            codec.decode(codec.encode(header, (block.frames, block.records))), SPEC
        )


# --- packages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MODULES)
def test_without_the_package_a_configuration_is_refused_and_a_block_too(
    kind, make_block, monkeypatch
):
    monkeypatch.setitem(sys.modules, MODULES[kind], None)
    with pytest.raises(ConfigError, match=rf'"{kind}".*pip install "zdqn\[compression\]"'):
        compression.check_compression(kind)
    with pytest.raises(ProtocolError, match=r"cannot read.*zdqn\[compression\]"):
        block_payload.read_block(with_frames(make_block(SPEC, 2), b"x", kind), SPEC)


def test_no_compression_needs_no_package(monkeypatch):
    for module in MODULES.values():
        monkeypatch.setitem(sys.modules, module, None)
    compression.check_compression("none")


def test_the_packages_are_not_loaded_before_they_are_needed():
    code = "import sys, zdqn.wire.codec; print({'lz4', 'zstandard'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("missing", MODULES)
def test_what_is_installed_is_known(missing, monkeypatch):
    for module in MODULES.values():
        pytest.importorskip(module)
    assert compression.available() == ("lz4", "zstd")
    monkeypatch.setitem(sys.modules, MODULES[missing], None)
    assert compression.available() == tuple(kind for kind in MODULES if kind != missing)
