"""Whole runs in an environment that breaks when something is done that is not allowed."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.roles.conftest import DEADLINE_S, eventually, quick_config
from tests.roles.masked_corridor import DISCOUNT, MASKS, true_values
from tests.roles.processes import updates_of
from zdqn.errors import EnvironmentFailedError, MismatchError, UsageError
from zdqn.experiments.scoring import evaluate
from zdqn.experiments.trained_policy import load_policy
from zdqn.roles.single import Single
from zdqn.wire.remote_control import fetch_status, request_stop

ENVIRONMENT = ("environment.id=tests.roles.masked_corridor:MaskedCorridor",)
MASKED = (*ENVIRONMENT, "environment.action_masks=true")
LEARNING = (
    *MASKED, "network.hidden=[]", "algorithm.learning_rate=0.03", "stop.updates=800",
    f"algorithm.discount={DISCOUNT}", "evaluator.period_updates=400",
    "algorithm.target_update_period_updates=20",
    "exploration.epsilon_initial=1", "exploration.epsilon_final=1",
)  # fmt: skip
VALUES = true_values()


def learn(folder, *overrides):
    """Train, and give the values that were learned, shape (5, 3)."""
    with Single(quick_config(*LEARNING, *overrides), run_directory=folder) as single:
        result = single.run()
    assert result.summary["updates"] == 800
    return load_policy(max((folder / "checkpoints").iterdir())).q_values(np.eye(5))


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("algorithm.double=true", "replay.storage=disk"),
        ("replay.kind=prioritized", "replay.initial_priority=collector",
         "collector.environments=3", "evaluator.epsilon=0.5"),
    ],
    ids=["plain", "double", "prioritized"],
)  # fmt: skip
def test_what_is_learned_is_what_allowed_actions_are_worth(tmp_path, overrides):
    np.testing.assert_allclose(learn(tmp_path, *overrides)[MASKS], VALUES[MASKS], atol=0.25)


def test_who_ignores_masks_in_targets_learns_something_else(tmp_path, monkeypatch):
    """What is never done is never learned: its value stays near 0, which is too good here."""
    monkeypatch.setattr("zdqn.rl.objectives.only_allowed", lambda values, allowed: values)
    found = learn(tmp_path)
    assert found[0, 0] > VALUES[0, 0] + 1


def test_a_trained_policy_does_what_is_allowed_and_is_scored_so(tmp_path):
    learn(tmp_path)
    scores = evaluate(tmp_path, episodes=4, environment=None)
    assert set(scores.returns) == {-4.0}
    policy = load_policy(tmp_path)
    places = np.eye(5)
    assert [policy(places[at], MASKS[at]) for at in range(4)] == [0, 0, 2, 0]
    everything = np.ones((4, 3), bool)
    assert policy.actions(places[:4], MASKS[:4]).tolist() == [0, 0, 2, 0]
    assert policy.actions(places[:4], everything).tolist() == (
        policy.q_values(places[:4]).argmax(1).tolist()
    )
    with pytest.raises(UsageError, match="give the mask of the observation too"):
        policy(places[0])
    with pytest.raises(UsageError, match="allows nothing"):
        policy(places[4], MASKS[4])
    with pytest.raises(UsageError, match=r"mask is an array of shape \(2,\)"):
        policy(places[0], [1, 0])


def test_without_the_key_the_same_environment_is_acted_in_freely(tmp_path):
    config = quick_config(*ENVIRONMENT)
    with (
        pytest.raises(EnvironmentFailedError, match="is not allowed at place"),
        Single(config, run_directory=tmp_path) as single,
    ):
        single.run()


def test_an_environment_without_masks_is_refused_in_words(tmp_path):
    config = quick_config("environment.action_masks=true")
    with pytest.raises(EnvironmentFailedError, match=r'"action_mask".*environment\.action_masks'):
        Single(config, run_directory=tmp_path)


ESTIMATED = ("replay.kind=prioritized", "replay.initial_priority=collector", "algorithm.n_step=3")


@pytest.mark.parametrize(
    ("policies", "overrides"),
    [(("local", "remote"), ()), (("local",), ESTIMATED)],
    ids=["plain", "prioritized"],
)
def test_collectors_of_both_policies_and_an_evaluator_do_what_is_allowed(
    system, policies, overrides
):
    config = quick_config(
        *MASKED, "evaluator.period_updates=30", "collector.environments=2", "stop.updates=0",
        *overrides,
    )  # fmt: skip
    memory = system.memory(config)
    learner = system.learner(config, memory)
    collectors = [
        system.collector(config.replace({"collector.policy": policy}), learner)
        for policy in policies
    ]
    evaluator = system.evaluator(config, learner)
    model = learner.role.endpoints["model"]

    def all_have_acted():
        clients = fetch_status(model, DEADLINE_S)["clients"]
        acted = [client.get("evaluations", client.get("environment_steps")) for client in clients]
        return len(acted) == len(policies) + 1 and all(acted)

    eventually(all_have_acted, "steps of each collector, and an evaluation")
    updates_of(model, more_than=60)
    request_stop(model, "enough", DEADLINE_S)
    assert learner.result().stop_reason == "enough"
    assert all(collector.result().environment_steps > 0 for collector in collectors)
    assert evaluator.result().evaluations > 0
    assert memory.result().stop_reason == "the run is over"


def test_a_collector_with_masks_and_a_learner_without_name_both_values(system):
    memory = system.memory(quick_config(*ENVIRONMENT, "stop.updates=0"))
    learner = system.learner(quick_config(*ENVIRONMENT, "stop.updates=0"), memory)
    collector = system.collector(quick_config(*MASKED, "stop.updates=0"), learner)
    with pytest.raises(MismatchError, match=r"environment\.action_masks: here False, there True"):
        collector.result()
    request_stop(learner.role.endpoints["model"], "enough", DEADLINE_S)
    learner.result()


def test_an_agent_whose_actions_others_choose_imports_no_torch_for_masks():
    code = (
        "import sys, zdqn.roles.acting.remote_policy, zdqn.core.mask_arguments, zdqn.envs.masking\n"
        "assert 'torch' not in sys.modules"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=root
    )
    assert done.returncode == 0, done.stderr
