"""Fixtures that several test files share. Every wait has a deadline: a hang is a failure."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from tests import keys_for_all
from tests.kept_ports import kept_pair
from tests.wire.fake_server import FakeServer
from zdqn.data import Block, EnvironmentSpec
from zdqn.wire.addresses import Address
from zdqn.wire.sockets import Context

# The same examples each time, so that the suite passes twice or never; `pytest
# --hypothesis-profile=search` looks for new ones. No test judges how long something takes.
settings.register_profile("zdqn", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, print_blob=True)
settings.load_profile("zdqn")

DEADLINE_S = 90.0
LOOPBACK = Address("tcp", "127.0.0.1", 0)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--keys", action="store_true", help="go over loopback with keys, whatever goes over it"
    )


@pytest.fixture(autouse=True, scope="session")
def keys_of_all_tests(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Makes the folder of keys for `--keys`."""
    if request.config.getoption("--keys"):
        keys_for_all.begin(tmp_path_factory.mktemp("keys") / "keys")


@pytest.fixture(autouse=True)
def keys_on_links(request: pytest.FixtureRequest) -> Iterator[None]:
    """With `--keys`, puts them on every link of this test."""
    with keys_for_all.on_links_of(request.node):
        yield


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    """A command that a test calls leaves neither its level nor its handler to the next test."""
    logger = logging.getLogger("zdqn")
    level, handlers = logger.level, list(logger.handlers)
    yield
    logger.setLevel(level)
    logger.handlers[:] = handlers


@pytest.fixture(autouse=True, scope="session")
def cache_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests neither use nor leave anything in the cache of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def spec() -> EnvironmentSpec:
    """A small vector environment."""
    return EnvironmentSpec((4,), "float32", 2)


@pytest.fixture
def image_spec() -> EnvironmentSpec:
    """A small environment with stacked frames."""
    return EnvironmentSpec((3, 5), "uint8", 6, 4)


@pytest.fixture
def loopback() -> Address:
    """Any free port of this machine."""
    return LOOPBACK


@pytest.fixture
def nobody() -> Iterator[Address]:
    """An address where nothing listens, kept, with the port below, for a server that comes late."""
    with kept_pair() as port:
        yield Address("tcp", LOOPBACK.host, port)


class KeptContext(Context):
    """Holds its sockets, so that a test may leave them to the teardown."""

    def __init__(self) -> None:
        super().__init__()
        self.sockets: list[object] = []

    def socket(self, kind: int) -> Any:
        made = super().socket(kind)
        self.sockets.append(made)
        return made


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> Iterator[Context]:
    """A ZeroMQ context that must close in time; no test leaves a socket that holds it up."""
    monkeypatch.setattr("zdqn.wire.sockets.LINGER_MS", 300)
    made = KeptContext()
    yield made
    closer = threading.Thread(target=made.close, daemon=True)
    closer.start()
    closer.join(DEADLINE_S)
    assert not closer.is_alive(), "the context did not close: a socket still holds data"


@pytest.fixture
def in_thread() -> Iterator[Callable[[Callable[[], object]], threading.Thread]]:
    """Runs a function in a thread that must have ended in time when the test is over."""
    threads: list[threading.Thread] = []
    errors: list[BaseException] = []

    def start(function: Callable[[], object]) -> threading.Thread:
        def run() -> None:
            try:
                function()
            except BaseException as error:  # noqa: BLE001 - shown by the test's own thread
                errors.append(error)

        thread = threading.Thread(target=run, daemon=True)
        threads.append(thread)
        thread.start()
        return thread

    yield start
    for thread in threads:
        thread.join(DEADLINE_S)
        assert not thread.is_alive(), "a thread of the test did not end"
    assert not errors, errors


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Polls a condition until it holds; a failure after the deadline."""

    def wait(condition: Callable[[], object]) -> None:
        pause = threading.Event()
        end_s = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end_s, "the condition never held"
            pause.wait(0.002)

    return wait


@pytest.fixture
def make_block() -> Callable[..., Block]:
    """Makes a valid block of random transitions."""

    def make(spec: EnvironmentSpec, transitions: int, *, frames: int = 0, seed: int = 0) -> Block:
        rng = np.random.default_rng(seed)
        count = frames or transitions + spec.frame_stack
        table = rng.integers(0, 100, (count, *spec.observation_shape)).astype(spec.dtype)
        records = np.zeros(transitions, spec.record_dtype)
        shape = (transitions, spec.frame_stack)
        records["observation"] = rng.integers(0, count, shape)
        records["next_observation"] = rng.integers(0, count, shape)
        records["action"] = rng.integers(0, spec.num_actions, transitions)
        records["reward"] = rng.normal(size=transitions)
        records["discount"] = 0.99
        records["priority"] = -1.0
        records["weight_version"] = (1 << 32) + 7
        masks = None
        if spec.action_masks:
            masks = np.packbits(np.ones((count, spec.num_actions), bool), axis=1, bitorder="little")
        return Block(table, records, masks)

    return make


@pytest.fixture
def fake(
    context: Context,
    loopback: Address,
    in_thread: Callable[[Callable[[], object]], threading.Thread],
) -> Iterator[Callable[..., FakeServer]]:
    """Starts servers that give prepared answers, until the test is over."""
    made: list[FakeServer] = []

    def start(address: Address = loopback, **answers: Any) -> FakeServer:
        server = FakeServer(context, address, **answers)
        made.append(server)
        in_thread(server.serve)
        return server

    yield start
    for server in made:
        server.done.set()
