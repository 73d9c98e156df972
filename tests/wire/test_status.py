"""What roles say of themselves: typed, bounded, and the same map on both ends."""

import math

import pytest

from zdqn.errors import ProtocolError
from zdqn.wire import codec
from zdqn.wire.protocol import Ping
from zdqn.wire.status import (
    OF_CLIENTS,
    CollectorStatistics,
    EvaluatorStatistics,
    LearnerStatus,
    LimitsStatus,
    MemoryStatistics,
    MemoryStatus,
    ProgressStatus,
    RunStatus,
)


@pytest.mark.parametrize(
    "statistics",
    [
        CollectorStatistics(),
        CollectorStatistics(
            environment_steps=5, epsilon=0.0, blocked_s=1.5, episode_return_mean=-3.0
        ),
        EvaluatorStatistics(evaluations=1, doing="evaluating snapshot 3", doing_s=4.5),
        MemoryStatistics(size=3, blocks_lost=-1, samples_per_insert=2.5, reading=False),
    ],
)
def test_statistics_come_back_as_they_were(statistics):
    ping = Ping(session=1, statistics=statistics.to_wire())
    received = codec.expect(codec.decode(codec.encode(ping)), Ping).statistics
    assert type(statistics).read(received) == statistics


def test_what_is_not_known_yet_does_not_travel():
    assert "episode_return_mean" not in CollectorStatistics().to_wire()
    assert CollectorStatistics(episode_return_mean=0.0).to_wire()["episode_return_mean"] == 0.0


def test_what_others_add_is_no_fault_and_what_they_lack_has_a_default():
    assert CollectorStatistics.read({"temperature": "37"}) == CollectorStatistics()
    assert CollectorStatistics.read({"blocks_sent": 3}).blocks_sent == 3


@pytest.mark.parametrize("role", OF_CLIENTS)
@pytest.mark.parametrize("value", ["a word", math.nan, math.inf, -math.inf, -1, 2**53, True, "x\n"])
def test_no_statistic_of_a_client_may_be_anything(role, value):
    kind = OF_CLIENTS[role]
    for key in kind.__struct_fields__:
        try:
            read = getattr(kind.read({key: value}), key)
        except ProtocolError as error:
            assert f"statistics hold {key} = " in str(error)  # noqa: PT017 - most are refused
        else:
            harmless = isinstance(read, str) or (
                not isinstance(value, bool) and math.isfinite(read)
            )
            assert harmless, key
            assert not (isinstance(read, str) and "\n" in read)


def test_a_fault_names_key_value_and_rule():
    with pytest.raises(ProtocolError, match=r"hold blocked_s = 'a word'\. Expected `float`"):
        CollectorStatistics.read({"blocked_s": "a word"})
    with pytest.raises(ProtocolError, match=r"hold epsilon = '1\.5'\. Expected `float` <= 1"):
        CollectorStatistics.read({"epsilon": 1.5})


def test_a_learners_status_comes_back_as_it_was():
    status = LearnerStatus(
        run=RunStatus(run_id="r", phase="training", wall_s=1.5, learner_epoch=2),
        progress=ProgressStatus(updates=7, loss=0.5, unevaluated=1),
        stop=LimitsStatus(updates=100),
        verdict="learner-bound",
        clients=[{"role": "collector", "state": "living"}],
    )
    values = status.to_wire()
    assert values["stop"] == {"updates": 100}, "limits that are not set are left out"
    assert LearnerStatus.read(values) == status
    assert LearnerStatus.read({}) == LearnerStatus()
    with pytest.raises(ProtocolError, match="status"):
        LearnerStatus.read({"run": "a word"})


def test_a_memorys_status_is_its_statistics_and_more():
    status = MemoryStatus(size=3, endpoints={"samples": "tcp://127.0.0.1:1"}, waiting_requests=2)
    values = status.to_wire()
    assert MemoryStatistics.read(values) == MemoryStatistics(size=3)
    assert MemoryStatus.read(values).endpoints == {"samples": "tcp://127.0.0.1:1"}
