"""Connections that ask for nothing, and too many of them."""

import http.client
import socket

import pytest

pytest.importorskip("uvicorn", reason='needs "zdqn[dashboard]"')
pytest.importorskip("starlette", reason='needs "zdqn[dashboard]"')

from urllib.parse import urlsplit

from zdqn.experiments.dashboard import bounded_connections
from zdqn.experiments.dashboard.server import Dashboard

DEADLINE_S = 60.0


@pytest.fixture
def serve(tmp_path):
    made = []

    def begin():
        made.append(Dashboard(None, tmp_path, bind="127.0.0.1:0", film=False))
        return "127.0.0.1", urlsplit(made[-1].url).port

    yield begin
    for dashboard in made:
        dashboard.close()


def ended(link):
    """Wait for the other end to end a connection."""
    try:
        return link.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("said", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_who_asks_for_nothing_is_not_waited_for(serve, monkeypatch, said):
    monkeypatch.setattr(bounded_connections, "ASKS_WITHIN_S", 0.2)
    with socket.create_connection(serve(), DEADLINE_S) as link:
        link.sendall(said)
        assert ended(link)


def test_the_rest_of_a_second_question_is_not_waited_for_either(serve, monkeypatch):
    monkeypatch.setattr(bounded_connections, "ASKS_WITHIN_S", DEADLINE_S)
    with socket.create_connection(serve(), DEADLINE_S) as link:
        link.sendall(b"GET /icon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = link.makefile("rb")
        assert b" 200 " in answer.readline()
        monkeypatch.setattr(bounded_connections, "ASKS_WITHIN_S", 0.2)
        link.sendall(b"GET /icon.svg HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HT")
        assert answer.read().count(b" 200 ") == 1  # to the end of the connection


def test_who_listens_to_what_goes_on_is_not_ended(serve, monkeypatch):
    monkeypatch.setattr(bounded_connections, "ASKS_WITHIN_S", DEADLINE_S)
    with socket.create_connection(serve(), DEADLINE_S) as link:
        link.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        events = link.makefile("rb")
        assert b" 200 " in events.readline()
        monkeypatch.setattr(bounded_connections, "ASKS_WITHIN_S", 0.2)
        link.sendall(b"GET / HT")
        looks = 0
        while looks < 3:  # which are a second apart
            line = events.readline()
            assert line
            looks += line.startswith(b"event: state")


def test_of_too_many_the_last_is_ended_and_there_is_room_again(serve, monkeypatch):
    monkeypatch.setattr(bounded_connections, "MOST_CONNECTIONS", 2)
    place = serve()
    one, two = (socket.create_connection(place, DEADLINE_S) for _ in range(2))
    for link in (one, two):  # each is known once it is answered, and stays
        link.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert link.recv(1) == b"H"
    with socket.create_connection(place, DEADLINE_S) as third:
        assert ended(third)
    one.close()
    two.close()
    while True:
        connection = http.client.HTTPConnection(place[0], place[1], timeout=DEADLINE_S)
        try:
            connection.request("GET", "/icon.svg")
            assert connection.getresponse().status == 200
            return
        except (ConnectionError, http.client.BadStatusLine):
            continue  # the others are not gone yet
        finally:
            connection.close()
