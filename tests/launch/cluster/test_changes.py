"""Who is given an order: the launcher, or the agents that keep a run (see test_visits.py)."""

import pytest

from tests.launch.cluster.clusters import small_plan
from zdqn.errors import UsageError
from zdqn.launch.cluster.changes import change_run
from zdqn.launch.cluster.cluster_record import ClusterRecord, write_record
from zdqn.launch.cluster.order_box import OrderBox


def test_a_launcher_that_watches_is_given_it(tmp_path, in_thread):
    write_record(tmp_path, ClusterRecord(small_plan(), "run"))
    box = OrderBox(tmp_path)
    box.open()
    taken: list[tuple[str, dict[str, object]]] = []

    def serve():
        while not taken:
            taken.extend(box.take())
        box.answer(taken[0][0], "done")

    in_thread(serve)
    assert change_run(tmp_path, "restart", "collector-0@c1", lambda line: None) == "done"
    assert taken[0][1] == {"order": "restart", "what": "collector-0@c1"}


def test_what_was_not_launched_is_not_changed(tmp_path):
    with pytest.raises(UsageError, match="no run of `zdqn launch`"):
        change_run(tmp_path, "restart", "memory", lambda line: None)


def test_one_that_has_ended_takes_no_orders(tmp_path):
    write_record(tmp_path, ClusterRecord(small_plan(), "run"))
    with pytest.raises(UsageError, match="No launcher takes orders"):
        change_run(tmp_path, "restart", "memory", lambda line: None)
