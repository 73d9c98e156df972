"""A memory whose replay is in RAM, with snapshots of it."""

import re
import signal

import pytest

from tests.roles.conftest import DEADLINE_S, eventually
from tests.roles.kept_memories import (
    MASKED,
    SPEC,
    STACKED,
    Client,
    check,
    fill,
    keeper,
    start,
)
from zdqn.wire.memory_messages import AccountsRequest
from zdqn.wire.node import Node
from zdqn.wire.payloads import read_accounts
from zdqn.wire.remote_control import fetch_status

__all__ = ["keeper", "start"]

SNAPSHOTS = ("replay.storage=ram", "replay.snapshot_period_s=0.02")


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        (SPEC, "uniform"),
        (SPEC, "prioritized"),
        (STACKED, "uniform"),
        (STACKED, "prioritized"),
        (MASKED, "prioritized"),
    ],
)
@pytest.mark.keyless("one socket plays collector and learner to a real process")
def test_killed_while_snapshots_are_made_under_load_it_comes_back_with_the_newest(
    start, tmp_path, spec, kind
):
    settings = (*SNAPSHOTS, f"replay.kind={kind}")
    memory = start(*settings)
    snapshots = tmp_path / "run" / "replay"
    with Node() as node:
        client = Client(node, memory.endpoint, spec)
        client.push(30)
        eventually(lambda: any(snapshots.glob("snapshot-*/state.json")), "the first snapshot")
        for _ in range(40):
            client.push(20)
            client.sample(1)
        memory.process.send_signal(signal.SIGSTOP)
        client.push(20)  # which no snapshot has
        memory.kill()
        client.close()
    again = start(*settings)
    assert re.search(r"begun \d+\.\d s ago; (nothing|\d+ blocks with \d+ trans)", again.log)
    with Node() as node:
        client_again = Client(node, again.endpoint, spec)
        status = fetch_status(again.endpoint, DEADLINE_S)
        assert status["size"] == status["came_back_with"] == again.came_back_with() > 0
        assert status["transitions"] == status["blocks"] == 0  # it counts anew, as another memory
        check(client_again.sample(), spec, client.transitions)
        header, rows = read_accounts(client_again.ask(AccountsRequest()).message)
        assert header.continues
        assert 0 < rows[0].received == rows[0].heard < client.sequence
        client_again.close()


RARELY = ("replay.storage=ram", "replay.snapshot_period_s=1000")


def test_what_came_after_the_snapshot_is_counted_however_often_it_is_killed(start):
    """20 blocks, a snapshot, 20 blocks, killed, 3 blocks, killed."""
    memory = start(*RARELY)
    with Node() as node:
        client = Client(node, memory.endpoint, SPEC)
        client.push(20)
        held = client.transitions
        eventually(lambda: fetch_status(memory.endpoint, DEADLINE_S)["size"] == held, "stored")
        client.close()
    memory.process.terminate()
    assert memory.process.wait(DEADLINE_S) == 0
    lost_blocks = lost = 0
    for blocks in (20, 3):
        memory = start(*RARELY)
        assert memory.came_back_with() == held
        with Node() as node:
            client = Client(node, memory.endpoint, SPEC)
            client.push(blocks)
            lost_blocks += blocks
            lost += client.transitions

            def counted(endpoint=memory.endpoint, blocks=blocks):
                return fetch_status(endpoint, DEADLINE_S)["blocks"] == blocks

            eventually(counted, "all have come")
            client.close()
        memory.kill()
        again = start(*RARELY)
        assert f"{lost_blocks} blocks with {lost} transitions that came later are lost" in again.log
        status = fetch_status(again.endpoint, DEADLINE_S)
        assert (status["came_back_with"], status["came_back_without"]) == (held, lost)
        again.kill()


def test_an_orderly_end_makes_a_last_snapshot_with_everything(keeper):
    memory = keeper("replay.storage=ram", "replay.snapshot_period_s=1000")
    inserted = fill(memory)
    memory.stop()
    memory = keeper("replay.storage=ram", "replay.snapshot_period_s=1000")
    status = fetch_status(memory.role.endpoints["samples"], DEADLINE_S)
    assert status["size"] == inserted
    assert status["came_back_without"] == 0


def test_a_snapshot_that_finds_no_room_leaves_the_one_before(keeper, monkeypatch, caplog):
    memory = keeper(*SNAPSHOTS)
    inserted = fill(memory)
    memory.stop()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zdqn.records.replay_files.os.posix_fallocate", full)
    memory = keeper(*SNAPSHOTS)
    eventually(lambda: "There is no new snapshot" in caplog.text, "it says")
    memory.stop()
    assert "No space left on device" in caplog.text
    monkeypatch.undo()
    memory = keeper(*SNAPSHOTS)
    status = fetch_status(memory.role.endpoints["samples"], DEADLINE_S)
    assert status["size"] == inserted


@pytest.mark.parametrize("spec", [SPEC, STACKED])
def test_a_replay_that_is_copied_while_it_changes_comes_back_without_what_changed(
    keeper, monkeypatch, spec
):
    monkeypatch.setattr("zdqn.roles.replay_snapshots._AT_ONCE_BYTES", 0)
    settings = (*SNAPSHOTS, "replay.capacity=20_000")
    memory = keeper(*settings)
    with Node() as node:
        client = Client(node, memory.role.endpoints["samples"], spec)
        for _ in range(30):
            client.push(20)
            client.sample(1)
        client.close()
    monkeypatch.setattr(memory.role._keeping, "close", lambda: None)  # no last one
    memory.stop()
    memory.role._keeping._join()
    memory = keeper(*settings)
    with Node() as node:
        again = Client(node, memory.role.endpoints["samples"], spec)
        check(again.sample(), spec, client.transitions)
        again.close()
