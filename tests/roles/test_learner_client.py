"""What collectors and evaluators share, in a role that does nothing else."""

import threading

import msgspec
import pytest

from tests.roles.conftest import DEADLINE_S, quick_config
from tests.wire.fake_server import PONG, WELCOME
from zdqn.config import Config, shared_values, to_dict
from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError, MismatchError
from zdqn.roles.learner_client import LearnerClient
from zdqn.wire import membership
from zdqn.wire.protocol import ErrorReply, Goodbye, Hello, Ping, Refusal, Spec

SPEC = EnvironmentSpec((4,), "float32", 2)
NOWHERE = "tcp://127.0.0.1:1"
CONFIG = quick_config("links.ping_period_s=0.01", "links.connect_timeout_s=77")
OF_LEARNER = msgspec.structs.replace(WELCOME, config=to_dict(CONFIG))


class FakeEnvironments:
    def __init__(self):
        self.closed = 0

    @property
    def unwrapped(self):
        return self

    def close(self):
        self.closed += 1


class Client(LearnerClient):
    """Joins and leaves."""

    _role = "collector"

    def __init__(self, config=None, *, learner=NOWHERE, context=None, stop=None, **options):
        self.built: list[object] = []
        self.environments = FakeEnvironments()
        options = {"name": "c-0", **options}
        super().__init__(config, learner=str(learner), context=context, stop=stop, **options)

    def _make_environments(self, config):
        self.built.append(config)
        return self.environments, SPEC

    def _statistics(self):
        return {"blocks_sent": 3}

    def run(self, while_joined=lambda: None):
        joined, welcome = self._join()
        try:
            while_joined()
            joined.raise_failure()
            return welcome
        finally:
            joined.leave()


@pytest.fixture(autouse=True)
def unhurried(monkeypatch):
    """A goodbye is heard, however busy the machine."""
    monkeypatch.setattr(membership, "_GOODBYE_TIMEOUT_S", DEADLINE_S)


# --- the constructor ------------------------------------------------------------------------------


def test_with_a_configuration_environments_are_made_at_once():
    with Client(CONFIG) as client:
        assert client.built == [CONFIG]


def test_without_one_they_wait_for_the_learners():
    with Client() as client:
        assert client.built == []
    assert client.environments.closed == 0


@pytest.mark.parametrize("address", ["somewhere", "", "tcp://no.such.host.invalid:5"])
def test_an_address_that_cannot_be_used_is_refused_before_environments_are_made(address):
    built = []

    class Noticing(Client):
        def _make_environments(self, config):
            built.append(config)
            raise AssertionError("too early")

    with pytest.raises(ConfigError, match="--learner"):
        Noticing(CONFIG, learner=address)
    assert built == []


def test_an_environment_that_cannot_be_made_is_told_before_any_socket_is_there(monkeypatch):
    def no_node(context):
        raise AssertionError("too early")

    class Failing(Client):
        def _make_environments(self, config):
            raise ConfigError("no such environment")

    monkeypatch.setattr("zdqn.roles.learner_client.Node", no_node)
    with pytest.raises(ConfigError, match="no such environment"):
        Failing(CONFIG)


# --- joining --------------------------------------------------------------------------------------


def test_one_with_a_configuration_says_what_it_acts_on(fake, context):
    server = fake(Hello=[OF_LEARNER])
    with Client(CONFIG, learner=server.address, context=context) as client:
        assert client.run() == OF_LEARNER
    (hello,) = (header for header in server.heard if isinstance(header, Hello))
    assert (hello.role, hello.name) == ("collector", "c-0")
    assert hello.shared == msgspec.to_builtins(shared_values(CONFIG, "collector", "learner"))
    assert hello.spec == Spec.of(SPEC)
    assert client.built == [CONFIG]


def test_one_without_takes_the_learners_and_introduces_itself_again(fake, context):
    second = msgspec.structs.replace(OF_LEARNER, index=1)
    server = fake(Hello=[OF_LEARNER, second])
    with Client(learner=server.address, context=context) as client:
        assert client.run() == second
    hellos = [header for header in server.heard if isinstance(header, Hello)]
    assert [hello.spec for hello in hellos] == [None, Spec.of(SPEC)]
    shared = msgspec.to_builtins(shared_values(CONFIG, "collector", "learner"))
    assert [hello.shared for hello in hellos] == [None, shared]
    assert len({hello.session for hello in hellos}) == 1
    assert client.built == [CONFIG]


