"""The collector against servers that give prepared answers: what it does, sends and tells."""

import logging
import threading
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.roles.conftest import Corridor
from tests.roles.corridor_run import SPEC, configured, refusing, weights
from tests.wire.fake_server import PONG, WELCOME
from tests.wire.links import make_receiver, receive_block
from zdqn.config import to_dict
from zdqn.data import EpisodeStatistics, WeightVersion
from zdqn.errors import CallbackFailedError, ConfigError, EnvironmentFailedError, MismatchError
from zdqn.rl.schedules import ladder_epsilons
from zdqn.roles.acting.local_policy import LocalPolicy
from zdqn.roles.acting.refusal_watch import PINGS_IN_VAIN
from zdqn.roles.collecting_client import CollectorResult
from zdqn.roles.collector import Collector
from zdqn.wire import block_payload, codec
from zdqn.wire.memory_messages import BlockHeader
from zdqn.wire.model_messages import ActionRequest, Actions, WeightsRequest
from zdqn.wire.protocol import ErrorReply, Goodbye, Hello, Ping, Refusal, Spec
from zdqn.wire.status import CollectorStatistics
from zdqn.wire.transition_sockets import TransitionSender

NOTHING = CollectorResult(0, 0, 0, 0, 0)
OVER = ErrorReply(code=Refusal.STOPPING, message="this run is over")
REFUSED = ErrorReply(code=Refusal.MISMATCH, message="another run")
ENDING = msgspec.structs.replace(PONG, stopping=True)
GREEDY = ("exploration.epsilon_initial=0", "exploration.epsilon_final=0")
DEADLINE_S = 60.0


class Track(Corridor):
    """A corridor that notes what is done, and does something else in one of its steps."""

    def __init__(self, at, then):
        super().__init__()
        self.at, self.then = at, then
        self.actions: list[int] = []
        self.seeds: list[int | None] = []

    def reset(self, *, seed=None, options=None):
        self.seeds.append(seed)
        return super().reset(seed=seed)

    def step(self, action):
        self.actions.append(int(action))
        if len(self.actions) == self.at:
            self.then()
        return super().step(action)


class World:
    """A collector with all that it talks to."""

    def __init__(self, fake, context, loopback):
        self.fake, self.context, self.loopback = fake, context, loopback
        self.stop = threading.Event()
        self.learner: Any = None
        self.memory: Any = None
        self.receiver: Any = None
        self.track: Any = None

    def collect(
        self, *overrides, steps=10, then=None, of_memory=None, welcome=None, configure=True,
        options=None, **of_learner,
    ):  # fmt: skip
        """Run it until its environment has made some steps; give its result."""
        config = configured(*overrides)
        self.receiver = make_receiver(self.context, self.loopback, 100)
        endpoint = str(self.receiver.address)
        says = msgspec.structs.replace(WELCOME, data_endpoint=endpoint)
        self.memory = self.fake(**{"Hello": [says], **(of_memory or {})})
        tells = {"config": to_dict(config), "memory": str(self.memory.address), **(welcome or {})}
        says = msgspec.structs.replace(WELCOME, **tells)
        prepared = {"Hello": [says], "WeightsRequest": [weights()], **of_learner}
        self.learner = self.fake(**prepared)
        self.track = Track(steps, then or self.stop.set)
        with Collector(
            config if configure else None,
            learner=str(self.learner.address),
            environment=lambda: self.track,
            context=self.context,
            stop=self.stop,
            **{"name": "c-0", **(options or {})},
        ) as role:
            return role.run()

    def end_by(self, who, answer):
        """Let a server answer something else to pings, and wait for what comes of it."""
        server = self.learner if who == "learner" else self.memory
        server.add("Ping", answer)
        assert self.stop.wait(DEADLINE_S), "nothing stopped the collector"

    def blocks(self, count):
        """Give what came to the memory: headers and blocks."""
        found = []
        for _ in range(count):
            message = codec.decode(receive_block(self.receiver))
            block = block_payload.read_block(message, SPEC)
            found.append((codec.expect(message, BlockHeader), block))
        assert self.receiver.receive(copy=True) is None
        return found

    def told(self, server):
        """Give the numbers of the goodbye that a server heard last."""
        goodbye = server.heard[-1]
        assert isinstance(goodbye, Goodbye)
        return CollectorStatistics.read(goodbye.statistics)


