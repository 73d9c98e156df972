"""What the documentation says of ends, and of who is given what, is what the code does."""

import inspect
import re
from pathlib import Path

import pytest

import zdqn
from zdqn.config import StopSection
from zdqn.launch.plan import RESTARTABLE_EXIT_CODES, Consequence, Ending, consequence
from zdqn.roles.learner.memory_link import MemoryLink
from zdqn.roles.learner.run_end import RunEnd

DOCS = Path(__file__).parents[2] / "docs"

CONSEQUENCES = {
    "nothing": Consequence.NOTHING,
    "started again": Consequence.RESTART,
    "the run goes on": Consequence.GO_ON,
    "the run ends": Consequence.END,
    "the run fails": Consequence.FAIL,
}
CURABLE = "69, 70, 74, 75, killed, or 0 without a word"
ENDINGS = {
    "it says that the run is over": Ending.OVER,
    "a signal told it to, code 0": Ending.SIGNALLED,
    CURABLE: Ending.CURABLE,
    "any other code": Ending.INCURABLE,
    "its host is lost": Ending.LOST,
}


def table(document, heading):
    """Give the rows of the table whose first column is headed so."""
    lines = (DOCS / document).read_text(encoding="utf-8").splitlines()
    start = next(
        n
        for n, line in enumerate(lines)
        if line.startswith(f"| {heading} |".replace("|  |", "| |"))
    )
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


PROCESSES = table("concepts.md", "who")
RUNS = table("concepts.md", "what ends the run")


def test_every_end_of_every_role_has_its_row():
    roles = ("learner", "memory", "collector", "evaluator")
    assert [(who, ENDINGS[how]) for who, how, *_ in PROCESSES] == [
        (role, ending) for role in roles for ending in Ending
    ]


@pytest.mark.parametrize(("who", "how", "left", "needed", "spare"), PROCESSES)
def test_what_follows_from_the_end_of_a_process(who, how, left, needed, spare):
    cases = ((left, True, True), (needed, False, True), (spare, False, False))
    for text, restarts_left, is_needed in cases:
        given = consequence(
            who, ENDINGS[how], restarts_left=restarts_left, needed=is_needed, asked=False
        )
        assert given is CONSEQUENCES[text], (who, how, text)


def test_the_codes_that_can_be_cured_are_those():
    assert {int(code) for code in re.findall(r"\d\d", CURABLE)} == RESTARTABLE_EXIT_CODES


def reasons(words):
    (row,) = [row for row in RUNS if words in row[0]]
    return re.findall(r"`([^`]+)`", row[1])


def test_each_limit_is_a_reason():
    assert set(reasons("a limit")) == set(StopSection.__struct_fields__)


def test_the_reasons_are_those_of_the_code():
    source = inspect.getsource(MemoryLink)
    assert reasons("at the memory")[0] in source
    assert reasons("Ctrl-C, or") == ["SIGINT", "SIGTERM"]
    assert f'or "{reasons("Python program")[0]}"' in inspect.getsource(RunEnd)


def test_the_exit_codes_of_runs_are_listed():
    listed = {row[0] for row in table("concepts.md", "code")}
    codes = {code for row in RUNS for code in re.findall(r"\b\d{1,3}\b", row[2])}
    assert codes <= {code for cell in listed for code in re.findall(r"\d+", cell)}


@pytest.mark.parametrize(("names", "environment", "network"), table("python.md", ""))
def test_who_is_given_a_function(names, environment, network):
    named = re.findall(r"`zdqn\.(\w+)`", names)
    assert named
    for name in named:
        parameters = inspect.signature(getattr(zdqn, name)).parameters
        assert ("environment" in parameters) == (environment == "yes"), name
        assert ("network" in parameters) == (network == "yes"), name
