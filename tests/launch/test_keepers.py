"""Who looks at a run that goes on without whoever started it."""

from tests.launch.cluster.clusters import small_plan
from tests.launch.slurm.plans import slurm_plan
from zdqn.launch import keepers
from zdqn.launch.cluster.cluster_record import ClusterRecord, write_record
from zdqn.launch.slurm.slurm_record import SlurmRecord, write_slurm_record
from zdqn.launch.slurm.slurm_visit import SlurmVisit


def test_a_run_of_slurm_is_kept_by_it(tmp_path):
    write_slurm_record(tmp_path, SlurmRecord(slurm_plan(), tmp_path))
    assert keepers.is_kept(tmp_path)
    with keepers.visit(tmp_path, lambda line: None) as visit:
        assert isinstance(visit, SlurmVisit)


def test_one_over_ssh_is_kept_if_it_was_detached(tmp_path):
    assert not keepers.is_kept(tmp_path)
    for detached in (False, True):
        write_record(tmp_path, ClusterRecord(small_plan(), "run", detached=detached))
        assert keepers.is_kept(tmp_path) == detached
