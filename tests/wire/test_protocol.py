import pytest

from zdqn.data import EnvironmentSpec
from zdqn.errors import ProtocolError
from zdqn.wire import codec
from zdqn.wire.protocol import ErrorReply, Hello, Refusal, Spec


@pytest.mark.parametrize("shape", [(1,), (4,), (84, 84), (1, 2, 1, 2, 1, 2, 1, 2)])
@pytest.mark.parametrize("frame_stack", [1, 4, 32])
def test_a_spec_comes_back_as_it_was(shape, frame_stack):
    spec = EnvironmentSpec(shape, "uint8", 3, frame_stack)
    hello = Hello(role="collector", name="c", session=1, spec=Spec.of(spec))
    read = codec.expect(codec.decode(codec.encode(hello)), Hello).spec
    assert read is not None
    assert read.read() == spec
    assert read.read().digest == spec.digest


@pytest.mark.parametrize(
    ("shape", "dtype", "num_actions", "frame_stack"),
    [
        ((), "float32", 2, 1),
        ((0,), "float32", 2, 1),
        ((-1,), "float32", 2, 1),
        ((-2, -3), "float32", 2, 1),
        ((1,) * 9, "float32", 2, 1),
        ((2**31,), "uint8", 2, 1),
        ((2**31 - 1,) * 8, "uint8", 2, 1),  # the product overflows 64 bits
        ((64 * 1024**2 + 1,), "uint8", 2, 1),
        ((4,), "object", 2, 1),
        ((4,), "f4,f4", 2, 1),
        ((4,), "float32", 0, 1),
        ((4,), "float32", 2**31, 1),
        ((4,), "float32", 2, 0),
        ((4,), "float32", 2, 33),
    ],
)
def test_a_spec_out_of_range_is_refused(shape, dtype, num_actions, frame_stack):
    spec = Spec(
        observation_shape=shape, observation_dtype=dtype, num_actions=num_actions,
        frame_stack=frame_stack,
    )  # fmt: skip
    message = codec.encode(Hello(role="collector", name="c", session=1, spec=spec))
    with pytest.raises(ProtocolError):
        codec.expect(codec.decode(message), Hello).spec.read()  # type: ignore[union-attr]


def test_refusals_that_pass_are_those_of_the_moment():
    assert {code for code in Refusal if code.passes} == {
        "not_serving", "stopping", "unknown_session",
    }  # fmt: skip


def test_a_code_of_a_later_day_does_not_pass():
    body = codec.encode(ErrorReply(code=Refusal.FENCED, message="m"))
    later = codec.decode(body.replace(b"fenced", b"fended")).header
    assert isinstance(later, ErrorReply)
    assert not later.code.passes


def test_the_numbers_of_a_session_are_held_by_a_double():
    for session, fits in ((2**53 - 1, True), (2**53, False)):
        body = codec.encode(Hello(role="collector", name="c", session=session))
        if fits:
            assert codec.expect(codec.decode(body), Hello).session == int(float(session))
        else:
            with pytest.raises(ProtocolError, match="session"):
                codec.decode(body)
