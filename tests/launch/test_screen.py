"""The screen of a run, as a function of what is known of it: at any width, at any moment."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.launch.views import LIMITS, PLAN, collector, evaluator, starting, status, training
from zdqn.launch.lines import ASCII, UNICODE, text_of, width_of
from zdqn.launch.run_view import RunPlan, RunView
from zdqn.launch.screen import LEAST_WIDTH, WIDEST, draw_screen
from zdqn.wire.status import LearnerStatus, LimitsStatus, MemoryStatistics


def drawn(view: RunView, width: int = 80, **how: Any) -> list[str]:
    return [text_of(line).rstrip() for line in draw_screen(view, width, **how)]


def test_at_the_start():
    assert drawn(starting()) == [
        "CartPole-v1  starting                                                 runs/first",
        "───────────────────────────────────────────────────────  0 %, 0 of 500,000 steps",
        "",
        "return                                  no episode yet",
        "evaluation                              none yet, goal 475",
        "",
        "learner            ○ starting",
        "memory             ○ starting",
        "0 of 2 collectors  ○ starting",
        "0 of 1 evaluator   ○ starting",
    ]


def test_while_torch_is_loaded_the_memory_shows_that_something_happens():
    view = starting(
        learner=status("loading torch", 1.0, environment_steps=0, updates=0, loss=None),
        memory=MemoryStatistics(size=640, capacity=50_000, environment_steps=640),
        watched_s=2.5,
    )
    lines = drawn(view)
    assert lines[0].startswith("CartPole-v1  starting: the learner is loading torch  2 s")
    assert "640 of 500,000 steps" in lines[1]
    assert "memory             ● 640 of the 1,000 transitions that learning needs" in lines


@pytest.mark.parametrize(("seconds", "text"), [(0.0, ""), (0.9, ""), (1.0, "  1 s")])
def test_the_first_second_of_a_phase_has_no_figure(seconds, text):
    view = starting(learner=status("loading torch", seconds), watched_s=seconds)
    head = drawn(view)[0].removesuffix("runs/first").rstrip()
    assert head == f"CartPole-v1  starting: the learner is loading torch{text}"


def test_in_the_middle():
    assert drawn(training()) == [
        "CartPole-v1  training  42 s                                           runs/first",
        "━─────────────────────────────────────  4 %, 18,304 of 500,000 steps, 3 min left",
        "",
        "return      ▁▁▁▁▁▁▁▂▂▂▂▂▃▃▃▃▄▄▅▅▅▆▆▇▇█  187.2, while exploring, from 20 to 187.2",
        "evaluation  ▂▁▅▇█▇                      201, best 230, goal 475",
        "",
        "after steps   evaluation   deviation   lowest   highest",
        "     13,000         57.5        11.5     28.7      68.9",
        "     14,000        167.2        33.4     83.6     200.6",
        "     15,000        204.5        40.9    102.2     245.4",
        "     16,000        230.0        46.0    115.0     276.0   best",
        "     17,000        201.0        40.2    100.5     241.2",
        "",
        "learner       ● 9,100 updates, 1,500/s, loss 0.0123, data 12.5 versions old",
        "memory        ● 18,300 of 50,000 transitions, each sampled 31.9 times",
        "2 collectors  ● 3,000 steps/s, epsilon 0.04, held back 86 % of the time",
        "1 evaluator   ● 14 evaluations, waiting for a snapshot",
        "",
        "learner-bound: it computes 95 % of the time; collectors are held back by",
        "samples_per_insert",
    ]


def test_at_the_end():
    ended = training(learner=status("scoring the best network again"))
    assert drawn(ended)[0].startswith("CartPole-v1  trained; has the best network scored again  42")
    gone = (collector(0, state="gone"), collector(1, state="gone"), evaluator())
    finishing = drawn(training(*gone, learner=status("finishing")))
    assert finishing[0].startswith("CartPole-v1  trained; ends the run")
    assert not any("gone" in line for line in finishing), "that is as it should be"


def test_ctrl_c_is_answered():
    lines = drawn(training(ending="SIGINT"))
    assert "stopping; again to end now" in lines[0]
    assert not any("left" in line for line in lines)
    asked = drawn(training(ending="the memory was asked to stop"))
    assert "stopping: the memory was asked to stop" in asked[0]
    assert "stopping  42 s" in drawn(training(ending="stopped"))[0]


def test_what_is_trained_has_no_time_left():
    assert "left" in drawn(training())[1]
    assert "left" not in drawn(training(learner=status("finishing")))[1]
    assert "left" not in drawn(training(silent_s=5.0))[1], "nobody knows"
    assert "left" not in drawn(training(learner=status(environment_steps=500_000)))[1]


def test_at_a_small_width_less_is_said_and_the_most_important_stays():
    lines = drawn(training(), 40)
    assert lines[0] == "CartPole-v1  training  42 s   runs/first"
    assert lines[1] == "4 %, 18,304 of 500,000 steps, 3 min left"
    assert "evaluation  201, best 230, goal 475" in lines
    assert "learner       ● 9,100 updates, 1,500/s" in lines
    assert "memory        ● 18,300 of 50,000 …" in lines


def test_no_wider_than_a_person_reads():
    assert max(map(width_of, drawn(training(), 500))) <= WIDEST


def test_the_table_gives_way_where_there_is_no_room():
    assert len(drawn(training(), height=16)) <= 16
    assert not any("after steps" in line for line in drawn(training(), height=14))
    assert drawn(training(), height=3) == [*drawn(training())[:2], drawn(training())[3]]


def test_ascii_where_nothing_else_can_be_written():
    lines = drawn(training(plan=replace(PLAN, environment="Käfer-v0")), glyphs=ASCII)
    assert all(line.isascii() for line in lines)
    assert lines[0].startswith("K?fer-v0  training")
    assert lines[1].startswith("#----")
    assert any(line.startswith("learner       + 9,100") for line in lines)


def test_a_goal_alone_has_no_bar():
    limits = LimitsStatus(evaluation_return=475.0)
    view = starting(plan=replace(PLAN, limits=limits))
    assert drawn(view)[1] == "goes on until an evaluation reaches 475"
    view = starting(plan=replace(PLAN, limits=LimitsStatus()))
    assert drawn(view)[1] == "goes on until it is stopped"
    assert "evaluation                              none yet" in drawn(view)


def test_nobody_evaluates():
    view = training(
        collector(0), plan=replace(PLAN, evaluators=0), history=type(training().history)(),
        learner=status(last_evaluation_return=None, best_evaluation_return=None),
    )  # fmt: skip
    assert "evaluation                              nobody evaluates, goal 475" in drawn(view)
    assert not any("evaluator" in line for line in drawn(view))


def test_the_best_stays_in_the_table():
    view = training()
    best = replace(view.history, best=view.history.newest[0])
    assert any(
        "12,000" in line and line.endswith("best") for line in drawn(replace(view, history=best))
    )


def test_what_the_files_know_sooner_is_shown():
    view = training()
    history = replace(view.history, returns=((100.0, 20.0), (19_000.0, 131.7)))
    assert "131.7, while exploring" in "".join(drawn(replace(view, history=history)))


def test_days_and_millions():
    long = status(wall_s=200_000.0, environment_steps=1_234_567, updates=87_654_321)
    long = LearnerStatus.read(
        long.to_wire() | {"stop": {"environment_steps": 900_000_000}, "verdict": ""}
    )
    lines = drawn(training(learner=long, silent_s=0.0))
    assert "training  2 d 7:33 h" in lines[0]
    assert lines[1].endswith("0 %, 1,234,567 of 900,000,000 steps, 3 days left")
    assert any("87,654,321 updates" in line for line in lines)


def test_a_verdict_comes_with_updates():
    assert not any("bound" in line for line in drawn(training(learner=status(updates=0))))


def test_one_process():
    plan = RunPlan(environment="CartPole-v1", one_process=True, limits=LIMITS)
    lines = drawn(training(plan=plan, members=()))
    assert "acting    ● 18,304 steps, 3,000/s, 90 episodes, epsilon 0.04" in lines
    assert "learning  ● 9,100 updates, 1,500/s, loss 0.0123, data 12.5 versions old" in lines
    assert "replay    ● 18,300 of 50,000 transitions, each sampled 31.9 times" in lines
    assert drawn(starting(plan=plan))[-1].startswith("evaluation ")


EVIL = "\x1b[2J\x07[red]x[/red]\n‮\x9b31m"


def test_nothing_that_a_peer_says_steers_the_terminal():
    named = (collector(0, name=EVIL, state="gone"), evaluator(doing=EVIL))
    view = training(*named, plan=replace(PLAN, environment=EVIL), directory=EVIL, ending=EVIL)
    for phase in (EVIL, "training"):
        evil = status(phase).to_wire() | {"verdict": EVIL}
        lines = drawn(replace(view, learner=LearnerStatus.read(evil)), 100)
        assert all(line.isprintable() for line in lines)
        assert any("[red]x[/red]" in line for line in lines)


# --- for any width --------------------------------------------------------------------------------

MOMENTS = [
    starting(),
    starting(learner=status("waiting for a collector", updates=0)),
    training(),
    training(ending="SIGINT"),
    training(silent_s=100_000.0),
    training(collector(0, state="silent", last_seen_s=1e6), collector(1, state="gone")),
    training(collector(0), rates={"steps of collector-0": 0.0, "updates": 0.0}),
    training(*(collector(i, state="gone") for i in range(90)), learner=status("training", 1e7)),
    training(memory=MemoryStatistics(size=1, blocks_lost=10**12, blocks_refused=10**9)),
    training(learner=status("finishing", environment_steps=10**15, updates=10**14)),
    training(learner=status(episode_return_mean=-1.5e280, loss=1e-30)),
    training(
        plan=RunPlan(environment="環境" * 30, one_process=True), directory="ディレクトリ" * 40
    ),
]


def words(lines: list[str]) -> set[str]:
    return {word.rstrip(",;") for line in lines for word in line.split()}


@settings(max_examples=300, deadline=None)
@given(
    view=st.sampled_from(MOMENTS), width=st.integers(1, 200), height=st.integers(1, 60),
    glyphs=st.sampled_from((UNICODE, ASCII)),
)  # fmt: skip
def test_no_line_is_wider_than_it_may_be_and_no_word_is_broken(view, width, height, glyphs):
    lines = drawn(view, width, height=height, glyphs=glyphs)
    assert max(map(width_of, lines)) <= max(width, LEAST_WIDTH)
    assert len(lines) <= height
    known = words([text_of(line) for line in whole_words(view, glyphs)])
    for word in words(lines):
        marked = glyphs.cut in word
        picture = set(word) <= set(glyphs.levels + glyphs.done + glyphs.left)
        assert marked or picture or word in known, f"{word!r} is a part of a word"


def whole_words(view: RunView, glyphs: Any) -> list[Any]:
    """Everything that may be said of a view, where there is room for all of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zdqn.launch.screen.WIDEST", 3_000)
        patch.setattr("zdqn.launch.screen._CURVE_TEXT", 1_000)
        heights = (60, *range(5, 30))  # the rows of a table decide how its numbers are written
        return [
            line
            for height in heights
            for line in draw_screen(view, 3_000, height=height, glyphs=glyphs)
        ]
