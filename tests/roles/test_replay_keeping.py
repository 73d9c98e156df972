"""A memory whose replay is on disk: killed under load, started again, and asked what it has."""

import logging
import os
import re
from functools import partial

import msgspec
import numpy as np
import pytest

from tests.roles.conftest import DEADLINE_S, eventually
from tests.roles.kept_memories import (
    MASKED,
    SPEC,
    STACKED,
    Client,
    ask_of,
    check,
    fill,
    keeper,
    start,
    stored,
)
from zdqn.errors import ConfigError, FileError, MismatchError, RunDirectoryTakenError
from zdqn.wire.addresses import parse_address
from zdqn.wire.node import Node
from zdqn.wire.protocol import Hello, Spec
from zdqn.wire.remote_control import fetch_status

__all__ = ["keeper", "start"]


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
def test_killed_under_load_it_comes_back_with_what_it_had_and_nothing_torn(start, spec, kind):
    memory = start(f"replay.kind={kind}", "replay.sync_period_s=0.05")
    sequence = transitions = 0
    for blocks in (5, 130, 400):
        with Node() as node:
            client = Client(node, memory.endpoint, spec)
            client.sequence, client.transitions = sequence, transitions
            client.push(blocks // 2)
            client.sample()
            client.push(blocks - blocks // 2)
            memory.kill()  # while it reads
            sent, numbers = client.sequence, client.transitions
            client.close()
        memory = start(f"replay.kind={kind}", "replay.sync_period_s=0.05")
        with Node() as node:
            client = Client(node, memory.endpoint, spec)
            status = fetch_status(memory.endpoint, DEADLINE_S)
            assert status["size"] == memory.came_back_with() > 0
            assert status["blocks"] <= sent
            check(client.sample(), spec, numbers)
            # all of it once more: what is stored is known
            client.push(sent)
            status = eventually(partial(stored, memory.endpoint, numbers), "the rest is stored")
            assert status["blocks"] == sent
            check(client.sample(), spec, numbers)
            sequence, transitions = client.sequence, client.transitions
            client.close()


@pytest.mark.parametrize("kind", ["uniform", "prioritized"])
def test_after_an_orderly_end_it_draws_what_it_would_have_drawn_without(keeper, tmp_path, kind):
    def draw(memory):
        with Node() as node:
            client = Client(node, memory.role.endpoints["samples"], SPEC)
            batch = client.sample()
            client.close()
        return batch

    def draw_twice(path, storage, end):
        settings = (f"replay.kind={kind}", f"replay.path={path}", f"replay.storage={storage}")
        memory = keeper(*settings)
        fill(memory)
        first = draw(memory)
        if end:
            memory.stop()
            memory = keeper(*settings)
        return first, draw(memory)

    wished = draw_twice("", "ram", end=False)
    for end in (False, True):
        drawn = draw_twice(tmp_path / f"ended-{end}", "disk", end=end)
        for one, other in zip(drawn, wished, strict=True):
            for part in ("keys", "probabilities", "rewards", "observations"):
                assert np.array_equal(getattr(one, part), getattr(other, part))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ("replay.capacity=301", "replay.capacity: there 300, here 301"),
        ("algorithm.n_step=2", "algorithm.n_step: there 1, here 2"),
        ("algorithm.reward_clip=2", "algorithm.reward_clip: there None, here 2.0"),
        ("environment.frame_stack=2", "environment.frame_stack: there 1, here 2"),
        ("replay.kind=prioritized", "replay.kind: there 'uniform', here 'prioritized'"),
    ],
)
def test_a_replay_of_another_configuration_is_refused_with_the_way_out(keeper, settings, named):
    memory = keeper()
    fill(memory)
    memory.stop()
    with pytest.raises(ConfigError, match=re.escape(named) + ".*replay.path, or remove"):
        keeper(settings)


def test_two_memories_do_not_share_a_folder(keeper):
    keeper()
    with pytest.raises(RunDirectoryTakenError, match=r"in use by .*replay\.path"):
        keeper()


def test_a_damaged_replay_is_refused_and_named(keeper, tmp_path):
    memory = keeper()
    fill(memory)
    memory.stop()
    frames = tmp_path / "replay" / "frames.array"
    os.truncate(frames, frames.stat().st_size // 2)
    with pytest.raises(FileError, match=r"replay cannot be gone on with: frames\.array has not"):
        keeper()


def memory_address(memory):
    return parse_address(memory.role.endpoints["samples"], parameter="test")


def test_a_learner_of_another_run_is_told_where_the_old_replay_is(keeper, tmp_path):
    memory = keeper()
    fill(memory)
    with Node() as node:
        learner = node.client(memory_address(memory), "memory")
        hello = Hello(
            role="learner", name="a learner", session=7, spec=Spec.of(SPEC), run_id="one",
            learner_epoch=1,
        )  # fmt: skip
        ask_of(learner, hello)
        memory.stop()
        memory = keeper()
        learner.close()
        learner = node.client(memory_address(memory), "memory")
        other = msgspec.structs.replace(hello, run_id="two", session=8)
        with pytest.raises(MismatchError, match=f"belongs to run one.*without {tmp_path}/replay"):
            ask_of(learner, other)
        ask_of(learner, hello)
        learner.close()


def test_a_period_of_0_never_waits_for_the_disk(keeper, tmp_path, monkeypatch):
    synced: list[int] = []
    monkeypatch.setattr("zdqn.records.replay_files.os.fdatasync", synced.append)
    memory = keeper("replay.sync_period_s=0")
    fill(memory)
    begun = len(synced)  # with the first state
    fetch_status(memory.role.endpoints["samples"], DEADLINE_S)
    assert len(synced) == begun
    memory.stop()
    assert len(synced) > begun
    after = len(synced)
    memory = keeper("replay.sync_period_s=0.01")
    eventually(lambda: len(synced) > after, "it syncs")


def test_a_disk_that_fails_later_is_told_and_the_memory_goes_on(keeper, monkeypatch, caplog):
    memory = keeper("replay.sync_period_s=0.01")
    fill(memory)

    def fail(_descriptor):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("zdqn.records.replay_files.os.fdatasync", fail)
    with caplog.at_level(logging.WARNING):
        eventually(lambda: "did not reach the disk: Input/output error" in caplog.text, "it says")
    assert fetch_status(memory.role.endpoints["samples"], DEADLINE_S)["size"] > 0