@pytest.fixture
def world(fake, context, loopback):
    return World(fake, context, loopback)


# --- what it collects -----------------------------------------------------------------------------


def test_all_that_happened_until_it_was_stopped_is_sent_and_counted(world):
    result = world.collect(*GREEDY, steps=10)
    assert result == CollectorResult(
        environment_steps=10, episodes=2, blocks_sent=3, transitions_sent=10, transitions_unsent=0
    )
    (hello,) = (header for header in world.memory.heard if isinstance(header, Hello))
    places = []
    for number, (header, block) in enumerate(world.blocks(3)):
        assert (header.session, header.sequence) == (hello.session, number)
        assert header.origin == SPEC.origin("r")
        assert header.environment_steps == (4, 8, 10)[number]
        assert header.episodes == (1, 2, 2)[number]
        assert (block.records["action"] == 1).all()
        assert (block.records["weight_version"] == 7).all()
        places += block.frames[block.records["observation"][:, 0]].argmax(1).tolist()
    assert places == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]


def test_it_introduces_itself_to_both_and_says_goodbye_with_its_numbers(world):
    world.collect(*GREEDY, steps=10)
    sessions = set()
    for server in (world.learner, world.memory):
        hello = server.heard[0]
        assert (hello.role, hello.name, hello.spec) == ("collector", "c-0", Spec.of(SPEC))
        told = world.told(server)
        assert (told.environment_steps, told.episodes) == (10, 2)
        assert (told.blocks_sent, told.transitions_sent, told.blocks_refused) == (3, 10, 0)
        assert (told.episode_return_mean, told.epsilon, told.asking_s) == (1.0, 0.0, 0.0)
        sessions |= {header.session for header in server.heard if isinstance(header, Hello | Ping)}
    assert len(sessions) == 1


def test_a_step_that_does_not_come_back_is_told_while_it_lasts(world, until):
    def idle_s(server):
        pings = [header for header in list(server.heard) if isinstance(header, Ping)]
        return CollectorStatistics.read(pings[-1].statistics).idle_s if pings else 0.0

    def hang():
        until(lambda: idle_s(world.learner) > 0.1)
        until(lambda: idle_s(world.memory) > 0.1)
        world.stop.set()

    world.collect(*GREEDY, steps=10, then=hang)
    assert world.told(world.learner).environment_steps == 10


def test_without_an_episode_there_is_no_mean_return(world):
    world.collect(*GREEDY, steps=3)
    assert world.told(world.learner).episode_return_mean is None


def test_without_a_configuration_it_takes_the_learners(world):
    assert world.collect(*GREEDY, steps=4, configure=False).transitions_sent == 4
    first, second = (header for header in world.learner.heard if isinstance(header, Hello))
    assert (first.capabilities[0], first.versions) == ("configuration", (4, 4))
    assert "configuration" not in second.capabilities
    assert len(world.blocks(1)) == 1


def test_a_remote_policy_has_its_actions_from_the_learner(world):
    left = bytes(codec.encode(Actions(count=1, weight_version=3), (np.zeros(1, np.int64),)))
    world.collect(*GREEDY, "collector.policy=remote", steps=4, ActionRequest=[left])
    assert world.track.actions == [0] * 4
    assert (world.learner.count(ActionRequest), world.learner.count(WeightsRequest)) == (4, 0)
    ((_, block),) = world.blocks(1)
    assert block.records["weight_version"].tolist() == [3] * 4


def test_a_local_one_asks_for_weights_once(world):
    world.collect(steps=6)
    assert (world.learner.count(ActionRequest), world.learner.count(WeightsRequest)) == (0, 1)


def test_frames_are_compressed_as_configured(world):
    pytest.importorskip("lz4")
    world.collect("collector.compression=lz4", steps=4)
    ((header, _),) = world.blocks(1)
    assert header.compression == "lz4"


def test_a_compression_that_is_not_installed_is_told_before_environments_are_made(monkeypatch):
    def check(compression):
        raise ConfigError(f"{compression} is not installed")

    def environment():
        raise AssertionError("too early")

    monkeypatch.setattr("zdqn.roles.collector.check_compression", check)
    with pytest.raises(ConfigError, match="zstd is not installed"):
        Collector(
            configured("collector.compression=zstd"),
            learner="tcp://127.0.0.1:9",
            environment=environment,
        )


