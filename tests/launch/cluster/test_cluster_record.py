"""What a launch leaves in its folder."""

import pytest

from tests.launch.cluster.clusters import small_plan
from zdqn.config.cluster_sections import HostDefaults, SyncSection
from zdqn.errors import FileError, NotAllowedError
from zdqn.launch.cluster.cluster_record import (
    ClusterRecord,
    is_cluster,
    read_record,
    write_record,
)


def test_it_is_read_as_it_was_written(tmp_path):
    sync = (SyncSection(source="a", target="b"),)
    plan = small_plan(defaults=HostDefaults(environment={"TOKEN": "x"}, sync=sync))
    record = ClusterRecord(plan, "run-1", detached=True)
    assert not is_cluster(tmp_path)
    write_record(tmp_path, record)
    assert is_cluster(tmp_path)
    assert read_record(tmp_path) == record


def test_it_is_its_owners_alone(tmp_path):
    write_record(tmp_path, ClusterRecord(small_plan(), "run-1"))
    path = tmp_path / "cluster.json"
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(NotAllowedError):
        read_record(tmp_path)


def test_a_folder_without_one_and_a_broken_one_are_named(tmp_path):
    with pytest.raises(FileError, match="no run of `zdqn launch`"):
        read_record(tmp_path)
    write_record(tmp_path, ClusterRecord(small_plan(), "run-1"))
    (tmp_path / "cluster.json").write_text("{")
    with pytest.raises(FileError, match="Cannot read"):
        read_record(tmp_path)
