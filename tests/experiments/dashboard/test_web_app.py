"""The addresses of a dashboard, without a socket; over one: test_server.py."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason='needs "zdqn[dashboard]"')

from zdqn.experiments.dashboard import live as live_module
from zdqn.experiments.dashboard import web_app
from zdqn.experiments.dashboard.found_config import FoundConfig
from zdqn.experiments.dashboard.live import LiveRun
from zdqn.experiments.dashboard.seen import Contact, Film, Seen
from zdqn.experiments.dashboard.web_app import PAGE_FILES, build_app
from zdqn.launch.run_view import RunView

FILM = Film(
    number=3, image=b"PNG", columns=1, frames=1, width=1, height=1, frame_s=1.0, text="", made_s=0.0
)


class Observer:
    directory = None
    found_config = FoundConfig(None)

    def look(self, *, is_watched: bool) -> Seen:
        return Seen(view=RunView(), contact=Contact("waiting", "not yet"), film=FILM)


async def exchange(app, path):
    sent: list[dict[str, Any]] = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "root_path": "",
        "query_string": b"", "headers": [(b"host", b"localhost")], "scheme": "http",
        "server": ("localhost", 80), "client": ("localhost", 1), "http_version": "1.1",
    }  # fmt: skip
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def ask(*paths, looks=1):
    observer: Any = Observer()
    live = LiveRun(observer, period_s=0.0)
    app = build_app(live, observer, token=None, cookie="c")

    async def all_of_them():
        if looks:
            looking = asyncio.create_task(live.run())
            await live.state()
            live.close()
            await looking
        return [await exchange(app, path) for path in paths]

    return asyncio.run(all_of_them())


def test_every_file_of_the_page_is_served_and_no_other():
    folder = Path(web_app.__file__).parent / "page"
    assert {name for name, _ in PAGE_FILES.values()} == {path.name for path in folder.iterdir()}
    for (status, body), (name, _) in zip(ask(*PAGE_FILES), PAGE_FILES.values(), strict=True):
        assert status == 200
        assert body == (folder / name).read_bytes()


def test_a_film_is_given_by_its_number_alone():
    assert ask("/film/3", "/film/2", "/film/x") == [
        (200, b"PNG"), (404, b"This film is not shown any more.\n"), (404, b"Not Found")
    ]  # fmt: skip


def test_before_the_first_look_there_is_no_film():
    assert ask("/film/3", looks=0)[0][0] == 404


def test_of_an_address_there_are_no_other_runs_and_why_is_said():
    (_, runs), (_, config) = ask("/runs", "/config")
    assert json.loads(runs)["rows"] == json.loads(config)["rows"] == []
    assert "Give the run's directory" in json.loads(runs)["why"]
    assert "Nobody has answered" in json.loads(config)["why"]
    assert ask("/runs/0123")[0][0] == 404


def test_too_many_pages_are_told_so(monkeypatch):
    monkeypatch.setattr(live_module, "MOST_READERS", 0)
    assert ask("/events")[0] == (503, b"Too many pages are open.\n")
