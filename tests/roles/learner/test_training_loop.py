"""The learner's loop with fakes at its seams: what is received, learned, sent back, announced."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from zdqn.core.agenda import Agenda, Limits, Periods
from zdqn.core.divergence import Divergence
from zdqn.data import Batch, EnvironmentSpec, EvaluationScores, WeightVersion
from zdqn.errors import PeerUnavailableError, RoleFailedError
from zdqn.records.block_accounts import NO_BLOCKS, BlockTotals
from zdqn.records.metrics import Metrics
from zdqn.records.snapshots import Evaluation, FrozenSnapshot
from zdqn.records.totals import RunTotals
from zdqn.rl.layer_descriptions import LayerDescription
from zdqn.rl.update_rule import Update
from zdqn.roles.learner.known_memories import KnownMemories
from zdqn.roles.learner.publications import Publications
from zdqn.roles.learner.stall_watch import Pulse
from zdqn.roles.learner.training_loop import TrainingLoop
from zdqn.wire.memory_messages import Progress
from zdqn.wire.status import CollectorStatistics, LearnerStatus, MemoryStatistics, MetricsRow

SPEC = EnvironmentSpec((2,), "float32", 2)
SIZE = 4


def batch(batches, *, first_key=0):
    count = batches * SIZE
    return Batch(
        observations=np.zeros((count, 2), np.float32),
        actions=np.zeros(count, np.int64),
        rewards=np.zeros(count, np.float32),
        discounts=np.ones(count, np.float32),
        next_observations=np.zeros((count, 2), np.float32),
        keys=np.arange(first_key, first_key + count),
        probabilities=np.tile([0.1, 0.2, 0.3, 0.4], batches),
        weight_versions=np.full(count, WeightVersion(1, 0).pack()),
    )


def progress(session=1, **counts):
    names = ("environment_steps", "episodes", "transitions", "blocks", "blocks_lost",
             "blocks_duplicated", "blocks_refused")  # fmt: skip
    return Progress(session=session, **{**dict.fromkeys(names, 0), **counts})


class FakeSamples:
    """Gives what it was given, one after the other; then stops the loop."""

    def __init__(self, stop, *replies):
        self.replies = list(replies)
        self.asked_for = []
        self.written_back = []
        self.progress = None
        self.waiting_for = ""
        self.waited_s = 1.5
        self._stop = stop

    def receive(self, most_batches):
        self.asked_for.append(most_batches)
        if not self.replies:
            self._stop.set()
            return None
        reply = self.replies.pop(0)
        if isinstance(reply, Progress):
            self.progress = reply
            return None
        return reply

    def write_back(self, keys, priorities):
        self.written_back.append((keys.tolist(), priorities.tolist()))


class FakeTrainer:
    """Counts, and remembers the weights of importance."""

    layers = (LayerDescription("flatten"),)

    def __init__(self):
        self.updates = 0
        self.importance = []
        self.fails_at = 0
        self.several = False
        self.calls = []

    def prepare(self, sampled, size, weights):
        self.importance.append(None if weights is None else weights.tolist())
        return range(len(sampled) // size)

    def loops_over(self, batches):
        return self.several

    def update_all(self, batches):
        self.calls.append(len(batches))
        return [self.update(batch) for batch in batches]

    def update(self, _prepared):
        self.updates += 1
        errors, loss = torch.full((SIZE,), float(self.updates)), torch.tensor(0.5)
        if self.updates == self.fails_at:
            errors[1] = loss = torch.tensor(torch.nan)
        return Update(errors, loss, {}, torch.zeros(()))

    def weights(self, *, copy=True):
        return {"weight": np.full(1, self.updates, np.float32)}

    def state_dict(self):
        return {"updates": self.updates}


class FakeModel:
    """The model server, and the publisher of weights."""

    def __init__(self):
        self.published = []
        self.offered = []
        self.evaluations = []
        self.turns = 0
        self.at_turn: Callable[[int], None] = lambda turn: None
        self.living_collectors = 1
        self.evaluators = 1
        self.room = 1_000
        self.patience_s = math.inf
        self.pulse = Pulse()

    def publish(self, published):
        if not isinstance(published, bytes):  # the same is broadcast as bytes
            self.published.append(published)

    def offer(self, snapshot, *, first=False):
        self.offered.append(snapshot)
        return max(0, len(self.offered) - self.room)

    def status(self):
        return LearnerStatus(actions_served=5)

    def take_evaluations(self):
        taken, self.evaluations = self.evaluations, []
        return taken

    def serve_between_updates(self):
        self.turns += 1
        self.at_turn(self.turns)
        return self.patience_s

    def living(self, role):
        return {"collector": self.living_collectors, "evaluator": self.evaluators}[role]

    def collectors(self):
        return [("a", CollectorStatistics(epsilon=0.5))]


class FakeRecorder:
    """Keeps everything in lists."""

    def __init__(self):
        self.metrics = Metrics()
        self.divergence = Divergence(
            learning_rate=0.1, max_gradient_norm=0.0, discount=0.9, n_step=1
        )
        self.rows = []
        self.evaluations = []
        self.checkpoints = []
        self.frozen = 0
        self.updates = []
        self.told_to_end = ""

    def note_updates(self, updates):
        self.updates.append(updates)

    def report(self, counters, *, update, collectors):
        self.rows.append((counters, update, collectors))
        return MetricsRow(updates=counters.updates)

    def freeze(self, arrays, counters, weight_version):
        self.frozen += 1
        return FrozenSnapshot(self.frozen - 1, weight_version.pack(), 0, counters.updates, 0, 0.0,
                              arrays)  # fmt: skip

    def add_evaluation(self, evaluation, spec):
        assert spec is SPEC
        self.metrics.add_evaluation(evaluation)
        self.evaluations.append(evaluation)

    def save_checkpoint(self, spec, counters, *, trainer, totals, version):
        self.checkpoints.append((counters.updates, trainer["updates"], version))


class FakeBoard:
    def __init__(self):
        self.reports = []

    def begin(self, collectors):
        assert collectors == [CollectorStatistics(epsilon=0.5)]

    def report(self, row, *, blocks, waited_s, collectors):
        self.reports.append((row.updates, blocks.lost, waited_s))


class Setting:
    """A loop and the fakes around it."""

    def __init__(self, *replies, periods=None, beta=None, planned=True, compiled=None, **limits):
        self.stop = threading.Event()
        self.samples = FakeSamples(self.stop, *replies)
        self.trainer = FakeTrainer()
        self.model = FakeModel()
        self.recorder = FakeRecorder()
        self.board = FakeBoard()
        self.publications = Publications(self.model, run_id="r", learner_epoch=1)
        self.totals = RunTotals()
        self.came_back = MemoryStatistics()
        self.memories = KnownMemories(
            self.totals,
            SimpleNamespace(first_session=1, came_back=lambda _session: self.came_back),
            resumed=False,
        )
        self.blocks = NO_BLOCKS
        self.waits: list[tuple[str, int]] = []
        self.gives_up = False
        self.publications_told: list[tuple[int, int]] = []
        self.pace = SimpleNamespace(published=self._published)
        self.loop = TrainingLoop(
            self.trainer,  # type: ignore[arg-type]
            spec=SPEC,
            batch_size=SIZE,
            importance_exponent=beta,
            samples=self.samples,
            model=self.model,
            publications=self.publications,
            recorder=self.recorder,  # type: ignore[arg-type]
            totals=self.totals,
            memories=self.memories,
            blocks=SimpleNamespace(look=lambda: self.blocks),  # type: ignore[arg-type]
            agenda=Agenda(periods or Periods(publish_updates=1), Limits(**limits)),
            pace=self.pace,  # type: ignore[arg-type]
            board=self.board,  # type: ignore[arg-type]
            missing=SimpleNamespace(wait_for=self._wait_for),  # type: ignore[arg-type]
            stop=self.stop,
            evaluators_planned=planned,
            compiled=compiled,
        )

    def _published(self, seconds, nbytes, subscribers):
        assert seconds > 0
        self.publications_told.append((nbytes, subscribers))

    def _wait_for(self, what, came):
        self.waits.append((what, came))
        if self.gives_up:
            raise PeerUnavailableError("nothing has come")

    def run(self):
        return self.loop.run()


# --- learning -----------------------------------------------------------------------------------


def test_each_batch_of_a_reply_is_one_update_and_one_turn_for_the_clients():
    setting = Setting(batch(3), batch(2))
    assert setting.run() == ""
    assert setting.trainer.updates == 5
    assert setting.model.turns == 5


def test_what_values_may_be_is_known_from_all_that_is_learned_from():
    low, high = batch(2), batch(2)
    low.rewards[3], high.rewards[5] = -7.0, 4.0
    setting = Setting(low, high)
    setting.run()
    assert setting.recorder.divergence.largest_return == 7.0


def test_uniform_replay_has_neither_weights_nor_priorities():
    setting = Setting(batch(2))
    setting.run()
    assert setting.trainer.importance == [None]
    assert setting.samples.written_back == []


def test_prioritized_replay_is_weighted_and_priorities_go_back_by_key():
    setting = Setting(batch(2, first_key=10), beta=lambda updates: 1.0 + updates)
    setting.run()
    np.testing.assert_allclose(setting.trainer.importance[0], [1, 1 / 2, 1 / 3, 1 / 4] * 2)
    assert setting.samples.written_back == [
        ([10, 11, 12, 13], [1.0] * 4),
        ([14, 15, 16, 17], [2.0] * 4),
    ]


def test_a_priority_that_is_no_number_is_never_sent_and_ends_the_learner():
    setting = Setting(batch(3), beta=lambda updates: 1.0)
    setting.trainer.fails_at = 2
    with pytest.raises(RoleFailedError, match=r"after 2 updates 1 of the 4 priorities"):
        setting.run()
    assert setting.samples.written_back == [([0, 1, 2, 3], [1.0] * 4)]


@pytest.mark.parametrize("period", ["checkpoint_updates", "snapshot_updates"])
def test_what_has_diverged_is_neither_saved_nor_evaluated(period):
    setting = Setting(batch(3), periods=Periods(publish_updates=100, **{period: 2}))
    setting.trainer.fails_at = 2
    with pytest.raises(RoleFailedError, match="after 2 updates the loss"):
        setting.run()
    assert setting.recorder.checkpoints == []
    assert [snapshot.updates for snapshot in setting.model.offered if snapshot.updates] == []


def test_beta_0_undoes_nothing():
    setting = Setting(batch(1), beta=lambda updates: 0.0)
    setting.run()
    assert setting.trainer.importance == [[1.0] * SIZE]


def test_no_more_updates_are_asked_for_than_are_left():
    setting = Setting(batch(2), batch(1), updates=3)
    assert setting.run() == "updates"
    assert setting.trainer.updates == 3
    assert setting.samples.asked_for == [3, 1]


def test_staleness_is_of_the_version_that_learns():
    setting = Setting(batch(1), periods=Periods(publish_updates=100))
    setting.publications.count_on(4)
    setting.run()  # publishes version 5 before it learns
    assert setting.recorder.metrics.staleness.mean == 5.0


def test_a_stop_ends_it_within_a_reply():
    setting = Setting(batch(5))
    setting.model.at_turn = lambda turn: setting.stop.set() if turn == 2 else None
    assert setting.run() == ""
    assert setting.trainer.updates == 2


def test_a_sink_that_says_so_ends_it_within_a_reply():
    setting = Setting(batch(5))

    def tell(turn):
        setting.recorder.told_to_end = "sink" if turn == 2 else ""

    setting.model.at_turn = tell
    assert setting.run() == ""
    assert setting.trainer.updates == 2
    assert not setting.stop.is_set(), "which may be somebody else's"


# --- several updates at once ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "periods",
    [
        Periods(publish_updates=1),
        Periods(publish_updates=3),
        Periods(publish_updates=100, checkpoint_updates=4),
        Periods(publish_updates=7, snapshot_updates=5, checkpoint_updates=3),
        Periods(publish_updates=7, snapshot_environment_steps=10),
        Periods(publish_updates=7, snapshot_episodes=1, checkpoint_updates=8),
    ],
    ids=str,
)
@pytest.mark.parametrize("limits", [{}, {"updates": 13}, {"environment_steps": 30}], ids=str)
@pytest.mark.parametrize("looped", [True, False], ids=["looped", "one by one"])
def test_updates_in_one_call_leave_nothing_out_that_is_due_between_them(periods, limits, looped):
    def replies():
        return [
            batch(6), progress(environment_steps=10, episodes=1), batch(1, first_key=100),
            batch(6, first_key=200), progress(environment_steps=30, episodes=3), batch(4),
        ]  # fmt: skip

    each, several = (
        Setting(*replies(), periods=periods, beta=lambda updates: 1.0, **limits) for _ in range(2)
    )
    each.model.patience_s = 0
    several.trainer.several = looped
    assert each.run() == several.run()
    assert set(each.trainer.calls) == {1}
    assert len(several.trainer.calls) < len(each.trainer.calls) or periods.publish_updates == 1
    assert several.trainer.updates == each.trainer.updates
    assert several.loop.counters == each.loop.counters
    assert several.samples.asked_for == each.samples.asked_for
    for name in ("published", "offered"):
        ours, theirs = (
            [(item.arrays["weight"].tolist(), item.updates) for item in getattr(s.model, name)]
            if name == "offered"
            else [item.arrays["weight"].tolist() for item in s.model.published]
            for s in (several, each)
        )
        assert ours == theirs
    assert several.recorder.checkpoints == each.recorder.checkpoints

    def sent(setting):
        pairs = setting.samples.written_back
        return [
            (key, value) for keys, values in pairs for key, value in zip(keys, values, strict=True)
        ]

    assert sent(several) == sent(each)


def test_updates_in_one_call_are_no_more_than_clients_can_wait_for():
    setting = Setting(batch(20), batch(20), periods=Periods(publish_updates=1000))
    setting.trainer.several = True
    setting.trainer.update_all = slow_updates(setting.trainer, 0.001)  # type: ignore[method-assign]
    setting.model.patience_s = 0.0035
    setting.run()
    assert setting.trainer.updates == 40
    assert max(setting.trainer.calls) <= 3
    assert len(setting.trainer.calls) == setting.model.turns


def slow_updates(trainer, update_s):
    original = trainer.update_all

    def update_all(batches):
        time.sleep(len(batches) * update_s)
        return original(batches)

    return update_all


def test_a_priority_that_is_no_number_is_named_by_its_own_update():
    setting = Setting(batch(6), beta=lambda updates: 1.0, periods=Periods(publish_updates=100))
    setting.trainer.several = True
    setting.trainer.fails_at = 4
    with pytest.raises(RoleFailedError, match=r"after 4 updates 1 of the 4 priorities"):
        setting.run()


def test_who_compiles_is_told_how_far_training_is():
    told = []

    class Compiled:
        def advance(self, now_s, updates):
            told.append((now_s >= 0, updates))

    setting = Setting(batch(2), batch(3), compiled=Compiled())
    setting.run()
    assert told == [(True, 0), (True, 2), (True, 5)]


# --- counting and waiting -----------------------------------------------------------------------


def test_what_the_memory_counts_is_how_far_training_is():
    setting = Setting(progress(environment_steps=7, episodes=2, transitions=5))
    setting.run()
    counters = setting.loop.counters
    assert (counters.environment_steps, counters.episodes, counters.transitions) == (7, 2, 5)


def test_environment_steps_end_training():
    setting = Setting(progress(environment_steps=7), batch(1), environment_steps=7)
    assert setting.run() == "environment_steps"
    assert setting.trainer.updates == 0


def test_a_memory_that_was_restarted_is_said_and_counted_on(caplog):
    setting = Setting(
        progress(1, environment_steps=7), progress(2, environment_steps=1),
        progress(2, environment_steps=3),
    )  # fmt: skip
    setting.run()
    assert caplog.text.count("the memory was restarted: what it held is lost") == 1
    assert setting.loop.counters.environment_steps == 10


def test_checkpoints_keep_what_a_start_of_the_learner_has_counted():
    setting = Setting(batch(1))
    setting.samples.waited_s = 2.5
    setting.loop.snapshots_dropped = 3
    setting.run()
    setting.loop.save_checkpoint()
    resumed = RunTotals()
    resumed.load_state_dict(setting.totals.state_dict())
    names = ("snapshots_dropped", "waited_for_samples_s", "actions_served")
    assert [resumed.of_learners(name) for name in names] == [3, 2.5, 5]


def test_of_a_memory_that_came_back_it_says_with_what(caplog):
    setting = Setting(progress(1, environment_steps=7), progress(1, environment_steps=9))
    setting.came_back = MemoryStatistics(came_back_with=5)
    setting.memories.begin()
    setting.totals.meet(2)  # a new start, which counts on as the old one did
    setting.run()
    assert caplog.text.count("the memory was restarted: it came back with 5 transitions") == 1
    assert setting.loop.counters.environment_steps == 9


def test_what_is_waited_for_is_said_with_what_has_come():
    setting = Setting(progress())
    setting.run()
    setting.stop.clear()
    setting.samples.replies = [progress(transitions=4)]
    setting.samples.waiting_for = "data: the memory holds 4 of 5 transitions"
    setting.run()
    assert setting.waits[0] == ("the memory to answer", 0)
    assert setting.waits[-1] == ("data: the memory holds 4 of 5 transitions", 4)


def test_who_gives_up_has_saved_a_checkpoint():
    setting = Setting(batch(2), progress())
    setting.gives_up = True
    with pytest.raises(PeerUnavailableError):
        setting.run()
    assert [updates for updates, *_ in setting.recorder.checkpoints] == [2]


# --- what is due --------------------------------------------------------------------------------


def test_weights_are_published_before_the_first_batch_and_then_as_due():
    setting = Setting(batch(4), periods=Periods(publish_updates=2))
    setting.run()
    versions = [
        WeightVersion.unpack(item.weight_version).version for item in setting.model.published
    ]
    assert versions == [0, 1, 2]
    assert [item.arrays["weight"].item() for item in setting.model.published] == [0.0, 2.0, 4.0]
    assert {layer.op for item in setting.model.published for layer in item.network} == {"flatten"}


def test_snapshots_are_of_the_weights_at_that_moment():
    setting = Setting(batch(4), periods=Periods(publish_updates=100, snapshot_updates=2))
    setting.run()
    assert [snapshot.updates for snapshot in setting.model.offered] == [0, 2, 4]
    assert [snapshot.arrays["weight"].item() for snapshot in setting.model.offered] == [0, 2, 4]


EVERY_UPDATE = Periods(publish_updates=100, snapshot_updates=1)


def test_snapshots_that_are_dropped_for_newer_ones_are_counted_and_said_once(caplog):
    setting = Setting(batch(5), periods=EVERY_UPDATE)
    setting.model.room = 2
    setting.run()
    assert setting.loop.snapshots_dropped == 4
    assert caplog.text.count("dropped and never scored") == 1
    assert "evaluator.period_" in caplog.text


def test_no_snapshot_is_taken_where_nobody_will_ever_come(caplog):
    setting = Setting(batch(5), periods=EVERY_UPDATE, planned=False)
    setting.model.evaluators = 0
    setting.model.at_turn = lambda turn: setattr(setting.model, "evaluators", int(turn >= 4))
    setting.run()
    assert [snapshot.updates for snapshot in setting.model.offered] == [5], "one has joined"
    assert setting.recorder.frozen == 1
    assert caplog.text.count("no snapshot is taken") == 1


def test_snapshots_wait_for_an_evaluator_that_is_planned():
    setting = Setting(batch(2), periods=EVERY_UPDATE)
    setting.model.evaluators = 0
    setting.run()
    assert [snapshot.updates for snapshot in setting.model.offered] == [0, 1, 2]


def test_the_last_snapshot_is_taken_once():
    setting = Setting(batch(3), periods=Periods(publish_updates=100, snapshot_updates=2), updates=3)
    assert setting.run() == "updates"
    setting.loop.offer_last_snapshot("updates")
    setting.loop.offer_last_snapshot("updates")
    assert [snapshot.updates for snapshot in setting.model.offered] == [0, 2, 3]


def test_checkpoints_hold_the_version_that_is_published():
    setting = Setting(batch(4), periods=Periods(publish_updates=1, checkpoint_updates=2))
    setting.run()
    assert setting.recorder.checkpoints == [(2, 2, 2), (4, 4, 4)]


def test_the_recorder_hears_of_each_update_before_what_is_due_after_it():
    setting = Setting(batch(4))
    setting.run()
    assert setting.recorder.updates == [1, 2, 3, 4]


def test_reports_go_to_the_recorder_and_the_board():
    setting = Setting(batch(1), periods=Periods(report_s=1e-9))
    setting.blocks = BlockTotals(sent=9, stored=5, lost=3, refused=1, in_flight=0)
    setting.run()
    counters, update, collectors = setting.recorder.rows[-1]
    assert counters.updates == 1
    assert update is not None
    assert collectors == [CollectorStatistics(epsilon=0.5)]
    assert setting.board.reports[-1] == (1, 3, 1.5)


@pytest.mark.parametrize(("value", "ended"), [(2.0, "evaluation_return"), (0.5, "")])
def test_an_evaluation_is_recorded_and_may_end_training(value, ended):
    setting = Setting(batch(1), evaluation_return=1.0)
    snapshot = FrozenSnapshot(0, 1, 0, 0, 0, 0.0, {})
    found = Evaluation(snapshot, EvaluationScores((value,), (1,)), "e", 0.1)
    setting.model.evaluations = [found, replace(found, evaluator="f")]
    assert setting.run() == ended
    assert [evaluation.evaluator for evaluation in setting.recorder.evaluations] == ["e", "f"]