@pytest.mark.parametrize("own", [None, CONFIG])
def test_the_links_are_the_runs_whether_it_came_with_a_configuration_or_not(
    fake, context, monkeypatch, own
):
    made = []

    class Noticing(membership.Membership):
        def __init__(self, *arguments, ping_period_s, connect_timeout_s, **options):
            made.append((ping_period_s, connect_timeout_s))
            options |= {"ping_period_s": ping_period_s, "connect_timeout_s": connect_timeout_s}
            super().__init__(*arguments, **options)

    monkeypatch.setattr("zdqn.roles.learner_client.Membership", Noticing)
    server = fake(Hello=[OF_LEARNER])
    with Client(own, learner=server.address, context=context) as client:
        client.run()
    assert made[-1] == (CONFIG.links.ping_period_s, CONFIG.links.connect_timeout_s)
    assert made[-1] != (Config().links.ping_period_s, Config().links.connect_timeout_s)


def test_once_it_belongs_to_a_run_every_hello_says_so(fake, context, until):
    forgetful = [msgspec.structs.replace(PONG, known=False), PONG]
    server = fake(Hello=[OF_LEARNER], Ping=forgetful)
    with Client(CONFIG, learner=server.address, context=context) as client:
        client.run(lambda: until(lambda: server.count(Hello) == 2))
    hellos = [header for header in server.heard if isinstance(header, Hello)]
    assert [hello.run_id for hello in hellos] == ["", OF_LEARNER.run_id]


def test_a_configuration_of_the_learners_that_is_none_names_its_source(fake, context):
    bad = msgspec.structs.replace(OF_LEARNER, config={"algorithm": {"n_step": 0}})
    server = fake(Hello=[bad])
    with (
        Client(learner=server.address, context=context) as client,
        pytest.raises(ConfigError, match=r"(?s)learner's configuration.*n_step|n_step.*learner's"),
    ):
        client.run()
    assert client.built == []


def test_a_run_that_is_over_needs_no_environments(fake, context):
    server = fake(Hello=[ErrorReply(code=Refusal.STOPPING, message="this run is over")])
    with Client(learner=server.address, context=context) as client:
        assert client.run() is None
    assert client.built == []


def test_a_refusal_is_raised(fake, context):
    server = fake(Hello=[ErrorReply(code=Refusal.MISMATCH, message="another configuration")])
    with (
        Client(CONFIG, learner=server.address, context=context) as client,
        pytest.raises(MismatchError, match="another configuration"),
    ):
        client.run()


def test_it_wants_a_learner(fake, context):
    server = fake(Hello=[OF_LEARNER])
    with Client(CONFIG, learner=server.address, context=context) as client:
        client.run()
    assert server.heard[0].to == "learner"


def test_it_pings_as_often_as_configured_with_its_numbers_and_says_goodbye(fake, context, until):
    server = fake(Hello=[OF_LEARNER])
    with Client(CONFIG, learner=server.address, context=context) as client:
        client.run(lambda: until(lambda: server.count(Ping) >= 3))
    pings = [header for header in server.heard if isinstance(header, Ping)]
    assert all(ping.statistics == {"blocks_sent": 3} for ping in pings)
    assert server.heard[-1] == Goodbye(session=pings[0].session, statistics={"blocks_sent": 3})


def test_the_end_of_the_run_sets_the_stop_it_was_given(fake, context):
    stop = threading.Event()
    server = fake(Hello=[OF_LEARNER], Ping=[msgspec.structs.replace(PONG, stopping=True)])
    with Client(CONFIG, learner=server.address, context=context, stop=stop) as client:
        client.run(lambda: stop.wait(DEADLINE_S))
    assert stop.is_set()


def test_two_clients_are_two_sessions_and_have_names_of_their_own(fake, context):
    server = fake(Hello=[OF_LEARNER])
    for name in (None, None, "mine"):
        with Client(CONFIG, learner=server.address, context=context, name=name) as client:
            client.run()
    hellos = [header for header in server.heard if isinstance(header, Hello)]
    assert len({hello.session for hello in hellos}) == 3
    assert hellos[0].name.startswith("collector@")
    assert hellos[2].name == "mine"


# --- closing --------------------------------------------------------------------------------------


def test_closing_closes_environments_and_leaves_a_shared_context_open(fake, context):
    server = fake(Hello=[OF_LEARNER])
    client = Client(CONFIG, context=context)
    client.close()
    assert client.environments.closed == 1
    with Client(CONFIG, learner=server.address, context=context) as another:
        assert another.run() == OF_LEARNER


def test_who_is_abandoned_says_goodbye_while_its_thread_does_something_else(fake, context):
    server = fake(Hello=[OF_LEARNER])
    with Client(CONFIG, learner=server.address, context=context) as client:
        client.run(client.abandon)
    goodbyes = [header for header in server.heard if isinstance(header, Goodbye)]
    assert [goodbye.statistics for goodbye in goodbyes] == [{"blocks_sent": 3}]
