"""What is left of a machine's memory, and of what control groups allow."""

import math
import os

import pytest

from zdqn.roles import free_memory
from zdqn.roles.free_memory import available_bytes, of_control_groups

GIB = 1024**3


class Groups:
    """A tree of control groups, and the file that names a process's own."""

    def __init__(self, folder):
        self.root = folder / "cgroup"
        self.own = folder / "own"
        self.own.write_text("")

    def add(self, place, limit, used, *, version=2, cached=0):
        folder = self.root / place
        folder.mkdir(parents=True, exist_ok=True)
        limit_name, used_name = free_memory._FILES[version == 1]
        (folder / limit_name).write_text(f"{limit}\n")
        (folder / used_name).write_text(f"{used}\n")
        (folder / "memory.stat").write_text(
            f"anon 5\ninactive_file {cached}\n"
            if version == 2
            else f"inactive_file 1\ntotal_inactive_file {cached}\n"
        )

    def left(self, *lines):
        self.own.write_text("\n".join(lines) + "\n")
        return of_control_groups(self.root, self.own)


@pytest.fixture
def groups(tmp_path):
    return Groups(tmp_path)


def test_a_group_of_the_second_version_limits_what_is_left(groups):
    groups.add("job_7/step_0", 4 * GIB, GIB)
    assert groups.left("0::/job_7/step_0") == 3 * GIB


def test_a_group_of_the_first_version_limits_what_is_left(groups):
    groups.add("memory/slurm/job_7", 4 * GIB, GIB, version=1)
    assert groups.left("9:cpu:/elsewhere", "4:memory:/slurm/job_7", "0::/") == 3 * GIB


def test_the_tightest_of_the_groups_around_it_counts(groups):
    groups.add("job_7", 2 * GIB, GIB)
    groups.add("job_7/step_0", "max", GIB)
    assert groups.left("0::/job_7/step_0") == GIB


def test_a_container_that_knows_the_hosts_names_has_its_limit_at_the_root(groups):
    groups.add("memory", 2 * GIB, GIB, version=1)
    assert groups.left("4:memory:/docker/0123456789ab") == GIB
    groups.add("", 2 * GIB, GIB // 2)
    assert groups.left("0::/") == 2 * GIB - GIB // 2


@pytest.mark.parametrize("version", [1, 2])
def test_files_that_are_cached_are_free(groups, version):
    groups.add("memory" if version == 1 else "", 2 * GIB, GIB, version=version, cached=GIB // 4)
    line = "4:memory:/" if version == 1 else "0::/"
    assert groups.left(line) == GIB + GIB // 4


def test_a_group_that_is_full_leaves_nothing(groups):
    groups.add("", GIB, GIB + 1)
    assert groups.left("0::/") == 0


def test_no_limit_is_no_limit(groups, tmp_path):
    groups.add("", "max", GIB)
    assert groups.left("0::/") == math.inf
    assert groups.left("what is this") == math.inf
    assert of_control_groups(tmp_path / "none", tmp_path / "none") == math.inf


def test_what_is_free_is_a_number_of_bytes_of_this_machine():
    assert 1_000_000 < available_bytes() < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_what_a_group_leaves_is_all_there_is(monkeypatch):
    monkeypatch.setattr(free_memory, "of_control_groups", lambda: 12_345.0)
    assert available_bytes() == 12_345