# --- how it explores ------------------------------------------------------------------------------

DECAY = (
    "exploration.epsilon_initial=1", "exploration.epsilon_final=0",
    "exploration.epsilon_decay_environment_steps=1000",
)  # fmt: skip


def test_epsilon_follows_the_steps_that_come_with_the_weights(world):
    world.collect(*DECAY, steps=1, WeightsRequest=[weights(steps=500)])
    assert world.told(world.learner).epsilon == 0.5


def test_before_its_first_step_a_collector_has_no_epsilon_to_tell(world):
    world.collect(*DECAY, WeightsRequest=[weights(stopping=True)])
    told = world.told(world.learner)
    assert (told.environment_steps, told.epsilon) == (0, None)


def test_epsilon_counts_its_own_steps_on(world):
    world.collect(*DECAY, steps=11, WeightsRequest=[weights(steps=500)])
    assert world.told(world.learner).epsilon == 0.49  # the last action was chosen after ten


def test_epsilon_follows_what_the_learner_answers_to_pings(world, until):
    pong = msgspec.structs.replace(PONG, environment_steps=800, collectors=1)

    def hear():
        pings = world.learner.count(Ping)
        world.learner.add("Ping", pong)  # the second from now on; the third says that it came
        until(lambda: world.learner.count(Ping) >= pings + 3)
        world.track.at, world.track.then = 2, world.stop.set

    world.collect(*DECAY, steps=1, then=hear, WeightsRequest=[weights(steps=500)])
    assert world.told(world.learner).epsilon == 0.2


@pytest.mark.parametrize("index", [0, 2])
def test_its_place_among_the_collectors_is_its_rung(world, index):
    ladder = ("exploration.kind=ladder", "launch.collectors=3")
    world.collect(*ladder, steps=1, welcome={"index": index})
    section = configured(*ladder).exploration
    rungs = ladder_epsilons(3, base=section.ladder_base, exponent=section.ladder_exponent)
    assert world.told(world.learner).epsilon == round(rungs[index], 4)


def test_seed_and_place_decide_what_happens(fake, context, loopback):
    def play(seed, index):
        world = World(fake, context, loopback)
        world.collect(*DECAY, steps=40, welcome={"seed": seed, "index": index})
        return world.track.seeds[0], world.track.actions

    first = play(1, 0)
    assert first == play(1, 0)
    for other in (play(2, 0), play(1, 1)):
        assert other[0] != first[0]
        assert other[1] != first[1]


# --- how it ends ----------------------------------------------------------------------------------


def test_the_end_of_the_run_is_the_end_and_what_nobody_waits_for_is_not_sent(world):
    result = world.collect(*GREEDY, steps=7, then=lambda: world.end_by("learner", ENDING))
    assert result == CollectorResult(
        environment_steps=7, episodes=1, blocks_sent=1, transitions_sent=4, transitions_unsent=3
    )


def test_weights_that_say_that_training_is_over_end_it_before_a_step(world):
    result = world.collect(steps=1, WeightsRequest=[weights(stopping=True)])
    assert result == NOTHING
    assert world.track.actions == []


def test_actions_that_do_not_come_any_more_end_it(world):
    over = bytes(codec.encode(OVER))
    result = world.collect(*GREEDY, "collector.policy=remote", ActionRequest=[over])
    assert result == NOTHING


def test_a_run_that_is_over_is_left_at_once(world):
    assert world.collect(Hello=[OVER]) == NOTHING
    assert world.memory.heard == []


def test_a_memory_that_is_over_leaves_nothing_to_do(world):
    assert world.collect(of_memory={"Hello": [OVER]}) == NOTHING
    assert world.learner.count(WeightsRequest) == 0
    assert world.learner.count(Goodbye) == 1


def test_a_memory_that_refuses_ends_it_in_its_words_and_the_learner_is_told(world):
    with pytest.raises(MismatchError, match="another run"):
        world.collect(of_memory={"Hello": [REFUSED]})
    assert world.learner.count(Goodbye) == 1


@pytest.mark.parametrize("who", ["learner", "memory"])
def test_one_that_refuses_later_ends_it_too(world, who):
    with pytest.raises(MismatchError, match=rf"(?i)the {who} at .*another run"):
        world.collect(steps=3, then=lambda: world.end_by(who, REFUSED))
    assert len(world.track.actions) == 3


