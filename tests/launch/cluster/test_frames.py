"""What launcher and agent say to each other, in whatever pieces it comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zdqn.errors import ProtocolError
from zdqn.launch.cluster.frames import (
    GREETING,
    MOST_BYTES,
    AnswerReport,
    AskOrder,
    EndedReport,
    FrameReader,
    GreetingReader,
    InputOrder,
    Order,
    OutputReport,
    Report,
    StartOrder,
    encode_frame,
)

ORDERS = [
    StartOrder("memory", "memory", {"X": "1"}),
    InputOrder("memory", b"\0\n\xff"),
    AskOrder(3, "who", {}),
]


@given(st.integers(1, 40))
def test_frames_come_whole_however_they_are_cut(size):
    data = b"".join(map(encode_frame, ORDERS))
    reader, found = FrameReader(Order), []
    for begin in range(0, len(data), size):
        found += reader.take(data[begin : begin + size])
    assert found == ORDERS


def test_a_report_is_no_order():
    with pytest.raises(ProtocolError, match="cannot be read"):
        FrameReader(Order).take(encode_frame(EndedReport("memory", 3)))
    assert FrameReader(Report).take(encode_frame(EndedReport("memory", 3)))


def test_something_else_is_refused_before_it_is_waited_for():
    with pytest.raises(ProtocolError, match=f"the most is {MOST_BYTES:,}"):
        FrameReader(Report).take(b"Welcome to lab7!\n")


def test_bytes_of_a_file_and_nothing_at_all_are_answers():
    for answer in ({"piece": b"\xff" * 100}, None, [1, 2]):
        (read,) = FrameReader(Report).take(encode_frame(AnswerReport(1, answer)))
        assert read.answer == answer


@given(st.integers(1, 50))
def test_what_a_login_prints_is_told_apart(size):
    said: list[str] = []
    data = b"Welcome!\nquota: 3 %\n" + GREETING + encode_frame(OutputReport("m", b"x\n"))
    greeting, reader, found, begun = GreetingReader(said.append), FrameReader(Report), [], False
    for begin in range(0, len(data), size):
        piece = data[begin : begin + size]
        if not begun:
            after = greeting.take(piece)
            if after is None:
                continue
            begun, piece = True, after
        found += reader.take(piece)
    assert said == ["Welcome!", "quota: 3 %"]
    assert found == [OutputReport("m", b"x\n")]
