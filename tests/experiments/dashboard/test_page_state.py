"""What the page shows of a run's present."""

import json
from dataclasses import replace

import msgspec
import pytest

from tests.experiments.dashboard.moments import LIVE, row, seen
from tests.launch import views
from zdqn.experiments.dashboard.page_state import describe_page
from zdqn.experiments.dashboard.seen import Contact, Film
from zdqn.launch.run_view import RunView, read_members
from zdqn.records.run_series import Series
from zdqn.wire.status import LearnerStatus, MemoryStatus


def page(*args, **changes):
    """Give the page as it comes out of JSON."""
    return json.loads(msgspec.json.encode(describe_page(seen(*args, **changes))))


def named(rows, name, key="name"):
    return next(row for row in rows if row[key] == name)


def test_a_run_that_trains():
    told = page()
    assert told["run"]["environment"] == "CartPole-v1"
    assert told["run"]["doing"] == "training"
    assert told["contact"] == {"kind": "live", "text": LIVE.text}
    assert told["verdict"].startswith("learner-bound")
    assert told["goal"] == 475.0
    assert told["way"]["share"] == pytest.approx(0.0366, abs=1e-3)
    assert "of 500,000 steps" in told["way"]["text"]
    assert named(told["tiles"], "updates") == {
        "name": "updates", "value": "9,100", "note": "1,500/s"
    }  # fmt: skip
    assert named(told["tiles"], "evaluation")["note"] == "best 4, goal 475"


def test_nothing_is_known_yet():
    told = page(views.starting(), contact=Contact("waiting", "Nothing."), series=Series(), rates={})
    assert told["run"]["doing"] == "not begun"
    assert {tile["value"] for tile in told["tiles"]} == {"\N{EN DASH}"}
    assert told["gauges"] == told["members"] == told["evaluations"] == []
    assert len(told["picture"]["nodes"]) == len(told["picture"]["links"]) == 4


def test_nothing_at_all_is_no_error():
    assert page(RunView(), series=Series(), rates={}, endpoints={})["tiles"]


@pytest.mark.parametrize("kind", ["away", "over"])
def test_what_no_longer_holds_is_not_shown_as_if_it_did(kind):
    told = page(contact=Contact(kind, "Nobody answers."))
    assert told["verdict"] == ""
    assert told["gauges"] == []
    assert {link["per_s"] for link in told["picture"]["links"]} == {None}
    healths = {node["health"] for node in told["picture"]["nodes"]}
    assert healths == ({"ended"} if kind == "over" else {"unknown"})
    assert {member["health"] for member in told["members"]} == {"unknown"}
    assert {host["health"] for host in told["hosts"]} == ({"unknown"} if kind == "away" else set())
    assert "left" not in told["way"]["text"]
    assert (told["way"]["share"] is None) == (kind == "over")


def test_how_far_a_run_came_is_told_by_its_summary():
    told = page(contact=Contact("over", "x"), summary={"environment_steps": 7, "updates": 5})
    assert named(told["tiles"], "environment steps")["value"] == "7"
    assert named(told["tiles"], "updates")["value"] == "5"


def test_gauges_of_limiter_and_queues():
    view = views.training(memory=MemoryStatus(
        size=25_000, capacity=50_000, samples_per_insert=31.87, waiting_requests=2
    ))  # fmt: skip
    gauges = {gauge["name"]: gauge for gauge in page(view)["gauges"]}
    assert gauges["replay filled"]["share"] == 0.5
    assert gauges["limiter: samples per insert"]["text"] == "31.9 of 32 wanted"
    assert gauges["limiter holds collectors back"]["text"] == "25 % of the time"
    assert gauges["collectors wait to send"]["share"] == pytest.approx(0.86)
    assert gauges["sample requests that wait"] == {
        "name": "sample requests that wait", "share": None, "text": "2"
    }  # fmt: skip


def test_without_a_limiter_there_is_no_ratio_to_keep():
    gauges = {gauge["name"]: gauge for gauge in page(samples_per_insert=None)["gauges"]}
    assert gauges["limiter: samples per insert"]["text"] == "31.9"
    assert gauges["limiter: samples per insert"]["share"] is None


def test_evaluations_newest_first_and_the_best_is_never_missing():
    rows = page()["evaluations"]
    assert [(row["mean"], row["best"]) for row in rows] == [("3", False), ("4", True)]
    far = Series(newest=(row(30, 2.0), row(40, 2.0)), best=row(10, 4.0), count=9)
    told = page(series=far)["evaluations"]
    assert [(row["steps"], row["best"]) for row in told] == [
        ("10", True), ("40", False), ("30", False)
    ]  # fmt: skip
    rows = [row(steps, 9.0 if steps == 1 else 2.0) for steps in range(20)]
    low = Series(newest=tuple(rows), best=rows[1], count=20)
    told = page(series=low)["evaluations"]
    assert [row["steps"] for row in told] == ["1", *map(str, range(19, 1, -1)), "0"]


def test_why_there_are_no_evaluations_is_said():
    def why(view=None, **changes):
        told = page(view, series=Series(), **changes)
        assert told["evaluations"] == []
        return told["unevaluated"]

    assert page()["unevaluated"] == ""
    assert why() == "None yet."
    assert why(views.training(views.collector(0))) == "None yet: no evaluator has joined."
    assert "Give the run's directory" in why(has_folder=False)
    assert why(contact=Contact("over", "x")) == "The run was not evaluated."


def test_the_address_of_a_memory_promises_nothing_that_only_a_learner_tells():
    view = views.training(learner=None)
    told = page(view, series=Series(), has_folder=False)
    assert told["run"]["doing"] == "live"
    assert "Give the learner's address" in told["unevaluated"]
    assert told["undrawn"] == told["unevaluated"]
    assert page(view, series=Series())["run"]["doing"] == "starting"
    assert page(series=Series())["undrawn"].startswith("None yet")
    assert "no metrics" in page(contact=Contact("over", "x"))["undrawn"]


def test_what_the_best_network_has_reached_again_is_told():
    over = page(contact=Contact("over", "x"), summary={"best_rescored_return": 3.5})
    assert named(over["tiles"], "evaluation")["note"] == "best 4, scored again 3.5, goal 475"


def test_a_film_tells_how_old_it_is_and_its_picture_is_not_in_the_state():
    film = Film(
        number=2, image=b"secret", columns=8, frames=9, width=4, height=3, frame_s=0.02,
        text="best.pt, seed 0", made_s=100.0,
    )  # fmt: skip
    told = page(film=film, film_why="no newer one", now_s=112.5)["film"]
    assert (told["number"], told["age"], told["why"]) == (2, "12 s", "no newer one")
    assert "secret" not in json.dumps(told)
    assert page(film_why="nobody plays")["film"] == {"why": "nobody plays"}


def test_one_process_is_shown_as_the_roles_that_it_has():
    plan = replace(views.PLAN, one_process=True)
    nodes = page(views.training(plan=plan), contact=Contact("files", "x"))["picture"]["nodes"]
    assert [node["title"] for node in nodes] == ["acting", "replay", "learning", "evaluator"]
    assert nodes[3]["lines"] == ["in the same process"]


def test_what_peers_say_of_themselves_has_no_control_characters():
    members = read_members([{**views.collector(0), "name": "a\x1b[31m\nb"}])
    status = LearnerStatus(verdict="x\x07y", progress=views.status().progress)
    told = page(views.training(members=members, learner=status))
    text = json.dumps(told)
    assert "\\u001b" not in text
    assert "\\u0007" not in text