def test_an_environment_that_raises_ends_it_with_its_name_and_goodbyes(world):
    def fail():
        raise ZeroDivisionError("the motor is off")

    with pytest.raises(EnvironmentFailedError, match=r"c-0: .*the motor is off"):
        world.collect(steps=3, then=fail)
    assert world.told(world.memory).environment_steps == 2
    assert world.told(world.learner).environment_steps == 2


@pytest.fixture
def closed(monkeypatch):
    """Notes with what policies and senders are closed."""
    noted: list[object] = []
    for kind in (LocalPolicy, TransitionSender):

        def close(self, *linger, kind=kind, really=kind.close):
            noted.append((kind, *linger))
            really(self, *linger)

        monkeypatch.setattr(kind, "close", close)
    return noted


def test_if_it_leaves_a_run_that_goes_on_its_last_blocks_still_go(world, closed):
    world.collect()
    assert closed == [(TransitionSender, None), (LocalPolicy,)]


def test_if_the_run_is_over_nobody_waits_for_them(world, closed):
    world.collect(steps=3, then=lambda: world.end_by("learner", ENDING))
    assert closed == [(TransitionSender, 0), (LocalPolicy,)]


def test_nor_if_the_weights_said_so(world, closed):
    world.collect(WeightsRequest=[weights(stopping=True)])
    assert closed == [(TransitionSender, 0), (LocalPolicy,)]


# --- blocks that the memory refuses ---------------------------------------------------------------


def test_blocks_that_the_memory_has_refused_are_said_and_told(world, until, caplog):
    def hear():
        until(lambda: world.memory.count(Ping) >= 2)
        world.stop.set()

    with caplog.at_level(logging.WARNING, "zdqn.collector"):
        world.collect(steps=1, then=hear, of_memory={"Ping": [refusing(2, "of another spec")]})
    said = "the memory has refused 2 blocks of this collector so far: of another spec"
    assert said in [record.getMessage() for record in caplog.records]
    assert world.told(world.learner).blocks_refused == 2


def test_a_memory_that_takes_none_of_its_blocks_ends_it(world):
    pongs = [refusing(count, "of another spec") for count in range(1, 9)]
    with pytest.raises(MismatchError, match=r"refuses all .* of another spec"):
        world.collect(steps=1, then=world.stop.wait, of_memory={"Ping": pongs})
    assert world.memory.count(Ping) >= PINGS_IN_VAIN


# --- where the memory is --------------------------------------------------------------------------


def test_a_memory_of_ones_own_choice_is_joined_in_place_of_the_learners(world, fake):
    other = fake(Hello=[OVER])
    assert world.collect(options={"memory": str(other.address)}) == NOTHING
    assert (other.count(Hello), world.memory.heard) == (1, [])


@pytest.mark.parametrize("address", ["somewhere", "tcp://no.such.host.invalid:5"])
def test_an_address_that_cannot_be_used_is_refused(address):
    with pytest.raises(ConfigError, match="--memory"):
        Collector(None, learner="tcp://127.0.0.1:9", memory=address)


def test_a_learner_that_tells_no_usable_address_of_the_memory_is_named(world):
    with pytest.raises(ConfigError, match=r'the memory\'s address from the learner is "nowhere"'):
        world.collect(welcome={"memory": "nowhere"})
    assert world.learner.count(Goodbye) == 1


# --- who is told ----------------------------------------------------------------------------------


def test_functions_are_told_of_episodes_and_weights(world):
    episodes: list[EpisodeStatistics] = []
    versions: list[WeightVersion] = []
    world.collect(
        *GREEDY, steps=9, options={"on_episode": episodes.append, "on_weights": versions.append}
    )
    assert episodes == [EpisodeStatistics(1.0, 4)] * 2
    assert versions == [WeightVersion.unpack(7)]


@pytest.mark.parametrize("which", ["on_episode", "on_weights"])
def test_what_one_of_them_raises_ends_it_in_its_name(world, which):
    def fail(told):
        raise ZeroDivisionError("a light")

    with pytest.raises(CallbackFailedError, match=f"given as {which} raised ZeroDivisionError"):
        world.collect(*GREEDY, steps=9, options={which: fail})
    assert world.learner.count(Goodbye) == 1
