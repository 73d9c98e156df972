import logging

from zdqn.roles.complaints import Complaints


def test_a_fault_is_said_at_most_every_10_s_and_others_meanwhile(caplog):
    now_s = [3.0]
    complaints = Complaints(logging.getLogger("zdqn.test"), clock=lambda: now_s[0])
    for text, later_s in (("a", 0), ("a", 5), ("b", 0), ("a", 4.9), ("a", 0.1), ("b", 0)):
        now_s[0] += later_s
        complaints.say(text, 7)
    assert [record.getMessage() for record in caplog.records] == [
        "refused a (7 refused so far)", "refused b (7 refused so far)",
        "refused a (7 refused so far)",
    ]  # fmt: skip


def test_very_many_faults_are_not_remembered_for_ever(caplog):
    complaints = Complaints(logging.getLogger("zdqn.test"), clock=lambda: 0.0)
    for number in range(1_000):
        complaints.say(str(number), number)
    assert len(complaints._said_s) <= 100
