"""A server without a file descriptor says so: libzmq does not."""

import logging
import os
import resource
from contextlib import suppress
from pathlib import Path

import pytest

from zdqn.wire.descriptor_watch import DescriptorWatch, is_one_left

LOGGER = logging.getLogger("zdqn.test")


def test_it_says_once_that_none_is_left_and_once_that_some_are_again(caplog):
    left = [True, False, False, True, True, False]
    watch = DescriptorWatch("memory", LOGGER, is_left=lambda: left.pop(0))
    with caplog.at_level("INFO"):
        for _ in range(6):
            watch.look()
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in lines] == ["ERROR", "INFO", "ERROR"]
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert f"no file descriptor is left of the {limit} that the memory may have" in lines[0][1]
    assert "the memory has file descriptors again" in lines[1][1]


@pytest.fixture
def few_descriptors():
    """Let this process have a few more descriptors than it has."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 4, before[1]))
    taken: list[int] = []
    yield taken
    for descriptor in taken:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_whether_one_is_left(few_descriptors):
    assert is_one_left()
    with suppress(OSError):
        while True:
            few_descriptors.append(os.dup(0))
    assert not is_one_left()
    os.close(few_descriptors.pop())
    assert is_one_left()
