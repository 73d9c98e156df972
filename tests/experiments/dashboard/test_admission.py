"""Who may see a dashboard."""

import asyncio
from typing import Any

import pytest

from zdqn.experiments.dashboard.admission import HEADERS, Admission, host_of, new_token

COOKIE = "zdqn-dashboard-80"


async def page(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})
    await send({"type": "http.response.body", "body": b"the page"})


class Answer:
    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.status = messages[0]["status"]
        self.headers = {n.decode(): v.decode() for n, v in messages[0]["headers"]}
        self.body = b"".join(message.get("body", b"") for message in messages[1:])


def ask(token=None, path="/", query="", method="GET", host="127.0.0.1:80", cookie=""):
    sent: list[dict[str, Any]] = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request"}

    headers = [(b"host", host.encode("latin-1")), (b"cookie", cookie.encode("latin-1"))]
    scope = {
        "type": "http", "method": method, "path": path, "query_string": query.encode(),
        "headers": headers,
    }  # fmt: skip
    asyncio.run(Admission(page, token=token, cookie=COOKIE)(scope, receive, send))
    return Answer(sent)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:80", "127.0.0.1", "localhost:9000", "LOCALHOST", "[::1]:80"]
)
def test_without_a_token_this_machine_is_let_in_by_any_port(host):
    assert ask(host=host).body == b"the page"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:80", "", "127.0.0.1.evil.example", "localhost.evil.example",
     "10.0.0.1:80", "[::2]:80", "::1"],
)  # fmt: skip
def test_a_name_that_was_made_to_lead_here_is_refused(host):
    answer = ask(host=host)
    assert answer.status == 421
    assert b"the page" not in answer.body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_can_be_changed(method):
    assert ask(method=method).status == 405


def test_head_is_answered():
    assert ask(method="HEAD").status == 200


def test_a_token_is_shown_once_and_the_cookie_from_then_on():
    token = new_token()
    first = ask(token, query=f"token={token}")
    assert first.status == 303
    assert first.headers["location"] == "/"
    assert token not in first.headers["location"]
    cookie, *rules = first.headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Lax"} <= set(rules)
    assert ask(token, path="/state", cookie=cookie, host="lab.example").body == b"the page"


@pytest.mark.parametrize("cookie", ["", f"{COOKIE}=", f"{COOKIE}=wrong", "other=TOKEN", "\xff;;="])
def test_without_the_token_nothing_is_shown(cookie):
    token = new_token()
    answer = ask(token, cookie=cookie.replace("TOKEN", token))
    assert answer.status == 403
    assert token.encode() not in answer.body
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("query", ["", "token=", "token=wrong", "token=%ff", "x=TOKEN"])
def test_a_wrong_token_admits_nobody(query):
    token = new_token()
    assert ask(token, query=query.replace("TOKEN", token)).status == 403


def test_a_token_counts_on_the_page_alone_and_only_as_a_cookie_elsewhere():
    token = new_token()
    assert ask(token, path="/state", query=f"token={token}").status == 403


def test_tokens_are_long_and_no_two_alike():
    assert len(new_token()) >= 43
    assert new_token() != new_token()


@pytest.mark.parametrize(
    "answer",
    [ask, lambda: ask(host="evil.example"), lambda: ask("t"), lambda: ask("t", query="token=t")],
)
def test_every_answer_has_the_headers_that_keep_other_sites_out(answer):
    headers = answer().headers
    assert headers.items() >= HEADERS.items()
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_an_answers_own_headers_stay():
    assert ask().headers["x-own"] == "1"


def test_a_websocket_is_refused():
    sent: list[dict[str, Any]] = []

    async def send(message):
        sent.append(message)

    door = Admission(page, token=None, cookie=COOKIE)
    asyncio.run(door({"type": "websocket"}, None, send))  # type: ignore[arg-type]
    assert sent == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize(
    ("header", "host"),
    [("a:1", "a"), ("A", "a"), ("[::1]:1", "::1"), ("[::1]", "::1"), ("", ""), ("a:b:c", "a")],
)
def test_the_host_of_a_header(header, host):
    assert host_of(header) == host
