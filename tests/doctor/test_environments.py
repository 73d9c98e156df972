import pytest

from tests.doctor.environments_of_tests import RELEASED
from zdqn.config import Config
from zdqn.doctor import Verdict
from zdqn.doctor.environments import examine_environment, step_for_a_moment

CARTPOLE = Config().replace({"environment.id": "CartPole-v1", "collector.environments": 3})


def test_environments_are_stepped_together_and_described():
    stepped = step_for_a_moment(CARTPOLE, seconds=0.0)
    assert stepped.spec.observation_shape == (4,)
    assert stepped.steps_per_s > 0
    found, spec = examine_environment(CARTPOLE)
    assert spec == stepped.spec
    environment, network = found
    assert environment.text.startswith("CartPole-v1: 4 float32, 2 actions, ")
    assert environment.text.endswith("steps/s of 3 together")
    assert network.text.startswith("mlp, ")


@pytest.mark.parametrize(
    ("changes", "exit_code", "words"),
    [
        ({"environment.id": "CartPole-v9"}, 78, "CartPole-v9"),
        ({"environment.kwargs": {"nonsense": 1}}, 78, "nonsense"),
        ({"environment.id": "Pendulum-v1"}, 78, "Discrete"),
    ],
)
def test_an_environment_that_cannot_be_used_is_bad(changes, exit_code, words):
    (found,), spec = examine_environment(CARTPOLE.replace(changes))
    assert spec is None
    assert (found.verdict, found.exit_code) == (Verdict.BAD, exit_code)
    assert words in found.text


MASKED = CARTPOLE.replace({"environment.id": "tests.envs.test_masking:Turning"})


def test_masks_are_named_where_they_are_used_and_missed_where_they_are_not():
    masked = MASKED.replace({"environment.action_masks": True})
    (environment, network), spec = examine_environment(masked)
    assert spec is not None
    assert spec.action_masks
    assert "3 actions with masks, " in environment.text
    assert network.verdict is Verdict.GOOD
    environment, unused, _ = examine_environment(MASKED)[0]
    assert "3 actions, " in environment.text
    assert unused.verdict is Verdict.ODD
    assert "environment.action_masks" in unused.text
    without, _ = examine_environment(CARTPOLE.replace({"environment.action_masks": True}))
    assert [finding.verdict for finding in without] == [Verdict.BAD]
    assert '"action_mask"' in without[0].text


def test_a_network_that_cannot_be_built_is_bad():
    found, spec = examine_environment(CARTPOLE.replace("network.kind", "cnn"))
    assert spec is not None
    assert [finding.verdict for finding in found] == [Verdict.GOOD, Verdict.BAD]


def test_an_environment_that_hangs_is_said_to():
    config = CARTPOLE.replace("environment.id", "tests.doctor.environments_of_tests:Hanging")
    RELEASED.clear()
    try:
        (found,), spec = examine_environment(config, patience_s=0.5)
    finally:
        RELEASED.set()
    assert spec is None
    assert (found.verdict, found.exit_code) == (Verdict.BAD, 70)
    assert "hangs" in found.text
