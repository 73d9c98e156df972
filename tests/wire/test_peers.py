import json

import msgspec
import pytest

from zdqn.wire import peers
from zdqn.wire.peers import PeerTable

SIGN = "\N{MATHEMATICAL BOLD SMALL X}"  # a letter of 4 bytes


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


def test_a_description_of_the_longest_words_is_cut_to_equal_shares(table):
    """Names and statistics as long as the protocol permits, of as many clients as there may be."""
    words = {f"{SIGN * 62}{number:02}": SIGN * 256 for number in range(64)}
    for session in range(1, 1_001):
        table.hello("collector", SIGN * 256, session, 0.0)
        table.ping(session, words, 1.0)
    rows = table.describe(2.0)
    assert len(rows) == 100
    assert len(msgspec.msgpack.encode(rows)) <= 48 * 1024
    for index, row in enumerate(rows):
        assert row["index"] == index
        assert row["name"] == SIGN * 64
        assert (row["role"], row["state"], row["last_seen_s"]) == ("collector", "living", 1.0)


def test_rows_that_fit_are_not_cut(table):
    table.hello("collector", SIGN * 256, 1, 0.0)
    table.ping(1, {f"word_{number}": SIGN * 256 for number in range(40)}, 1.0)
    (row,) = table.describe(2.0)
    assert row["name"] == SIGN * 256
    assert len(row) == 5 + 40
    for session in range(2, 101):  # a hundred collectors as they are
        table.hello("collector", f"collector-{session}@machine-in-the-lab", session, 0.0)
        table.ping(session, {f"number_{number}": 10**6 + 0.125 for number in range(10)}, 1.0)
    table.goodbye(1, {}, 1.0)
    assert all(len(row) == 15 for row in table.describe(2.0)[1:])


def test_a_client_tells_nothing_in_place_of_what_the_server_knows(table):
    hello(table, 1)
    table.ping(1, {"name": "another", "state": "gone", "index": 7, "role": "learner", "x": 1}, 1.0)
    (row,) = table.describe(1.0)
    assert row == {
        "role": "collector", "name": "collector-1", "index": 0, "state": "living",
        "last_seen_s": 0.0, "x": 1,
    }  # fmt: skip


def test_clients_without_end_find_no_place_and_those_who_have_one_keep_it(table):
    for session in range(1, 1_001):
        assert table.why_full(session, b"%d" % session) == ""
        table.hello("collector", "c", session, 0.0, "", b"%d" % session)
    assert "1000 clients are here already" in table.why_full(1_001, b"x")
    assert table.why_full(7, b"x") == "", "it is met again"
    table.goodbye(7, {}, 1.0)
    assert table.why_full(1_001, b"x") == ""


def test_one_connection_does_not_take_all_places(table):
    for session in range(1, 65):
        assert table.why_full(session, b"one") == ""
        table.hello("collector", "c", session, 0.0, "", b"one")
    assert "64 clients came by this connection" in table.why_full(65, b"one")
    assert table.why_full(65, b"another") == ""


def test_of_those_who_left_the_first_are_forgotten_and_nobody_who_is_there(table, monkeypatch):
    monkeypatch.setattr(peers, "_MOST_SESSIONS", 30)
    hello(table, 1_000)
    for session in range(1, 100):
        hello(table, session)
        table.goodbye(session, {}, float(session))
        assert len(table.peers) <= 30
    assert 1_000 in table.peers
    assert 99 in table.peers
    assert 50 not in table.peers


def test_a_goodbye_counts_once(table):
    hello(table, 1)
    assert table.goodbye(1, {"blocks_sent": 9}, 1.0) is not None
    assert table.goodbye(1, {"blocks_sent": 2**48 - 1}, 1.0) is None
    assert table.peers[1].statistics == {"blocks_sent": 9}
    hello(table, 1)
    assert table.goodbye(1, {"blocks_sent": 10}, 2.0) is not None


def test_another_sign_of_life_keeps_who_lives_and_brings_nobody_back(table):
    hello(table, 1)
    hello(table, 2)
    for now_s in (9.0, 18.0):
        table.hear_of(1, now_s)
        table.hear_of(99, now_s)
    assert [peer.session for peer in table.living("collector", 18.0)] == [1]
    table.hear_of(2, 18.0)
    assert [peer.session for peer in table.newly_dead(18.0)] == [2]


def test_where_somebody_came_from_is_the_servers_own_word(table):
    for session, host in ((1, "10.0.0.7"), (2, "")):
        table.hello("collector", "c", session, 0.0, host=host)
        table.ping(session, {"host": "everywhere"}, 0.0)
    assert [row.get("host") for row in table.describe(0.0)] == ["10.0.0.7", None]
