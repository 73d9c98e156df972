"""The memory role alone, attacked and overtaken; it goes on serving everybody else."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from tests.roles.conftest import DEADLINE_S, eventually, quick_config
from tests.wire.links import check_status_fits, fill_with_the_longest_words
from zdqn.config import shared_values
from zdqn.data import EnvironmentSpec
from zdqn.errors import AddressInUseError
from zdqn.roles.memory import Memory
from zdqn.stopping import StopEvent
from zdqn.wire import block_payload, codec
from zdqn.wire.addresses import parse_address
from zdqn.wire.held_port import HeldPort
from zdqn.wire.memory_messages import Batches, BlockHeader, NotReady, SampleRequest
from zdqn.wire.protocol import (
    Acknowledged,
    Delivery,
    ErrorReply,
    Goodbye,
    Hello,
    Ping,
    Pong,
    Refusal,
    Spec,
    StatusRequest,
    Stop,
    Welcome,
)
from zdqn.wire.request_sockets import Client, PipelinedClient
from zdqn.wire.sockets import Context
from zdqn.wire.transition_sockets import TransitionSender

SPEC = EnvironmentSpec((4,), "float32", 2)
CONFIG = quick_config("replay.samples_per_insert=0", "links.dead_after_s=300")


@pytest.fixture
def memory(system):
    return system.memory(CONFIG)


@pytest.fixture
def impatient(system):
    """A memory for which a client is soon dead."""
    return system.memory(CONFIG.replace("links.dead_after_s", 0.3))


@pytest.fixture
def context():
    with Context() as made:
        yield made


def connect(context, memory, kind=Client):
    return kind(context, parse_address(memory.role.endpoints["samples"], parameter="test"))


def ask(context, memory, header):
    with connect(context, memory) as client:
        body = client.request(codec.encode(header), timeout_s=DEADLINE_S)
    return codec.decode(body).header


def hello(session=1, role="collector", epoch=0, spec=SPEC):
    return Hello(
        role=role, name=f"{role} by hand", session=session, spec=Spec.of(spec),
        run_id="run" if role == "learner" else "", learner_epoch=epoch,
    )  # fmt: skip


def send(context, memory, make_block, *, blocks, sessions=(1,), spec=SPEC, origin=None):
    """Send blocks of 16 transitions, of each of these collectors in turn; gives the open sender."""
    address = parse_address(memory.role.endpoints["transitions"], parameter="test")
    sender = TransitionSender(context, address, high_water_mark=1000, buffer_bytes=16384)
    block = make_block(spec, 16)
    for number in range(blocks):
        header = BlockHeader(
            session=sessions[number % len(sessions)], sequence=number // len(sessions),
            origin=spec.digest if origin is None else origin, frames=len(block.frames),
            transitions=16, environment_steps=16 * (number + 1), episodes=0,
        )  # fmt: skip
        assert sender.send(block_payload.encode_block(header, block), lambda: False)
    return sender


def status(context, memory):
    return ask(context, memory, StatusRequest()).values


def fill(context, memory, make_block, transitions=64, spec=SPEC):
    sender = send(context, memory, make_block, blocks=transitions // 16, spec=spec)
    eventually(lambda: memory.role._broker.store.size == transitions, "blocks in the memory")
    sender.close()


def ping(session=1):
    return Ping(session=session, statistics={})


@pytest.mark.parametrize(
    ("role", "key", "theirs", "said"),
    [
        ("learner", "replay.kind", "prioritized", "here 'uniform', there 'prioritized'"),
        ("learner", "collector.block_transitions", 8, "here 16, there 8"),
        ("collector", "collector.block_transitions", 8, "here 16, there 8"),
    ],
)
def test_who_acts_on_another_value_is_refused_with_both_and_is_no_client(
    context, memory, role, key, theirs, said
):
    same = shared_values(CONFIG, role, "memory")
    other = shared_values(CONFIG.replace(key, theirs), role, "memory")
    answer = ask(context, memory, msgspec.structs.replace(hello(1, role), shared=other))
    assert answer.code is Refusal.MISMATCH
    assert f"{key}: {said}" in answer.message
    assert ask(context, memory, StatusRequest()).values["clients"] == []
    agreed = msgspec.structs.replace(hello(1, role), shared=same)
    assert isinstance(ask(context, memory, agreed), Welcome)


def test_a_memory_that_goes_away_does_not_say_that_the_run_is_over(context, system):
    stop = StopEvent()
    config = quick_config()
    with Memory(config, bind="tcp://127.0.0.1:0", stop=stop) as role:
        stop.set_for("SIGTERM")
        assert not role.is_over_for("learner")
        assert not role.is_over_for("collector")
        assert role.run().stop_reason == "SIGTERM"
    with Memory(config, bind="tcp://127.0.0.1:0") as role:
        role.stop("enough")
        assert role.is_over_for("learner")
        assert role.is_over_for("collector")
        assert role.run().stop_reason == "enough"  # nobody is there to be told


def test_a_memory_that_is_asked_to_stop_stays_until_its_clients_know(context, system):
    memory = system.memory(quick_config("links.ping_period_s=1000", "links.dead_after_s=3000"))
    for session, role in ((1, "collector"), (2, "learner")):
        ask(context, memory, hello(session, role, epoch=1))
    assert not ask(context, memory, ping()).stopping
    assert isinstance(ask(context, memory, Stop(reason="enough")), Acknowledged)
    for session in (1, 2):
        assert ask(context, memory, ping(session)).stopping
        assert ask(context, memory, hello(session + 10)).code is Refusal.STOPPING
        assert isinstance(
            ask(context, memory, Goodbye(session=session, statistics={})), Acknowledged
        )
    assert memory.result().stop_reason == "enough"


def test_a_memory_whose_second_port_was_taken_meanwhile_ends_and_says_so():
    config = CONFIG.replace("memory.bind", "tcp://127.0.0.1:0")
    with Memory(config) as role, Context() as context, ThreadPoolExecutor(1) as pool:
        running = pool.submit(role.run)
        address = parse_address(role.endpoints["transitions"], parameter="test")
        assert role._receiver._held is not None
        role._receiver._held.close()
        server = parse_address(role.endpoints["samples"], parameter="test")
        with HeldPort(address), Client(context, server) as client:
            body = client.request(codec.encode(hello()), timeout_s=DEADLINE_S)
            assert body is not None
            answer = codec.expect(codec.decode(body), ErrorReply)
            with pytest.raises(AddressInUseError, match=str(address)):
                running.result(DEADLINE_S)
        assert answer.code is Refusal.NOT_SERVING
        assert "the memory ends: Another process already listens" in answer.message


def test_a_memory_that_is_asked_to_stop_waits_for_no_client_for_ever(context, impatient):
    ask(context, impatient, hello())
    ask(context, impatient, Stop(reason="enough"))  # and the collector never says a word again
    assert impatient.result().stop_reason == "enough"


def test_a_signal_ends_the_wait_of_a_memory_that_was_asked_to_stop(context, system):
    memory = system.memory(quick_config("links.ping_period_s=1000", "links.dead_after_s=3000"))
    ask(context, memory, hello())
    ask(context, memory, Stop(reason="enough"))
    assert ask(context, memory, ping()).stopping
    memory.stop_event.set()
    assert memory.result().stop_reason == "enough"


@pytest.mark.parametrize(("frame_bytes", "copied"), [(2047, True), (2048, False)])
def test_only_small_blocks_are_copied_out_of_libzmq(
    context, memory, make_block, monkeypatch, frame_bytes, copied
):
    flags = set()
    receive = memory.role._receiver.receive

    def watch(*, copy):
        flags.add(copy)
        return receive(copy=copy)

    monkeypatch.setattr(memory.role._receiver, "receive", watch)
    spec = EnvironmentSpec((frame_bytes,), "uint8", 2)
    ask(context, memory, hello(spec=spec))
    fill(context, memory, make_block, spec=spec)
    assert flags == {copied}


def test_a_request_that_becomes_impossible_while_it_waits_is_refused(context, memory, make_block):
    pipeline = connect(context, memory, PipelinedClient)
    pipeline.send(codec.encode(SampleRequest(batch_size=8, wait_ms=60_000)))
    pipeline.send(codec.encode(SampleRequest(batch_size=2**30, wait_ms=60_000)))
    ask(context, memory, hello())  # now there is a spec, and the second is too large for it
    answer = codec.decode(pipeline.receive(DEADLINE_S * 1000)).header
    assert isinstance(answer, ErrorReply)
    fill(context, memory, make_block)
    assert isinstance(codec.decode(pipeline.receive(DEADLINE_S * 1000)).header, Batches)
    pipeline.close()


def test_a_patient_request_does_not_hold_up_others(context, memory):
    pipeline = connect(context, memory, PipelinedClient)
    pipeline.send(codec.encode(SampleRequest(batch_size=8, wait_ms=60_000)))
    answer = ask(context, memory, SampleRequest(batch_size=8, wait_ms=20))
    assert isinstance(answer, NotReady)
    pipeline.close()


def test_whose_blocks_are_refused_is_told_how_many_and_why_and_nobody_else_is(
    context, memory, make_block
):
    for session in (1, 2):
        ask(context, memory, hello(session))
    sender = send(context, memory, make_block, blocks=3, origin=7)
    eventually(lambda: status(context, memory)["blocks_refused"] == 3, "their refusal")
    told = ask(context, memory, ping(1)).delivery
    assert (told.stored, told.refused) == (-1, 3)
    assert "another run or environment" in told.reason
    nothing = Delivery(stored=-1, refused=0, reason="")
    assert ask(context, memory, ping(2)).delivery == nothing
    sender.close()


def test_once_a_learner_has_said_which_run_it_is_blocks_of_another_are_refused(
    context, memory, make_block
):
    ask(context, memory, hello())
    ask(context, memory, hello(2, "learner", epoch=1))
    senders = [
        send(context, memory, make_block, blocks=2, sessions=[session], origin=SPEC.origin(run))
        for session, run in ((1, "run"), (3, "another"))
    ]
    eventually(lambda: status(context, memory)["blocks_refused"] == 2, "a refusal")
    eventually(lambda: status(context, memory)["blocks"] == 2, "those of this run")
    told = ask(context, memory, ping(1)).delivery
    assert (told.stored, told.refused) == (1, 0)
    for sender in senders:
        sender.close()


@pytest.mark.parametrize("sessions", [[1], range(10**6, 10**6 + 600)])
def test_refused_blocks_do_not_flood_the_log_whoever_they_say_they_are_of(
    context, memory, make_block, caplog, sessions
):
    ask(context, memory, hello())
    sender = send(context, memory, make_block, blocks=600, sessions=sessions, origin=7)
    eventually(lambda: status(context, memory)["blocks_refused"] == 600, "their refusal")
    sender.close()
    lines = [record for record in caplog.records if "refused" in record.getMessage()]
    assert 1 <= len(lines) <= 3


def test_who_asks_without_end_keeps_no_blocks_waiting(memory, monkeypatch):
    """A round of answers has an end, after which blocks are read."""
    most = []
    monkeypatch.setattr(memory.role._desk, "serve", lambda _, count, _seconds: most.append(count))
    eventually(lambda: most, "a round")
    assert most[0] <= 256


def client_state(context, memory):
    return status(context, memory)["clients"][0]["state"]


def test_who_sends_blocks_and_no_pings_lives_while_another_dies(context, system, make_block):
    memory = system.memory(quick_config("replay.samples_per_insert=0", "links.dead_after_s=4"))
    for session in (1, 2):
        ask(context, memory, hello(session))
    sender = send(context, memory, make_block, blocks=0)
    block, states = make_block(SPEC, 16), []
    for number in itertools.count():
        header = BlockHeader(
            session=2, sequence=number, origin=SPEC.digest, frames=len(block.frames),
            transitions=16, environment_steps=16 * (number + 1), episodes=0,
        )  # fmt: skip
        assert sender.send(block_payload.encode_block(header, block), lambda: False)
        states = [client["state"] for client in status(context, memory)["clients"]]
        if states[0] == "gone":
            break
    assert states == ["gone", "living"]
    sender.close()


@pytest.mark.parametrize("sent", ["many", float("inf"), float("nan"), -5, 10**15, True])
def test_nonsense_statistics_of_a_peer_that_dies_are_refused_and_do_no_harm(
    context, impatient, sent
):
    memory = impatient
    ask(context, memory, hello())
    answer = ask(context, memory, Ping(session=1, statistics={"blocks_sent": sent}))
    assert isinstance(answer, ErrorReply)
    assert answer.code is Refusal.PROTOCOL
    assert "statistics" in answer.message or "blocks_sent" in answer.message
    eventually(lambda: client_state(context, memory) == "gone", "its death")
    assert isinstance(ask(context, memory, SampleRequest(batch_size=8)), NotReady)


def test_the_largest_numbers_of_a_peer_that_dies_do_no_harm(context, impatient):
    memory = impatient
    ask(context, memory, hello())
    ping = Ping(session=1, statistics={"blocks_sent": 2**48 - 1, "blocked_s": 1e12})
    assert isinstance(ask(context, memory, ping), Pong)
    eventually(lambda: client_state(context, memory) == "gone", "its death")
    assert isinstance(ask(context, memory, SampleRequest(batch_size=8)), NotReady)


@pytest.mark.parametrize("died", [False, True])
def test_nothing_is_lost_that_lies_unread_while_collectors_are_held_back(
    context, system, make_block, monkeypatch, died
):
    monkeypatch.setattr("zdqn.roles.known_senders._ARRIVED_AFTER_S", 0.0)
    memory = system.memory(quick_config("links.dead_after_s=0.3"))
    ask(context, memory, hello())
    sender = send(context, memory, make_block, blocks=40)  # far more than the ratio lets in
    eventually(
        lambda: (told := status(context, memory))["blocks"] and not told["reading"],
        "collectors to be held back",
    )
    ask(context, memory, Ping(session=1, statistics={"blocks_sent": 40}))
    if not died:
        ask(context, memory, Goodbye(session=1, statistics={"blocks_sent": 40}))
    eventually(lambda: client_state(context, memory) == "gone", "its departure")
    for _ in range(3):
        told = status(context, memory)
        assert (told["reading"], told["blocks_lost"]) == (False, 0)
    while status(context, memory)["blocks"] < 40:
        ask(context, memory, SampleRequest(batch_size=16))
    assert status(context, memory)["blocks_lost"] == 0
    sender.close()


def test_a_waiting_request_of_a_replaced_learner_is_refused(context, memory):
    ask(context, memory, hello(7, "learner", epoch=1))
    pipeline = connect(context, memory, PipelinedClient)
    pipeline.send(codec.encode(SampleRequest(batch_size=8, session=7, wait_ms=60_000)))
    eventually(lambda: ask(context, memory, StatusRequest()).values["waiting_requests"],
               "the request to wait")  # fmt: skip
    ask(context, memory, hello(8, "learner", epoch=2))
    answer = codec.decode(pipeline.receive(DEADLINE_S * 1000)).header
    assert isinstance(answer, ErrorReply)
    assert answer.code is Refusal.FENCED
    pipeline.close()


def test_a_status_is_answered_whatever_clients_tell_of_themselves():
    with Memory(quick_config(), bind="tcp://127.0.0.1:0") as role:
        role.admit(hello(2, "learner", epoch=1))
        fill_with_the_longest_words(role._desk)
        check_status_fits(role._desk)


def test_before_a_memory_knows_the_environment_blocks_wait_with_those_who_send_them(
    context, memory, make_block
):
    """Else libzmq would hold 64 messages of each connection, of 256 MiB each."""
    address = parse_address(memory.role.endpoints["transitions"], parameter="test")
    sender = TransitionSender(context, address, high_water_mark=4, buffer_bytes=16_384)
    block = make_block(SPEC, 16)
    for sequence in range(4):
        header = BlockHeader(
            session=1, sequence=sequence, origin=SPEC.digest, frames=len(block.frames),
            transitions=16, environment_steps=16 * (sequence + 1), episodes=0,
        )  # fmt: skip
        assert sender.send(block_payload.encode_block(header, block), lambda: True)
    assert not sender.send(b"one more", lambda: True), "the others have not left"
    ask(context, memory, hello())
    eventually(lambda: memory.role._broker.store.size == 64, "the blocks that waited")
    sender.close(0)
    assert memory.role._broker.intake.refused == 0


def test_a_memory_takes_no_message_that_is_far_larger_than_a_block(context, memory, make_block):
    ask(context, memory, hello())
    largest = block_payload.most_block_bytes(SPEC, transitions=16, frames=32)
    address = parse_address(memory.role.endpoints["transitions"], parameter="test")
    with TransitionSender(context, address, high_water_mark=8, buffer_bytes=16_384) as sender:
        assert sender.send(bytes(largest + 1), lambda: False)
    with TransitionSender(context, address, high_water_mark=8, buffer_bytes=16_384) as sender:
        assert sender.send(bytes(largest), lambda: False)
        eventually(lambda: memory.role._broker.intake.refused == 1, "a refusal in words")
    fill(context, memory, make_block)
    assert memory.role._broker.intake.refused == 1


def test_requests_get_no_more_time_of_a_round_than_blocks_take(monkeypatch):
    """Else a flood of pings keeps blocks from being read."""
    with Memory(quick_config(), bind="tcp://127.0.0.1:0") as role:
        rounds = []
        monkeypatch.setattr(role._desk, "serve", lambda _, most, most_s: rounds.append(most_s))
        monkeypatch.setattr(role._requests, "advance", rounds.append)
        for took_s in (0.0, 0.004, 0.0, 0.0001):

            def read(took_s=took_s):
                rounds.append("blocks")
                role._inserting_s += took_s
                return took_s > 0

            monkeypatch.setattr(role, "_read_blocks", read)
            role._serve_a_round()
    alone_s, many_s, few_s = (pytest.approx(s) for s in (0.00025, 0.004, 0.0001))
    assert rounds == [
        alone_s, "blocks", alone_s, alone_s, "blocks", many_s,
        many_s, "blocks", alone_s, alone_s, "blocks", few_s,
    ]  # fmt: skip


def test_a_ping_is_answered_though_another_client_asks_without_end(context, memory):
    ask(context, memory, hello(1))
    with connect(context, memory, PipelinedClient) as flood:
        body = codec.encode(ping(1))
        for _ in range(5_000):
            flood.send(body)
        assert ask(context, memory, ping(1)).known
