"""The bottleneck is named from measured times."""

import pytest

from zdqn.records.verdict import BottleneckWatch, Times, name_bottleneck, read_times
from zdqn.wire.status import CollectorStatistics, MemoryStatistics


@pytest.mark.parametrize(
    ("times", "beginning", "parts"),
    [
        (Times(wall_s=10, learner_waiting_s=0.7, memory_holding_s=6), "learner-bound",
         ("computes 93 % of the time", "held back by samples_per_insert")),
        (Times(wall_s=10, collectors_s=20, collectors_blocked_s=1), "learner-bound",
         ("computes 100 % of the time", "collectors run free")),
        (Times(wall_s=10, collectors_s=20, collectors_blocked_s=10), "learner-bound",
         ("into a full link",)),
        (Times(wall_s=10, learner_waiting_s=5, memory_inserting_s=5, memory_sampling_s=4),
         "memory-bound", ("busy 90 % of the time", "storing 50 %", "sampling 40 %")),
        (Times(wall_s=10, learner_waiting_s=8, collectors_s=20, collectors_asking_s=15),
         "action-bound", ("wait 75 % of their time for actions",)),
        (Times(wall_s=10, learner_waiting_s=8, collectors_s=20, collectors_blocked_s=16,
               memory_inserting_s=1), "link-bound", ("wait 80 % of their time to send",)),
        (Times(wall_s=10, learner_waiting_s=3, memory_holding_s=6, collectors_s=20,
               collectors_blocked_s=19), "ratio-bound",
         ("blocked 95 % of their time", "the learner waits 30 %", "samples_per_insert_window")),
        (Times(wall_s=10, learner_waiting_s=8, collectors_s=20, collectors_blocked_s=1),
         "collector-bound", ("waits 80 % of the time", "blocked 5 % of their time")),
    ],
)  # fmt: skip
def test_each_side_is_named_in_words_with_its_figures(times, beginning, parts):
    verdict = name_bottleneck(times)
    assert verdict.startswith(beginning)
    for part in parts:
        assert part in verdict


def test_nothing_measured_is_no_verdict():
    assert name_bottleneck(Times()) == ""


def test_times_are_read_from_statistics_and_add_up_over_collectors():
    times = read_times(
        10, 2, MemoryStatistics(inserting_s=1, sampling_s=2, holding_inserts_back_s=3, size=5),
        [
            CollectorStatistics(collecting_s=9, blocked_s=1),
            CollectorStatistics(collecting_s=8, asking_s=4),
        ],
    )  # fmt: skip
    assert times == Times(10, 2, 1, 2, 3, 17, 1, 4)


def test_what_was_reset_by_a_restart_counts_from_zero():
    earlier = Times(wall_s=10, memory_inserting_s=8)
    later = Times(wall_s=15, memory_inserting_s=1)
    assert later.since(earlier) == Times(wall_s=5, memory_inserting_s=1)


def test_a_watch_names_the_bottleneck_of_late_and_of_all():
    watch = BottleneckWatch(looks=2)
    watch.begin(Times(wall_s=5, learner_waiting_s=5))
    assert watch.look(Times(wall_s=10, learner_waiting_s=10)).startswith("collector-bound")
    assert watch.look(Times(wall_s=20, learner_waiting_s=10)).startswith("learner-bound")
    assert watch.look(Times(wall_s=30, learner_waiting_s=20)).startswith("collector-bound")
    all_of_it = Times(wall_s=105, learner_waiting_s=20)
    assert watch.overall(all_of_it) == (
        "learner-bound: it computes 85 % of the time; collectors run free"
    )
