"""What one process says of itself, as a learner and a memory would."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.roles.conftest import quick_config
from zdqn.core.agenda import Counters
from zdqn.data import EpisodeStatistics
from zdqn.records.metrics import Metrics
from zdqn.records.totals import RunTotals
from zdqn.roles.own_status import OwnBoard, totals_of
from zdqn.roles.single import Single
from zdqn.wire.memory_messages import Progress
from zdqn.wire.status import LearnerStatus, MetricsRow

STORE: Any = SimpleNamespace(
    size=7, capacity=9, limiter=SimpleNamespace(inserts=70, samples=140, achieved=2.00004)
)


@pytest.fixture
def recorder():
    """Gives the row that is next, whatever is reported, and remembers what that was."""
    told = SimpleNamespace(metrics=Metrics(), row=MetricsRow(), collectors=[])

    def report(counters, *, update, collectors):
        told.collectors = collectors
        return told.row

    told.report = report
    return told


@pytest.fixture
def board(recorder):
    config = quick_config("stop.updates=60", "stop.evaluation_return=0")
    return OwnBoard(config, Path("here"), recorder)


def test_counts_are_those_of_now_and_the_rest_is_of_the_last_row(board, recorder):
    recorder.row = MetricsRow(environment_steps=80, updates=40, loss=0.5, epsilon=0.1)
    board.report(Counters(80, 40, 4, 70), update=None, epsilon=0.1)
    board.phase = "training"
    status = board.describe(Counters(100, 50, 5, 90), STORE)
    progress = status.progress
    assert (progress.environment_steps, progress.updates, progress.episodes) == (100, 50, 5)
    assert (progress.loss, progress.epsilon) == (0.5, 0.1)
    assert (status.run.phase, status.run.directory) == ("training", "here")
    assert (status.stop.updates, status.stop.evaluation_return) == (60, 0.0)
    assert status.stop.environment_steps is None
    memory = status.memory
    assert (memory.size, memory.capacity, memory.samples_per_insert) == (7, 9, 2.0)


def test_rows_have_the_mean_return_of_the_last_20_episodes(board, recorder):
    def mean():
        board.report(Counters(), update=None, epsilon=0.25)
        assert recorder.collectors[0].epsilon == 0.25
        return recorder.collectors[0].episode_return_mean

    assert mean() is None
    board.note([EpisodeStatistics(total_reward=float(number), length=1) for number in range(4)])
    assert mean() == 1.5
    board.note([EpisodeStatistics(total_reward=9.0, length=1)] * 19)
    assert mean() == (3 + 19 * 9) / 20


def test_the_log_has_a_row_a_period_and_the_last(board, recorder, caplog):
    caplog.set_level("INFO")
    period_s = quick_config().learner.report_period_s
    for wall_s, last in ((0.0, False), (0.5 * period_s, False), (0.6 * period_s, True)):
        recorder.row = MetricsRow(wall_s=wall_s, updates=int(100 * wall_s / period_s))
        board.report(Counters(), update=None, epsilon=0.0, last=last)
    assert [record.args[1] for record in caplog.records] == [0, 60]


def test_a_training_tells_before_it_begins_while_it_goes_on_and_at_its_end(tmp_path):
    told: list[LearnerStatus] = []
    config = quick_config("stop.updates=200", "evaluator.period_updates=50")
    with Single(config, run_directory=tmp_path) as single:
        told.append(single.status())
        original = single._report  # looked at in the middle, from where it is allowed to last

        def report(*, last: bool = False) -> None:
            original(last=last)
            told.append(single.status())

        single._report = report  # type: ignore[method-assign]
        single.run()
        told.append(single.status())
    assert told[0].run.phase == "starting"
    assert told[0].progress.environment_steps == 0
    assert {status.run.phase for status in told[1:]} <= {"training", "finishing"}
    assert told[-1].progress.updates == 200
    assert told[-1].progress.best_evaluation_return is not None
    steps = [status.progress.environment_steps for status in told]
    assert steps == sorted(steps)


def test_totals_go_on_from_earlier_starts():
    earlier = RunTotals()
    earlier.add(progress(9, 100, 10, 90))
    rollout: Any = SimpleNamespace(environment_steps=5, episodes=1)
    limiter: Any = SimpleNamespace(inserts=4, samples=32)
    totals = totals_of(earlier, rollout, limiter)
    assert totals.counted() == (105, 11, 94)
    assert totals.total("samples") == 32
    assert totals_of(totals, rollout, limiter).total("samples") == 64
    assert earlier.counted() == (100, 10, 90)


def progress(session: int, steps: int, episodes: int, transitions: int) -> Progress:
    return Progress(
        session=session,
        environment_steps=steps,
        episodes=episodes,
        transitions=transitions,
        blocks=0,
        blocks_lost=0,
        blocks_duplicated=0,
        blocks_refused=0,
    )
