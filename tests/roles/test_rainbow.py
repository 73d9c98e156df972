"""Rainbow's parts at work: each learns, alone and together, in one process and in several roles."""

from pathlib import Path

import pytest
import torch

from tests.roles.conftest import Corridor, eventually, quick_config
from zdqn.config import load_config
from zdqn.experiments.scoring import evaluate
from zdqn.records.checkpoints import load_checkpoint
from zdqn.roles.single import Single

ROOT = Path(__file__).parents[2]

DISTRIBUTION = "algorithm.distribution"
PARTS = {
    "categorical": (f"{DISTRIBUTION}=categorical", "algorithm.v_min=0", "algorithm.v_max=1"),
    "quantile": (f"{DISTRIBUTION}=quantile", "algorithm.quantiles=32"),
    "munchausen": ("algorithm.munchausen=true", "algorithm.n_step=1"),
    "rescaling": ("algorithm.value_rescaling=true",),
    "clipping": ("algorithm.reward_clip=0.5",),
    "noisy": ("network.noisy=true", "exploration.epsilon_initial=0", "exploration.epsilon_final=0"),
}
TOGETHER = (
    *PARTS["categorical"], *PARTS["noisy"], "algorithm.double=true", "algorithm.n_step=3",
    "network.dueling=true", "replay.kind=prioritized", "algorithm.reward_clip=1",
)  # fmt: skip
ALL = {**PARTS, "rainbow": TOGETHER}

CORRIDOR = (
    "network.hidden=[32]", "replay.samples_per_insert=16", "algorithm.learning_rate=0.003",
    "algorithm.target_update_period_updates=20", "evaluator.period_updates=200",
    "environment.max_episode_steps=20", "stop.updates=400",
    "exploration.epsilon_decay_environment_steps=300", "algorithm.discount=0.8",
)  # fmt: skip


@pytest.mark.parametrize("part", ALL)
def test_each_part_learns_a_corridor(tmp_path, part):
    config = quick_config(*CORRIDOR, *ALL[part])
    with Single(config, run_directory=tmp_path, environment=Corridor) as single:
        result = single.run()
    assert result.best_evaluation_return == 1.0
    scores = evaluate(tmp_path, episodes=3, environment=Corridor)
    assert scores.mean == 1.0


@pytest.mark.parametrize(("highest", "told"), [(1, True), (3, False)])
def test_who_learns_values_at_the_end_of_their_range_is_told(tmp_path, caplog, highest, told):
    config = quick_config(*CORRIDOR, *PARTS["categorical"], f"algorithm.v_max={highest}",
                          "algorithm.discount=1", "stop.updates=600")  # fmt: skip
    with Single(config, run_directory=tmp_path, environment=Corridor) as single:
        single.run()
    texts = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert any("algorithm.v_max = 1 can tell" in text for text in texts) is told


def test_a_rainbow_goes_on_bit_for_bit_from_what_it_was(tmp_path):
    """Two runs that go on from one checkpoint draw the same noise, and other than its own."""
    first = quick_config(*CORRIDOR, *TOGETHER, "stop.updates=60")
    with Single(first, run_directory=tmp_path / "run", environment=Corridor) as single:
        single.run()
    further = quick_config(*CORRIDOR, *TOGETHER, "stop.updates=120")
    ends = []
    for name in ("one", "two"):
        with Single(
            further, run_directory=tmp_path / name, resume=tmp_path / "run", environment=Corridor
        ) as single:
            single.run()
        newest = max((tmp_path / name / "checkpoints").iterdir())
        ends.append(load_checkpoint(newest).online)
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert not any("noise" in name for name in ends[0])
    assert any("sigma" in name for name in ends[0])


@pytest.mark.parametrize("policy", ["local", "remote"])
def test_a_rainbow_runs_distributed_with_either_policy(system, policy):
    config = quick_config(*TOGETHER, f"collector.policy={policy}", "environment.id=CartPole-v1")
    memory = system.memory(config)
    learner = system.learner(config, memory)
    evaluator = system.evaluator(config, learner)
    eventually(lambda: learner.role._server.living("evaluator"), "the evaluator")
    collectors = [system.collector(config, learner) for _ in range(2)]
    summary = learner.result().summary
    assert summary["updates"] == 60
    assert summary["evaluations"] >= 1
    assert summary["blocks_refused"] == 0
    for each in (*collectors, evaluator, memory):
        each.result()
    assert (summary["actions_served"] > 0) is (policy == "remote")


CARTPOLE = (
    "collector.environments=4", "stop.environment_steps=40000", "stop.evaluation_return=400",
    "exploration.epsilon_decay_environment_steps=5000",
)  # fmt: skip
ON_CARTPOLE = {
    **{name: part for name, part in ALL.items() if name != "clipping"},
    "categorical": (f"{DISTRIBUTION}=categorical", "algorithm.v_min=0", "algorithm.v_max=100"),
    "rainbow": (*TOGETHER, "algorithm.v_max=100"),
}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", ON_CARTPOLE)
def test_each_part_learns_to_balance_a_pole(tmp_path, part, record_property):
    config = load_config(ROOT / "configs/cartpole.toml", (*CARTPOLE, *ON_CARTPOLE[part]))
    with Single(config, run_directory=tmp_path) as single:
        summary = single.run().summary
    record_property("environment_steps", summary["environment_steps"])
    record_property("best", summary["best_evaluation_return"])
    assert summary["best_evaluation_return"] >= 400
