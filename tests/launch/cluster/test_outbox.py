"""What an agent says: in order, and no role waits for whoever does not listen."""

import os

from zdqn.launch.cluster import outbox as outbox_module
from zdqn.launch.cluster.frames import EndedReport, ErrorsReport, FrameReader, Report
from zdqn.launch.cluster.outbox import Outbox


def read_all(descriptor):
    reader, found = FrameReader(Report), []
    while piece := os.read(descriptor, 65536):
        found += reader.take(piece)
    return found


def test_all_is_written_in_order():
    ours, theirs = os.pipe()
    outbox = Outbox(theirs)
    sent = [ErrorsReport("m", b"%d\n" % number) for number in range(100)]
    for frame in sent:
        outbox.put(frame)
    outbox.close(10)
    os.close(theirs)
    assert read_all(ours) == sent
    os.close(ours)


def test_too_many_lines_are_counted_and_no_end_is_left_out(monkeypatch):
    monkeypatch.setattr(outbox_module, "MOST_WAITING_LINES", 5)
    ours, theirs = os.pipe()
    outbox = Outbox(theirs)
    big = b"x" * 100_000  # fills the pipe, so that the rest waits
    for _ in range(50):
        outbox.put(ErrorsReport("m", big))
    outbox.put(EndedReport("m", 0))
    found: list[object] = []
    reader = FrameReader(Report)
    while not any(isinstance(frame, EndedReport) for frame in found):
        found += reader.take(os.read(ours, 65536))
    outbox.put(ErrorsReport("m", b"last\n"))
    outbox.close(10)
    os.close(theirs)
    found += [frame for piece in iter(lambda: os.read(ours, 65536), b"")
              for frame in reader.take(piece)]  # fmt: skip
    os.close(ours)
    lines = [frame.line for frame in found if isinstance(frame, ErrorsReport)]
    left_out = 50 - lines.count(big)
    assert left_out > 0
    assert lines[-2:] == [b"... %d lines are in its log on its host alone\n" % left_out, b"last\n"]


def test_who_does_not_listen_any_more_holds_nobody_up():
    ours, theirs = os.pipe()
    os.close(ours)
    outbox = Outbox(theirs)
    for _ in range(100):
        outbox.put(EndedReport("m", 0))
    outbox.close(10)
    os.close(theirs)
