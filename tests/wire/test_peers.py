import json

import pytest

from zdqn.wire.peers import PeerTable


@pytest.fixture
def table():
    return PeerTable(dead_after_s=10.0)


def hello(table, session, now_s=0.0, role="collector"):
    return table.hello(role, f"{role}-{session}", session, now_s)


def test_places_are_given_from_0_for_each_role(table):
    assert [hello(table, session).index for session in (5, 6, 7)] == [0, 1, 2]
    assert hello(table, 8, role="evaluator").index == 0


def test_the_same_session_keeps_its_place(table):
    assert hello(table, 5).index == 0
    assert hello(table, 6).index == 1
    assert hello(table, 5, 1.0).index == 0
    assert len(table.peers) == 2


def test_the_place_of_one_that_left_or_died_is_taken_by_the_next(table):
    for session in (1, 2, 3):
        hello(table, session)
    table.goodbye(2, {}, 1.0)
    assert hello(table, 4, 1.0).index == 1
    table.ping(1, {}, 9.0)
    table.ping(4, {}, 9.0)
    assert hello(table, 5, 11.0).index == 2  # session 3 has been silent for 11 s


def test_silence_is_noticed_once_and_at_the_limit(table):
    hello(table, 1)
    assert table.newly_dead(9.999) == []
    assert [peer.session for peer in table.newly_dead(10.0)] == [1]
    assert table.newly_dead(11.0) == []
    assert table.living("collector", 11.0) == []


def test_a_ping_keeps_alive(table):
    hello(table, 1)
    assert table.ping(1, {"blocks_sent": 3}, 9.0)
    assert table.newly_dead(18.9) == []
    assert [peer.statistics for peer in table.living("collector", 18.9)] == [{"blocks_sent": 3}]


def test_who_is_unknown_or_was_taken_for_dead_must_say_hello(table):
    assert not table.ping(1, {}, 0.0)
    hello(table, 1)
    assert not table.ping(1, {}, 10.0)  # its place may be another's by now
    assert hello(table, 1, 10.0).index == 0
    assert table.ping(1, {}, 10.5)
    assert [peer.session for peer in table.living("collector", 10.5)] == [1]


def test_one_that_was_taken_for_dead_comes_back_beside_its_successor(table):
    hello(table, 1)
    table.newly_dead(10.0)
    assert hello(table, 2, 10.0).index == 0
    assert hello(table, 1, 11.0).index == 1
    assert [peer.session for peer in table.living("collector", 11.0)] == [2, 1]
    assert len({peer.index for peer in table.living("collector", 11.0)}) == 2


def test_a_late_ping_does_not_bring_back_one_that_left(table):
    hello(table, 1)
    table.goodbye(1, {"blocks_sent": 9}, 1.0)
    assert not table.ping(1, {"blocks_sent": 8}, 1.1)
    assert table.living("collector", 1.1) == []
    assert table.peers[1].statistics == {"blocks_sent": 9}


def test_the_last_words_of_one_taken_for_dead_still_count(table):
    hello(table, 1)
    table.newly_dead(20.0)
    peer = table.goodbye(1, {"blocks_sent": 9}, 21.0)
    assert peer is table.peers[1]
    assert peer.statistics == {"blocks_sent": 9}
    assert table.goodbye(77, {"blocks_sent": 9}, 21.0) is None  # never heard of: nothing to do
    assert len(table.peers) == 1


def test_of_very_many_that_left_those_that_left_first_are_forgotten(table, monkeypatch):
    monkeypatch.setattr("zdqn.wire.peers._MOST_SESSIONS", 20)
    hello(table, 0)
    for session in range(1, 101):
        hello(table, session, now_s=1.0)
        table.goodbye(session, {}, 1.0 + session)
    assert list(table.peers) == [0, *range(82, 101)]


def test_the_description_has_a_row_for_each_with_its_state(table):
    hello(table, 1)
    hello(table, 2, 8.0)
    hello(table, 3, 8.0)
    table.goodbye(3, {"epsilon": 0.1}, 9.0)
    rows = table.describe(12.0)
    assert [(row["name"], row["state"], row["last_seen_s"]) for row in rows] == [
        ("collector-1", "silent", 12.0),
        ("collector-2", "living", 4.0),
        ("collector-3", "gone", 3.0),
    ]
    assert rows[2]["epsilon"] == 0.1


def test_a_description_of_very_many_still_fits_a_header_and_keeps_the_living(table):
    for session in range(1, 1_001):
        hello(table, session)
        if session > 50:
            table.goodbye(session, {"environment_steps": 10**9, "epsilon": 0.123}, 1.0)
    rows = table.describe(2.0)
    assert len(json.dumps(rows)) < 64 * 1024
    assert sum(row["state"] == "living" for row in rows) == 50
