"""What would keep a run from working as jobs of Slurm."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.launch.slurm.plans import asking, slurm_plan
from zdqn.config.cluster_sections import HostDefaults
from zdqn.launch.cluster.versions import zdqn_version
from zdqn.launch.slurm.batch_files import RunPlace
from zdqn.launch.slurm.slurm_checks import file_system_of, look_at_slurm


def look(tmp_path, plan=None, directory=None):
    place = RunPlace(directory or tmp_path / "run", tmp_path)
    return look_at_slurm(plan or slurm_plan(), place)


def bad(findings):
    return [(finding.host, finding.exit_code) for finding in findings if finding.verdict == "bad"]


def test_where_all_is_well_a_run_can_begin(slurm, tmp_path):
    found = look(tmp_path)
    assert bad(found) == []
    assert [finding.host for finding in found if finding.verdict == "good"][:3] == [
        "servers", "collectors-0", "collectors-3",
    ]  # fmt: skip
    assert any(zdqn_version() in finding.text for finding in found)
    assert slurm.jobs == []
    assert not (tmp_path / "run").exists()


def test_a_machine_without_slurm_is_told_apart(slurm, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr("zdqn.launch.slurm.slurm_checks.shutil.which", lambda name: None)
    found = look(tmp_path)
    assert bad(found)[0] == ("slurm", 74)
    assert "sbatch, squeue, scancel" in found[0].text


def test_an_unknown_partition_is_named_with_the_nearest(slurm, tmp_path):
    found = look(tmp_path, asking(partition="long", collectors={"partition": "spar,long"}))
    assert bad(found) == [("collectors", 78)]
    assert found[0].remedy == 'Did you mean "spare"?'


def test_what_slurm_would_refuse_is_quoted(slurm, tmp_path):
    slurm.write(refuses="Invalid account")
    found = look(tmp_path)
    assert bad(found) == [("servers", 78), ("collectors-0", 78), ("collectors-3", 78)]
    assert "Invalid account" in found[0].text


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"python": "/no/python"}, 78, "No such file"),
        ({"python": "/bin/true"}, 78, "does not run zdqn here"),
        ({"setup": ("echo no module; false",)}, 78, "setup failed: echo no module; false"),
        ({"setup": ("echo \"No module named 'zdqn'\" >&2; exit 1",)}, 76, "No module named"),
    ],
)
def test_a_python_without_zdqn_is_found_before_it_waits_in_a_queue(
    slurm, tmp_path, changes, code, words
):
    plan = slurm_plan()
    plan = replace(plan, servers=replace(plan.servers, **changes))
    found = look(tmp_path, plan)
    assert bad(found) == [("servers", code)]
    assert words in next(finding.text for finding in found if finding.verdict == "bad")


def test_another_zdqn_is_told(slurm, tmp_path, monkeypatch):
    monkeypatch.setattr("zdqn.launch.slurm.slurm_checks.zdqn_version", lambda: "9.9")
    found = look(tmp_path, slurm_plan(defaults=HostDefaults(python=slurm_plan().servers.python)))
    assert bad(found) == [("servers", 76)]


def test_a_folder_that_is_not_writable_is_bad_and_one_of_this_machine_odd(
    slurm, tmp_path, monkeypatch
):
    monkeypatch.setattr("zdqn.launch.slurm.slurm_checks.shutil.which", lambda name: name)
    monkeypatch.setattr("zdqn.launch.slurm.slurm_checks.os.access", lambda path, mode: False)
    assert bad(look(tmp_path)) == [("folder", 74)]
    monkeypatch.undo()
    for kind, verdict in (("ext4", "odd"), ("nfs4", "good")):
        monkeypatch.setattr("zdqn.launch.slurm.slurm_checks.file_system_of", lambda *_, k=kind: k)
        (folder,) = (one for one in look(tmp_path) if one.host == "folder")
        assert folder.verdict == verdict


def test_a_file_system_is_that_of_the_nearest_mount(tmp_path):
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"a / ext4 rw 0 0\nb {tmp_path} nfs4 rw 0 0\nc {tmp_path}/a\\040b lustre rw 0 0\n"
    )
    assert file_system_of(tmp_path / "x", mounts) == "nfs4"
    assert file_system_of(tmp_path / "a b" / "x", mounts) == "lustre"
    assert file_system_of(Path("/"), mounts) == "ext4"
    assert file_system_of(Path("/"), tmp_path / "no") == ""


def test_a_folder_that_others_can_write_to_is_refused_for_what_they_could_put_there(
    slurm, tmp_path
):
    directory = tmp_path / "run"
    directory.mkdir(mode=0o700)
    assert bad(look(tmp_path)) == []
    directory.chmod(0o777)
    (folder,) = (one for one in look(tmp_path) if one.host == "folder")
    assert (folder.verdict, folder.exit_code) == ("bad", 77)
    assert f"chmod go-w {directory}" in folder.remedy
