import zmq

from zdqn.wire.library import LIBZMQ, OLDEST_SAFE, has_curve


def test_what_is_beneath_can_be_told():
    assert ".".join(map(str, LIBZMQ)) == zmq.zmq_version()
    assert LIBZMQ >= OLDEST_SAFE
    assert has_curve() is bool(zmq.has("curve"))
