"""Who may see a dashboard: only those whom its address was meant for, and from no other site."""

from __future__ import annotations

import hmac
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
"""What a browser of this machine, or at the other end of a tunnel, calls it."""

_TOKEN_BYTES = 32
_MOST_QUERY = 1_000
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
"""Of every answer: nothing of another site runs in the page, and the page in none of another."""

_REFUSED = {
    403: "This dashboard wants a token: open the URL that `zdqn dashboard` has printed.",
    405: "This dashboard only shows: GET and HEAD are all that it answers.",
    421: "This dashboard is for its own machine: open it as http://127.0.0.1:PORT/.",
}


def new_token() -> str:
    """Make a secret that lets in whoever has it."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def host_of(header: str) -> str:
    """Give the host that a request's Host header names, without port and brackets."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].lower()


class Admission:
    """Lets in requests that may see the page, and puts `HEADERS` on each answer.

    Without a token only requests whose Host names this machine are let in: a page of another site
    whose name was made to lead here (DNS rebinding) names itself. With one it takes the token,
    once in the URL, which is answered with a cookie and the plain URL, and the cookie from then on.

    Args:
        app: what is behind the door.
        token: that must be shown; None if none is needed.
        cookie: name of the cookie, another for each port.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, cookie: str) -> None:
        self._app = app
        self._token = token
        self._cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there is nothing but pages here
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in
                   scope["headers"]}  # fmt: skip
        refused = self._why_refused(scope, headers)
        if refused == 403 and self._shows_token(scope):
            await self._admit(send)
        elif refused:
            await _answer(send, refused, _REFUSED[refused])
        else:
            await self._app(scope, receive, _with_headers(send))

    def _why_refused(self, scope: Scope, headers: dict[str, str]) -> int:
        """Give the status with which a request is refused; 0 if it is not."""
        if scope["method"] not in ("GET", "HEAD"):
            return 405
        if self._token is None:
            return 0 if host_of(headers.get("host", "")) in LOOPBACK_NAMES else 421
        return 0 if self._is_token(_cookie_of(headers, self._cookie)) else 403

    def _shows_token(self, scope: Scope) -> bool:
        query = bytes(scope["query_string"])
        if scope["path"] != "/" or len(query) > _MOST_QUERY:
            return False
        return self._is_token(parse_qs(query.decode("latin-1")).get("token", [""])[0])

    def _is_token(self, given: str) -> bool:
        assert self._token is not None
        return hmac.compare_digest(given.encode(), self._token.encode())

    async def _admit(self, send: Send) -> None:
        cookie = f"{self._cookie}={self._token}; HttpOnly; SameSite=Lax; Path=/"
        await _answer(send, 303, "", {"set-cookie": cookie, "location": "/"})


def _cookie_of(headers: dict[str, str], name: str) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return "" if found is None else found.value


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *_raw(HEADERS)]}
        await send(message)

    return sent


async def _answer(
    send: Send, status: int, text: str, headers: dict[str, str] | None = None
) -> None:
    body = f"{text}\n".encode() if text else b""
    given = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(body))}
    start: dict[str, Any] = {"type": "http.response.start", "status": status}
    await send({**start, "headers": _raw({**given, **HEADERS, **(headers or {})})})
    await send({"type": "http.response.body", "body": body})


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]
