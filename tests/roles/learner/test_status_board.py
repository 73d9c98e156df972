"""What a learner says of the run, with fakes on all sides."""

import logging
from types import SimpleNamespace

import pytest

from tests.roles.conftest import quick_config
from zdqn.core.agenda import Counters
from zdqn.records.block_accounts import BlockTotals
from zdqn.roles.learner.status_board import StatusBoard
from zdqn.wire.status import (
    CollectorStatistics,
    LearnerStatus,
    LimitsStatus,
    MemoryStatistics,
    MetricsRow,
    RunStatus,
)


class Setting:
    def __init__(self, *overrides):
        self.statuses: list[LearnerStatus] = []
        self.now_s = 100.0
        self.metrics = SimpleNamespace(wall_s=0.0)
        self.memory = SimpleNamespace(
            address="tcp://memory:1", statistics=MemoryStatistics(size=3), silent_s=0.25
        )
        self.audience = SimpleNamespace(report=self.statuses.append, unevaluated=2)
        self.board = StatusBoard(
            quick_config("stop.updates=0", *overrides),
            run=RunStatus(run_id="r", learner_epoch=4),
            metrics=self.metrics,  # type: ignore[arg-type]
            memory=self.memory,  # type: ignore[arg-type]
            audience=self.audience,
            clock=lambda: self.now_s,
        )

    def report(self, wall_s, waited_s=0.0):
        self.metrics.wall_s = wall_s
        row = MetricsRow(environment_steps=50, updates=7, loss=0.5)
        self.board.report(
            row,
            blocks=BlockTotals(sent=15, stored=8, lost=1, refused=2, in_flight=4),
            waited_s=waited_s,
            collectors=[CollectorStatistics(steps_ahead=5), CollectorStatistics(steps_ahead=7)],
        )


@pytest.fixture
def setting():
    return Setting()


def test_a_phase_is_told_at_once(setting):
    setting.metrics.wall_s = 1.26
    setting.board.enter("loading torch")
    (status,) = setting.statuses
    assert status.run == RunStatus(run_id="r", learner_epoch=4, phase="loading torch", wall_s=1.3)
    assert (status.memory.address, status.memory.size) == ("tcp://memory:1", 3)
    setting.memory.silent_s = 12.34
    setting.board.enter("training")
    assert setting.statuses[-1].memory.silent_s == 12.3
    assert status.progress.unevaluated == 2


def test_a_report_is_told_with_the_bottleneck(setting):
    setting.report(10.0)
    status = setting.statuses[-1]
    progress = status.progress
    assert (progress.updates, progress.loss) == (7, 0.5)
    assert (progress.blocks_sent, progress.blocks_lost) == (15, 1)
    assert (progress.blocks_refused, progress.blocks_in_flight, progress.steps_ahead) == (2, 4, 12)
    assert status.verdict.startswith("learner-bound")
    setting.report(20.0, waited_s=10.0)
    assert setting.statuses[-1].verdict.startswith("collector-bound")


def test_a_resumed_run_knows_where_it_was_before_its_first_report(setting):
    setting.board.count_on(Counters(environment_steps=1_000, updates=100))
    assert setting.statuses[-1].progress.environment_steps == 1_000
    assert setting.board.ping_statistics() == {"phase": "starting", "updates": 100}


def test_only_limits_that_are_set_are_shown_and_a_goal_of_0_is_one():
    setting = Setting("stop.wall_s=5", "stop.evaluation_return=0")
    setting.board.enter("training")
    assert setting.statuses[-1].stop == LimitsStatus(wall_s=5.0, evaluation_return=0.0)


def test_waiting_is_said_after_a_second_and_then_every_ten(setting, caplog):
    caplog.set_level(logging.INFO)
    for later_s in (0, 0.9, 0.2, 5, 4.9, 0.2):
        setting.now_s += later_s
        setting.board.waits_for(f"data at {setting.now_s:.1f}")
    assert [record.getMessage() for record in caplog.records] == [
        "waiting for data at 101.1", "waiting for data at 111.2",
    ]  # fmt: skip


def test_the_whole_training_is_judged_from_when_it_began(setting):
    setting.metrics.wall_s = 100.0
    setting.board.begin([])
    setting.metrics.wall_s = 110.0
    assert setting.board.overall(0.0, []).startswith("learner-bound: it computes 100 %")
