"""Answers a Prometheus that asks how a run goes, where the configuration has an address for it."""

from __future__ import annotations

import errno
import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from zdqn.closing import Closing
from zdqn.config import Config
from zdqn.errors import AddressInUseError, ConfigError
from zdqn.records.configured_sinks import check_sinks
from zdqn.records.exposition import families
from zdqn.wire.addresses import Address
from zdqn.wire.status import LearnerStatus

if TYPE_CHECKING:
    from prometheus_client.core import Metric

logger = logging.getLogger("zdqn.learner")

_KEY = "sinks.prometheus"
_EXAMPLE = "127.0.0.1:9464"
_LARGEST_PORT = 65_535

MOST_AT_ONCE = 16
"""Questions that are answered at the same time; who asks beyond that is turned away."""
PATIENCE_S = 5.0
"""Seconds in which something of a question has to come."""


def parse_place(text: str, *, insecure: bool) -> Address:
    """Check where Prometheus is to be answered.

    Args:
        text: such as ``127.0.0.1:9464``; port 0 takes a free one.
        insecure: the user insists on an address that others can reach.

    Raises:
        ConfigError: naming the key, its value and the rule.
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdecimal()) or int(port) > _LARGEST_PORT:
        raise ConfigError(
            f'{_KEY} is "{text}"; it must be HOST:PORT, such as {_EXAMPLE}, with a port from 0 '
            f"(a free one) to {_LARGEST_PORT}."
        )
    address = Address("tcp", host, int(port))
    if not (address.is_loopback or insecure):
        raise ConfigError(
            f"{_KEY} is {text}, which other machines can reach, and whoever asks there is told how "
            f"the run goes: Prometheus has no keys of zdqn's. Bind to {_EXAMPLE} and tunnel "
            f"through ssh (ssh -L), or have Prometheus on this machine; or add --insecure if you "
            f"trust everybody on that network."
        )
    return address


@contextmanager
def open_endpoint(
    config: Config, status: Callable[[], LearnerStatus], *, run: str, insecure: bool
) -> Iterator[dict[str, str]]:
    """Answer Prometheus where the configuration says so, until the context is left.

    Args:
        config: of the run.
        status: gives what there is to tell; called in a thread of the endpoint's.
        run: name of the run, a label of every number.
        insecure: allow an address that others can reach.

    Yields:
        ``{"metrics": URL}``; nothing where the configuration wants no endpoint.

    Raises:
        ConfigError: for an address that cannot be used, or a package that is missing.
        AddressInUseError: when another process has the port.
    """
    if not config.sinks.prometheus:
        yield {}
        return
    check_sinks(config)
    place = parse_place(config.sinks.prometheus, insecure=insecure)
    with MetricsEndpoint(place, lambda: _as_metrics(status(), run)) as endpoint:
        yield {"metrics": endpoint.url}


class _Question(WSGIRequestHandler):
    timeout = PATIENCE_S

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: it is asked every few seconds."""


class BoundedServer(ThreadingMixIn, WSGIServer):
    """Answers `MOST_AT_ONCE` at a time, each in a thread, and nobody who takes long to ask.

    It lives in the process that learns, whose threads and open files are not for whoever connects.

    Args:
        place: where it listens.

    Raises:
        OSError: when it cannot.
    """

    daemon_threads = True

    def __init__(self, place: Address) -> None:
        self.address_family = socket.AF_INET6 if place.is_ipv6 else socket.AF_INET
        self._room = threading.BoundedSemaphore(MOST_AT_ONCE)
        super().__init__((place.host, place.port), _Question)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread; or end the connection, where enough are answered already."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, in the thread that is there for it."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say where it can be looked for what went wrong; who asked has gone, mostly."""
        logger.debug("a question for metrics was not answered: %r", sys.exception())


class MetricsEndpoint(Closing):
    """Serves ``/metrics`` in a thread.

    Args:
        place: where.
        metrics: gives what is told, each time that somebody asks.

    Attributes:
        url: where Prometheus finds it.

    Raises:
        ConfigError: when the address is none of this machine's.
        AddressInUseError: when another process has the port.
    """

    def __init__(self, place: Address, metrics: Callable[[], Iterator[Metric]]) -> None:
        from prometheus_client import CollectorRegistry, make_wsgi_app

        registry = CollectorRegistry()
        registry.register(_Telling(metrics))
        try:
            self._server = BoundedServer(place)
        except OSError as error:
            raise _refused(place, error) from error
        self._server.set_app(make_wsgi_app(registry))
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="zdqn-metrics", daemon=True
        )
        self._thread.start()
        port = self._server.server_port
        host = f"[{place.host}]" if place.is_ipv6 else place.host
        self.url = f"http://{host}:{port}/metrics"
        logger.info("metrics for Prometheus at %s", self.url)

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _refused(place: Address, error: OSError) -> ConfigError | AddressInUseError:
    where = f"{place.host}:{place.port}"
    if error.errno == errno.EADDRINUSE:
        return AddressInUseError(
            f"{_KEY} is {where}, but another process already listens there. Give another port "
            f"with --metrics-port; 0 takes a free one."
        )
    return ConfigError(
        f"{_KEY} is {where}, where nothing can listen: {error.strerror or error}. Give an address "
        f"of this machine, such as {_EXAMPLE}."
    )


class _Telling:
    """What a registry of ``prometheus_client`` asks.

    Args:
        metrics: gives what is told.
    """

    def __init__(self, metrics: Callable[[], Iterator[Metric]]) -> None:
        self.collect = metrics

    def describe(self) -> list[Any]:
        """Tell nothing before somebody asks."""
        return []


def _as_metrics(status: LearnerStatus, run: str) -> Iterator[Metric]:
    from prometheus_client.core import Metric

    for family in families(status, run):
        metric = Metric(family.name.removesuffix("_total"), family.meaning, family.kind)
        for sample in family.samples:
            metric.add_sample(family.name, sample.labels, sample.value)
        yield metric
