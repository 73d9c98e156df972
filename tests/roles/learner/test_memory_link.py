"""A learner's end of the memory link, against a memory that gives prepared answers."""

import threading

import msgspec
import pytest

from tests.roles.conftest import quick_config
from tests.wire.fake_server import PONG, WELCOME
from zdqn.config import shared_values
from zdqn.data import EnvironmentSpec
from zdqn.errors import FencedError, MismatchError
from zdqn.records.block_accounts import Told
from zdqn.roles.learner import memory_link
from zdqn.roles.learner.memory_link import MemoryLink
from zdqn.wire import membership
from zdqn.wire.memory_messages import AccountsRequest, SessionBlocks
from zdqn.wire.node import Node
from zdqn.wire.payloads import encode_accounts
from zdqn.wire.protocol import (
    Acknowledged,
    ErrorReply,
    Goodbye,
    Hello,
    Ping,
    Refusal,
    Spec,
    Status,
    StatusRequest,
    Stop,
)
from zdqn.wire.releases import tell_release
from zdqn.wire.status import MemoryStatistics

SPEC = EnvironmentSpec((4,), "float32", 2)
CONFIG = quick_config("links.ping_period_s=0.01")
WAIT_S = 60.0
FENCED = ErrorReply(code=Refusal.FENCED, message="a newer learner (epoch 2) has taken over")


class Learner:
    """What a link asks of the learner that it belongs to."""

    def __init__(self):
        self.spec = None
        self.updates = 3
        self.stop = threading.Event()

    def statistics(self):
        return {"phase": "training", "updates": self.updates}


@pytest.fixture
def learner():
    return Learner()


@pytest.fixture
def impatient(monkeypatch):
    """A memory that is silent is not waited for long."""
    monkeypatch.setattr(memory_link, "_LAST_WORD_S", 1.0)
    monkeypatch.setattr(memory_link, "_BUSY_S", 0.0)


@pytest.fixture
def link(context, fake, learner, monkeypatch):
    """Makes the learner's link to a memory; it is closed when the test is over."""
    for name in ("_REQUEST_TIMEOUT_S", "_GOODBYE_TIMEOUT_S"):
        monkeypatch.setattr(membership, name, WAIT_S)
    monkeypatch.setattr(memory_link, "_LAST_WORD_S", WAIT_S)
    made = []

    def make(address):
        link = MemoryLink(
            Node(context),
            address,
            config=CONFIG,
            session=7,
            run_id="r",
            learner_epoch=1,
            spec=lambda: learner.spec,
            statistics=learner.statistics,
            stop=learner.stop,
        )
        made.append(link)
        return link

    yield make
    for one in made:
        one.close()


# --- membership -----------------------------------------------------------------------------------


def test_it_joins_as_the_learner_pings_with_its_numbers_and_leaves_once(fake, link, learner, until):
    memory = fake()
    joined = link(memory.address)
    assert joined.address == memory.address
    joined.join()
    until(lambda: memory.count(Ping) >= 2)
    learner.updates = 60
    joined.close()
    joined.close()
    assert memory.heard[0] == Hello(
        role="learner",
        name="learner",
        session=7,
        shared=shared_values(CONFIG, "learner", "memory"),
        run_id="r",
        learner_epoch=1,
        to="memory",
        capabilities=tell_release(),
    )
    assert memory.heard[1] == Ping(session=7, statistics={"phase": "training", "updates": 3})
    goodbyes = [header for header in memory.heard if isinstance(header, Goodbye)]
    assert goodbyes == [Goodbye(session=7, statistics={"phase": "training", "updates": 60})]


def test_it_introduces_itself_again_with_what_it_knows_by_then(fake, link, learner):
    memory = fake()
    joined = link(memory.address)
    joined.join()
    learner.spec = SPEC
    joined.introduce()
    hellos = [header for header in memory.heard if isinstance(header, Hello)]
    assert [hello.spec for hello in hellos] == [None, Spec.of(SPEC)]


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (FENCED, FencedError, "epoch 2"),
        (ErrorReply(code=Refusal.MISMATCH, message="run b"), MismatchError, "refused: run b"),
    ],
)
def test_a_refusal_is_raised_by_joining(fake, link, answer, error, said):
    memory = fake(Hello=[answer])
    with pytest.raises(error, match=said):
        link(memory.address).join()


def test_a_later_refusal_stops_the_learner_and_can_be_raised(fake, link, learner):
    memory = fake(Ping=[PONG, FENCED])
    joined = link(memory.address)
    joined.join()
    joined.raise_failure()
    assert learner.stop.wait(WAIT_S)
    joined.close()
    with pytest.raises(FencedError, match="epoch 2"):
        joined.raise_failure()


# --- numbers --------------------------------------------------------------------------------------


