"""Of which zdqn a peer is."""

import importlib.metadata

import pytest

from zdqn.wire import releases
from zdqn.wire.releases import describe_difference, own_release, release_of, tell_release


@pytest.fixture
def ours(monkeypatch):
    """Makes this a certain zdqn."""

    def be(release):
        monkeypatch.setattr(releases, "own_release", lambda: release)

    be("0.5.0")
    return be


def test_it_is_what_is_installed():
    try:
        installed = importlib.metadata.version("zdqn")
    except importlib.metadata.PackageNotFoundError:
        installed = ""
    assert own_release() == installed


@pytest.mark.parametrize("release", ["0.5.0", "1!2.0rc1.post3+local.4", "0-5_0"])
def test_it_is_told_as_a_capability_and_read_from_it(ours, release):
    ours(release)
    assert tell_release() == (f"zdqn/{release}",)
    assert release_of(("lz4", *tell_release(), "acked")) == release


def test_one_that_is_not_known_is_not_told(ours):
    ours("")
    assert tell_release() == ()


@pytest.mark.parametrize(
    "capabilities",
    [(), ("lz4", "zdqn"), ("zdqn/",), ("zdqn/a b",), (f"zdqn/{'1' * 65}",), ("azdqn/1",)],
)
def test_who_does_not_say_is_of_none(capabilities):
    assert release_of(capabilities) == ""


def test_a_difference_names_both_and_what_follows(ours):
    told = describe_difference("collector-0", "0.4.9", "memory")
    assert told.startswith("collector-0 is of zdqn 0.4.9, and this memory of 0.5.0. ")
    assert "same protocol" in told


def test_there_is_none_between_equals_or_where_one_does_not_say(ours):
    assert describe_difference("collector-0", "0.5.0", "memory") == ""
    assert describe_difference("collector-0", "", "memory") == ""
    ours("")
    assert describe_difference("collector-0", "0.4.9", "memory") == ""
