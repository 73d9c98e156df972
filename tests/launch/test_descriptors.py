"""File descriptors that a run needs, and may have."""

import os
import resource
import subprocess
import sys

import pytest

from zdqn.config import LaunchSection
from zdqn.launch.descriptors import descriptors_needed, raise_limit, shortages

FEW, MANY = LaunchSection(collectors=1, evaluators=0), LaunchSection(collectors=500, evaluators=3)


def limits_after(call, soft, hard):
    """Give the limits of a process that began with others and called something."""
    script = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        f"from zdqn.launch.descriptors import raise_limit\n"
        f"print({call}, *resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ
    )
    return tuple(map(int, done.stdout.split()))


@pytest.mark.parametrize(
    ("call", "limit"),
    [
        ("raise_limit()", 400),
        ("raise_limit(300)", 300),
        ("raise_limit(1000)", 400),
        ("raise_limit(50)", 100),  # never fewer than before
    ],
)
def test_the_limit_is_raised_as_far_as_wanted_and_allowed(call, limit):
    assert limits_after(call, 100, 400) == (limit, limit, 400)


def test_what_this_process_may_is_what_is_given():
    assert raise_limit(0) == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_more_clients_need_more():
    assert descriptors_needed(MANY).keys() == descriptors_needed(FEW).keys()
    for who, needed in descriptors_needed(MANY).items():
        assert needed > descriptors_needed(FEW)[who] + 500
        assert needed > 2 * 500


def test_a_shortage_is_named_with_numbers():
    assert shortages(MANY, 10_000) == shortages(FEW, 256) == []
    needed = descriptors_needed(MANY)
    lines = shortages(MANY, max(needed.values()) - 1)
    assert len(lines) == 1
    assert lines[0].startswith(f"zdqn run may need {needed['zdqn run']:,} file descriptors")
    assert "launch.collectors = 500" in lines[0]
    assert len(shortages(MANY, 1024)) == 3