def test_the_memorys_numbers_are_those_of_its_last_pong(fake, link, until):
    told = [
        msgspec.structs.replace(PONG, statistics={"size": size, "reading": False})
        for size in (5, 6)
    ]
    memory = fake(Ping=told)
    joined = link(memory.address)
    assert joined.statistics == MemoryStatistics()
    joined.join()
    until(lambda: joined.statistics.size == 6)
    assert joined.statistics == MemoryStatistics(size=6, reading=False)


# --- the end --------------------------------------------------------------------------------------


def test_a_memory_tells_its_last_numbers_and_is_ended(fake, link):
    memory = fake(
        StatusRequest=[Status(role="memory", values={"blocks_lost": 2, "clients": [], "x": 1})],
        Stop=[Acknowledged()],
    )
    assert link(memory.address).stop() == MemoryStatistics(blocks_lost=2)
    assert memory.heard == [StatusRequest(), AccountsRequest(), Stop(reason="the run is over")]


def test_what_became_of_blocks_is_asked_after_each_ping_and_told_once(fake, link, until):
    rows = [SessionBlocks(session=5, heard=9, received=7, refused=1)]
    memory = fake(
        AccountsRequest=[
            encode_accounts(9, []),
            encode_accounts(9, rows),
            encode_accounts(10, rows, continues=True),
        ]
    )
    joined = link(memory.address)
    assert joined.take_accounts() == {}
    joined.join()
    assert joined.take_accounts().keys() == {9}  # it has said welcome
    until(lambda: memory.count(AccountsRequest) > 3)
    told = joined.take_accounts()
    assert told[10] == Told(rows, continues=True)
    assert told.get(9) in (Told([]), Told(rows))
    until(lambda: joined.take_accounts() == {9: Told(), 10: Told(rows, continues=True)})


def test_of_a_memory_that_died_before_it_told_anything_the_welcome_is_known(
    fake, link, until, impatient
):
    memory = fake(
        Ping=[PONG, msgspec.structs.replace(PONG, session=20, known=False), None],
        Hello=[WELCOME, msgspec.structs.replace(WELCOME, session=21)],
        AccountsRequest=[None],
    )
    joined = link(memory.address)
    joined.join()
    until(lambda: len(joined.take_accounts()) == 3)
    assert joined.take_accounts() == {9: Told(), 20: Told(), 21: Told()}


def test_of_a_memory_that_is_silent_the_last_pong_counts_and_nothing_more_is_asked(
    fake, link, until, caplog, impatient
):
    memory = fake(
        Ping=[msgspec.structs.replace(PONG, statistics={"size": 6})], StatusRequest=[None]
    )
    joined = link(memory.address)
    joined.join()
    until(lambda: joined.statistics.size == 6)
    joined.close()
    assert joined.stop() == MemoryStatistics(size=6)
    assert memory.count(Stop) == 0
    assert caplog.messages == [f"the memory at {memory.address} gave no last numbers"]


def test_a_memory_that_was_never_there_gives_no_numbers(nobody, link, caplog, impatient):
    assert link(nobody).stop() == MemoryStatistics()
    assert "gave no last numbers" in caplog.text


def test_the_last_word_of_a_memory_that_is_busy_is_waited_for(fake, link, monkeypatch):
    monkeypatch.setattr(memory_link, "_LAST_WORD_S", 0.2)
    monkeypatch.setattr(memory_link, "_BUSY_S", WAIT_S)
    told = Status(role="memory", values={"samples": 9})
    rows = encode_accounts(9, [SessionBlocks(session=5, heard=9, received=7, refused=1)])
    memory = fake(StatusRequest=[None, told], AccountsRequest=[None, rows], Stop=[Acknowledged()])
    ended = link(memory.address)
    assert ended.stop() == MemoryStatistics(samples=9)
    assert ended.take_accounts().keys() == {9}


def test_a_memory_that_is_silent_when_it_is_to_end_has_told_its_numbers(fake, link, impatient):
    memory = fake(StatusRequest=[Status(role="memory", values={"samples": 9})], Stop=[None])
    assert link(memory.address).stop() == MemoryStatistics(samples=9)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (ErrorReply(code=Refusal.FENCED, message="epoch 2"), "refused: epoch 2"),
        (b"HTTP/1.1 400", "answered"),
        (Status(role="memory", values={"samples": "many"}), "samples = 'many'"),
        (PONG, "no last numbers"),
    ],
    ids=["refusal", "garbage", "numbers that are none", "another answer"],
)
def test_a_last_word_that_is_none_is_logged_and_ends_nothing(fake, link, caplog, answer, said):
    memory = fake(StatusRequest=[answer], Stop=[Acknowledged()])
    assert link(memory.address).stop() == MemoryStatistics()
    assert said in caplog.text
