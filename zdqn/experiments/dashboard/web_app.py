"""The addresses of a dashboard, and what each answers. No path of a request leads to a file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import TYPE_CHECKING

import msgspec
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from zdqn.experiments.dashboard.admission import Admission
from zdqn.experiments.dashboard.earlier_runs import EarlierRuns
from zdqn.experiments.dashboard.live import LiveRun, encode_curves
from zdqn.experiments.dashboard.observer import RunObserver
from zdqn.experiments.dashboard.page_config import describe_config
from zdqn.launch.lines import printable

if TYPE_CHECKING:
    from starlette.requests import Request

_FOLDER = "page"
PAGE_FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/charts.js": ("charts.js", "text/javascript"),
    "/picture.js": ("picture.js", "text/javascript"),
    "/elements.js": ("elements.js", "text/javascript"),
    "/film.js": ("film.js", "text/javascript"),
    "/tables.js": ("tables.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
"""Address to a file of the page, which is read once, and its type."""

_JSON = "application/json"
_NO_FOLDER = "An address tells of no folder. Give the run's directory to see the runs beside it."
_NONE_BESIDE = "There is no other run beside this one."


def build_app(live: LiveRun, observer: RunObserver, *, token: str | None, cookie: str) -> Admission:
    """Build what answers requests.

    Args:
        live: tells of the run; it looks for as long as the application is up.
        observer: knows the run's folder and configuration.
        token: that a request must show; None if none is needed.
        cookie: name of the cookie that carries it.
    """

    @asynccontextmanager
    async def looking(_app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(live.run())
        try:
            yield
        finally:
            live.close()
            await task

    answers = _Answers(live, observer)
    routes = [Route(path, _page_file(*named)) for path, named in PAGE_FILES.items()]
    routes += [
        Route("/state", answers.state),
        Route("/curves", answers.curves),
        Route("/events", answers.events),
        Route("/config", answers.config),
        Route("/runs", answers.runs),
        Route("/runs/{key}", answers.curves_of_run),
        Route("/film/{number:int}", answers.film),
    ]
    return Admission(Starlette(routes=routes, lifespan=looking), token=token, cookie=cookie)


def _page_file(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    content = files(__package__).joinpath(_FOLDER, name).read_bytes()

    async def answer(_request: Request) -> Response:
        return Response(content, media_type=kind)

    return answer


class _Answers:
    """Answers what a page asks for."""

    def __init__(self, live: LiveRun, observer: RunObserver) -> None:
        self._live = live
        self._observer = observer
        self._earlier = EarlierRuns(observer.directory) if observer.directory else None

    async def state(self, _request: Request) -> Response:
        return Response(await self._live.state(), media_type=_JSON)

    async def curves(self, _request: Request) -> Response:
        return Response(await self._live.curves(), media_type=_JSON)

    async def events(self, _request: Request) -> Response:
        if self._live.is_full:
            return Response("Too many pages are open.\n", 503, media_type="text/plain")
        return StreamingResponse(self._live.events(), media_type="text/event-stream")

    async def config(self, _request: Request) -> Response:
        found = self._observer.found_config
        return _json({"rows": describe_config(found.config), "why": printable(found.why)})

    async def runs(self, _request: Request) -> Response:
        if self._earlier is None:
            return _json({"rows": [], "why": _NO_FOLDER})
        rows = await asyncio.to_thread(self._earlier.describe)
        return _json({"rows": rows, "why": "" if rows else _NONE_BESIDE})

    async def curves_of_run(self, request: Request) -> Response:
        key = str(request.path_params["key"])
        series = await asyncio.to_thread(self._earlier.series, key) if self._earlier else None
        if series is None:
            return _not_there("There is no such run here.")
        return Response(encode_curves(series), media_type=_JSON)

    async def film(self, request: Request) -> Response:
        film = self._live.film
        if film is None or film.number != request.path_params["number"]:
            return _not_there("This film is not shown any more.")
        return Response(film.image, media_type="image/png")


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type=_JSON)


def _not_there(text: str) -> Response:
    return Response(f"{text}\n", 404, media_type="text/plain")
