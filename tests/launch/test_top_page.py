"""What `zdqn top` shows, as lines of text."""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.launch.test_screen import EVIL, MOMENTS
from tests.launch.views import collector, evaluator, starting, training
from zdqn.launch.lines import ASCII, text_of, width_of
from zdqn.launch.run_view import RunView
from zdqn.launch.screen import LEAST_WIDTH
from zdqn.launch.top_page import draw_top
from zdqn.records.run_history import History
from zdqn.wire.status import MemoryStatus


def drawn(view, width=80, **how):
    return [text_of(line).rstrip() for line in draw_top(view, width, **how)]


def told(view: RunView, **progress) -> RunView:
    assert view.learner is not None
    values = msgspec.structs.replace(view.learner.progress, **progress)
    return replace(view, learner=msgspec.structs.replace(view.learner, progress=values))


def line_of(lines, name):
    (line,) = [line for line in lines if line.startswith(f"{name} ")]
    return line


def test_it_shows_how_far_how_well_and_who_limits_it():
    lines = drawn(training())
    assert lines[0].startswith("CartPole-v1  training  42 s")
    assert "18,304 of 500,000 steps" in lines[1]
    assert any(line.startswith("return  187.2") for line in lines)
    assert any(line.startswith("evaluation  201") for line in lines)
    assert any(line.startswith("memory ") and "18,300 of 50,000" in line for line in lines)
    assert any("learner-bound" in line for line in lines)
    assert any(line.startswith("collector-0") for line in lines)


def test_losses_limiter_blocks_and_queues():
    memory = MemoryStatus(size=9, samples_per_insert=31.87, reading=False, waiting_requests=2)
    view = replace(training(collector(0, unacknowledged=3), collector(1)), memory=memory)
    view = told(
        view, td_error_mean=0.5, q_mean=35.25, gradient_norm=3.0, blocks_sent=1_234,
        blocks_in_flight=3, blocks_lost=1, steps_ahead=96, unevaluated=2,
    ).with_rates({"holding back": 0.92})  # fmt: skip
    lines = drawn(view, 120)
    assert line_of(lines, "updates") == (
        "updates     loss 0.0123, TD error 0.5, Q 35.25, gradient norm 3, data 12.5 versions old"
    )
    assert line_of(lines, "limiter") == (
        "limiter     31.9 samples an insert, holds collectors back now, held back 92 % of the time"
    )
    assert line_of(lines, "blocks") == (
        "blocks      1,234 blocks sent, 3 on their way, 1 lost, 0 refused"
    )
    assert line_of(lines, "queues") == (
        "queues      96 steps ahead of the memory, 2 snapshots to score, 3 blocks unacknowledged, "
        "2 sample requests wait"
    )


def test_members_have_their_hosts():
    rows = (collector(0, host="10.0.0.7"), evaluator(host="10.0.0.8"))
    lines = drawn(training(*rows), 120)
    assert any(line.startswith("collector-0") and line.endswith("10.0.0.7") for line in lines)
    assert any(line.startswith("evaluator-0") and line.endswith("10.0.0.8") for line in lines)


def test_a_learner_that_is_away_is_said_to_be_for_how_long():
    lines = drawn(replace(training(), silent_s=12.0), in_vain=("learner",))
    assert "the learner has not answered for 12 s; what follows is from before" in lines
    lines = drawn(replace(training(), silent_s=12.0), in_vain=("learner", "memory"))
    assert "neither learner nor memory has answered for 12 s; what follows is from before" in lines
    assert not [line for line in drawn(training()) if "has not answered" in line]


def test_before_the_learner_has_ever_answered_the_memory_is_shown():
    lines = drawn(starting(memory=MemoryStatus(size=12_345)), in_vain=("learner",))
    assert lines[0] == "the learner does not answer"
    assert any("12,345 transitions" in line for line in lines)


@pytest.mark.parametrize(("width", "beside"), [(80, False), (140, True)])
def test_two_curves_are_beside_each_other_where_there_is_room(width, beside):
    lines = drawn(training(), width, height=70)
    assert any("return  " in line and "evaluation  " in line for line in lines) == beside
    assert sum("█" in line for line in lines) >= 3


def test_curves_without_a_past_leave_no_empty_lines():
    lines = drawn(replace(training(), history=History()), height=70)
    at = [number for number, line in enumerate(lines) if line.startswith(("return", "evaluation"))]
    assert at == [at[0], at[0] + 1]
    assert "187.2" in lines[at[0]]


def test_curves_become_a_line_each_where_the_terminal_is_low():
    lines = drawn(training(), height=24)
    (curve,) = [line for line in lines if line.startswith("return ")]
    assert "█" in curve
    assert len(lines) <= 24


def test_training_in_one_process_has_no_queues():
    view = training()
    view = replace(view, plan=replace(view.plan, one_process=True), members=())
    lines = drawn(view)
    assert any(line.startswith("acting ") for line in lines)
    assert not [line for line in lines if line.startswith("limiter")]


@settings(max_examples=150, deadline=None)
@given(view=st.sampled_from(MOMENTS), width=st.integers(1, 200), height=st.integers(2, 60))
def test_no_line_is_wider_and_no_page_higher_than_it_may_be(view, width, height):
    for in_vain in ((), ("learner",)):
        lines = drawn(view, width, height=height, in_vain=in_vain)
        assert max(map(width_of, lines)) <= max(width, LEAST_WIDTH)
        assert len(lines) <= height
    assert all(line.isascii() for line in drawn(view, width, glyphs=ASCII))


def test_names_do_not_steer_the_terminal():
    view = training(collector(0, name=EVIL, host=EVIL), evaluator(name=EVIL, doing=EVIL))
    assert all(line.isprintable() for line in drawn(view, 120))
