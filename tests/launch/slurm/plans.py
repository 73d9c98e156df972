"""Plans of runs of Slurm, for tests."""

import sys
from pathlib import Path

from zdqn.config import Config
from zdqn.config.cluster_sections import ClientsSection, Cluster, HostDefaults
from zdqn.config.slurm_sections import SlurmJobSection, SlurmSection
from zdqn.launch.slurm.batch_files import RunPlace
from zdqn.launch.slurm.slurm_plan import plan_slurm

SOURCE = Path("lab/lab.toml")
PLACE = RunPlace(Path("/shared/runs/a"), Path("/shared"))


def slurm_cluster(**changes):
    """A file with two arrays and an evaluator."""
    values = {
        "defaults": HostDefaults(python=sys.executable),
        "collectors": (ClientsSection(count=3), ClientsSection(count=2)),
        "evaluators": (ClientsSection(count=1),),
        **changes,
    }
    return Cluster(**values)


def slurm_plan(config=None, **changes):
    return plan_slurm(slurm_cluster(**changes), config or Config(), source=SOURCE)


def asking(servers=None, collectors=None, **values):
    """Give a plan that asks Slurm for something."""
    section = SlurmSection(
        **values,
        servers=SlurmJobSection(**(servers or {})),
        collectors=SlurmJobSection(**(collectors or {})),
    )
    return slurm_plan(slurm=section)


def tiny_slurm_plan(*, steps=0, **changes):
    """A run that trains a moment, or until it is stopped."""
    config = Config().replace(
        {
            "environment.id": "CartPole-v1",
            "stop.environment_steps": steps,
            "replay.capacity": 5_000,
            "replay.min_size": 100,
            "replay.samples_per_insert": 1.0,
            "learner.compile": False,
            "evaluator.period_environment_steps": 0,
            "evaluator.period_updates": 0,
            "links.ping_period_s": 0.2,
            **changes,
        }
    )
    return slurm_plan(config, collectors=(ClientsSection(count=1),), evaluators=())
