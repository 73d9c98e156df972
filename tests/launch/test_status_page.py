"""What `zdqn status` shows, as a function of what was answered."""

import io
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from tests.launch.test_screen import EVIL, MOMENTS
from tests.launch.views import collector, evaluator, starting, training
from zdqn.launch.lines import ASCII, text_of, width_of
from zdqn.launch.screen import LEAST_WIDTH
from zdqn.launch.status_page import draw_status, raw_tables
from zdqn.wire.status import MemoryStatistics, MemoryStatus


def drawn(view, width=80, **how):
    return [text_of(line).rstrip() for line in draw_status(view, width, **how)]


def test_the_screen_and_a_row_for_each_collector_and_evaluator():
    rows = (collector(0), collector(1, state="gone", last_seen_s=75.0), evaluator())
    lines = drawn(training(*rows))
    assert lines[0].startswith("CartPole-v1  training  42 s")
    assert "collector     steps/s   steps   return   epsilon   held back   state" in lines
    assert "collector-0     1,501   9,000    187.2      0.04        82 %   living" in lines
    assert any(line.endswith("   gone for 1:15 min") for line in lines)
    assert lines[-2:] == [
        "evaluator     evaluations   state    does",
        "evaluator-0            14   living   waiting for a snapshot",
    ]


def test_states():
    rows = (
        collector(0, last_seen_s=3.4),
        collector(1, state="silent", last_seen_s=12.0),
        collector(2),
        collector(3, idle_s=43.0),
        collector(4, acknowledging_s=12.0),
        collector(5, acknowledging_s=9.0),
    )
    lines = drawn(training(*rows, rates={"steps of collector-2": 0.0}))
    assert [line.split("   ")[-1] for line in lines[-6:]] == [
        "silent for 3 s", "silent for 12 s", "stands still", "stalled for 43 s",
        "waits for acknowledgements for 12 s", "living",
    ]  # fmt: skip


def test_who_is_of_which_zdqn_is_said_where_there_are_several():
    members = [collector(index, zdqn="0.5.0") for index in range(6)]
    view = training(*members, collector(6), memory=MemoryStatus(zdqn="0.5.0"))
    assert not any("versions of zdqn" in line for line in drawn(view))
    gone = collector(7, zdqn="0.4.0", state="gone")
    view = training(*members, gone, memory=MemoryStatus(zdqn="0.5.0"))
    assert not any("versions of zdqn" in line for line in drawn(view))
    view = training(*members, collector(7, zdqn="0.4.0"), memory=MemoryStatus(zdqn="0.5.0"))
    first, second = drawn(view)[:2]
    assert first == "several versions of zdqn, of one protocol: 0.4.0: collector-7; 0.5.0: memory,"
    assert second == "collector-0, collector-1, collector-2 and 3 more"


def test_where_there_is_no_room_numbers_are_left_out_and_the_state_stays():
    lines = drawn(training(collector(0)), 40)
    assert lines[-2:] == [
        "collector     steps/s   steps   state", "collector-0     1,501   9,000   living"
    ]  # fmt: skip


def test_columns_of_which_nothing_is_known_are_left_out():
    row = {"role": "collector", "name": "collector-0", "state": "living"}
    lines = drawn(training(row, rates={}))
    assert lines[-2:] == ["collector     steps   state", "collector-0       0   living"]


def test_a_learner_that_does_not_answer():
    view = starting(memory=MemoryStatistics(size=12_345))
    assert drawn(view, in_vain=("learner",)) == [
        "the learner does not answer", "memory  ● 12,345 transitions"
    ]  # fmt: skip
    assert drawn(view) == ["memory  ● 12,345 transitions"]
    row: dict[str, int | float | str | bool] = {
        "role": "learner", "name": "learner", "last_seen_s": 12.3, "state": "silent",
        "phase": "training", "updates": 4_000,
    }  # fmt: skip
    of_memory = MemoryStatus(size=5, clients=[row])
    assert " ".join(drawn(starting(memory=of_memory), in_vain=("learner",))[:2]) == (
        "the learner does not answer; the memory heard of it 12 s ago; it said last: training, "
        "4,000 updates"
    )


def test_a_long_page_is_cut_and_that_is_said():
    view = training(*(collector(i) for i in range(80)))
    lines = drawn(view, height=30)
    assert len(lines) == 30
    assert lines[-1].startswith("... ")
    assert lines[-1].endswith(" lines more")


@settings(max_examples=150, deadline=None)
@given(view=st.sampled_from(MOMENTS), width=st.integers(1, 200), height=st.integers(2, 60))
def test_no_line_is_wider_than_it_may_be(view, width, height):
    lines = drawn(view, width, height=height)
    assert max(map(width_of, lines)) <= max(width, LEAST_WIDTH)
    assert len(lines) <= height
    assert all(line.isascii() for line in drawn(view, width, glyphs=ASCII))


def test_names_do_not_steer_the_terminal():
    view = training(collector(0, name=EVIL), evaluator(name=EVIL, doing=EVIL))
    assert all(line.isprintable() for line in drawn(view))


@pytest.mark.parametrize("evil", [EVIL, "[/]", "[link=x]"])
def test_raw_numbers_are_all_of_them_and_steer_nothing(evil):
    answers = {
        "memory": {
            "size": 12_345, "ratio": 31.25, "reading": False, evil: evil, "nothing": None,
            "clients": [{"name": evil, "steps": 7, "nested": {"deep": 1.0}}], "list": [1, 2],
        }
    }  # fmt: skip
    stream = io.StringIO()
    console = Console(file=stream, width=200, color_system=None)
    for table in raw_tables(answers):
        console.print(table)
    written = stream.getvalue()
    assert all(line.isprintable() for line in written.splitlines())
    for text in ("12,345", "31.25", "reading", "False", ".steps", ".nested.deep", "list.1"):
        assert text in written, text


def test_servers_that_anybody_can_join_are_warned_of():
    view = training()
    assert view.learner is not None
    assert not [line for line in drawn(view) if "without keys" in line]
    run = msgspec.structs.replace(view.learner.run, security="open")
    open_view = replace(view, learner=msgspec.structs.replace(view.learner, run=run))
    warning = "learner: open to the network without keys (--insecure)"
    assert drawn(open_view)[0] == warning
    assert drawn(replace(open_view, memory=MemoryStatus(security="open")))[0] == (
        f"memory and {warning}"
    )
    assert "memory: open" in drawn(replace(view, memory=MemoryStatus(security="open")))[0]
    keyed = replace(view, memory=MemoryStatus(security="keys"))
    assert not [line for line in drawn(keyed) if "without keys" in line]
