"""What a submission leaves in its run's folder."""

import stat
from pathlib import Path

import pytest

from tests.launch.slurm.plans import slurm_plan
from zdqn.config.cluster_sections import ClientsSection
from zdqn.errors import FileError, MismatchError, NotAllowedError
from zdqn.launch.slurm.slurm_record import (
    SlurmRecord,
    is_slurm,
    read_slurm_record,
    record_file,
    write_slurm_record,
)


def record():
    plan = slurm_plan(collectors=(ClientsSection(count=2, environment={"TOKEN": "secret"}),))
    return SlurmRecord(plan, Path("/from"), secure=False, log_level="debug")


def test_what_is_written_is_read_and_by_its_owner_alone(tmp_path):
    assert not is_slurm(tmp_path)
    written = record().with_job("servers", "7").with_job("collectors-0", "8")
    write_slurm_record(tmp_path, written)
    assert is_slurm(tmp_path)
    assert read_slurm_record(tmp_path) == written
    assert written.servers_job == "7"
    assert record().servers_job == ""
    assert stat.S_IMODE(record_file(tmp_path).stat().st_mode) == 0o600


def test_a_folder_that_is_none_is_named(tmp_path):
    with pytest.raises(FileError, match="no run of `zdqn launch --slurm`"):
        read_slurm_record(tmp_path)
    with pytest.raises(FileError, match="Cannot write"):
        write_slurm_record(tmp_path / "no", record())


def test_one_that_others_could_have_changed_is_refused(tmp_path):
    write_slurm_record(tmp_path, record())
    record_file(tmp_path).chmod(0o640)
    with pytest.raises(NotAllowedError):
        read_slurm_record(tmp_path)


def test_one_of_another_version_is_explained(tmp_path):
    write_slurm_record(tmp_path, record())
    text = record_file(tmp_path).read_text()
    record_file(tmp_path).write_text(text.replace('"seed"', '"sead"'))
    with pytest.raises(MismatchError, match="another version of zdqn"):
        read_slurm_record(tmp_path)
