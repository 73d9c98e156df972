"""Lists of allowed keys: lines that count, lines that are wrong, and what changed."""

import pytest

from zdqn.wire.keys.allow_list import (
    CLIENT_KEYS,
    AllowList,
    Caller,
    format_line,
    parse_line,
    parse_lists,
)

ONE, TWO, THREE = bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32


def read(**texts: str) -> AllowList:
    return parse_lists(
        (role, f"allowed/{role}", texts[role]) for role in CLIENT_KEYS if role in texts
    )


def test_a_line_is_a_key_and_a_name():
    text = f"# those of the lab\n\n{ONE.hex()} lab 7\n   {TWO.hex().upper()}   \n"
    found = read(collector=text)
    assert found.caller(ONE) == Caller("collector", "lab 7", ONE)
    assert found.caller(TWO) == Caller("collector", "", TWO)
    assert found.complaints == ()


def test_who_is_not_listed_has_no_role():
    assert read(collector=format_line(ONE, "x")).caller(TWO).role is None


@pytest.mark.parametrize(
    "wrong", ["hello", ONE.hex()[:-1], f"{ONE.hex()}0 x", "secret " + "ab" * 32]
)
def test_a_wrong_line_is_named_and_hinders_no_other(wrong):
    found = read(collector=f"{format_line(ONE, 'x')}{wrong}\n{format_line(TWO, 'y')}")
    assert set(found.callers) == {ONE, TWO}
    (complaint,) = found.complaints
    assert "line 2 of allowed/collector" in complaint
    assert wrong not in complaint


def test_a_key_has_one_role():
    found = read(learner=format_line(ONE, "x"), collector=format_line(ONE, "y"))
    assert found.caller(ONE).role == "learner"
    assert "stays a learner's" in found.complaints[0]


def test_a_name_is_one_line_of_a_log():
    line = format_line(ONE, "a\nb\x1b[31m" + "x" * 100)
    assert line.count("\n") == 1
    assert "\x1b" not in line
    key, name = parse_line(line) or (b"", "")
    assert key == ONE
    assert len(name) == 64


def test_who_was_removed_or_is_something_else_now_is_gone():
    before = read(collector=format_line(ONE, "x") + format_line(TWO, "y"), learner="")
    after = read(collector=format_line(THREE, "z"), learner=format_line(TWO, "y"))
    assert {caller.name for caller in after.gone_since(before)} == {"x", "y"}
    assert AllowList().gone_since(AllowList()) == []


def test_a_caller_is_called_by_role_letters_and_name():
    assert str(Caller("collector", "lab7", ONE)) == "collector's key 01010101 (lab7)"
    assert str(Caller("collector", "", ONE)) == "collector's key 01010101"
    assert "not allowed" in str(Caller(None, "", ONE))
