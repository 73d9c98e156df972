"""Stored networks do what is allowed, however kept and played: what is not breaks this world."""

import numpy as np
import pytest
from click.testing import CliRunner

from tests.experiments.masked_checkpoints import BEST, FORBIDDEN_FIRST, save_values
from tests.roles.conftest import quick_config
from tests.roles.masked_corridor import MASKS, MaskedCorridor
from zdqn.cli.application import application
from zdqn.core.agenda import Counters
from zdqn.data import EnvironmentSpec
from zdqn.errors import EnvironmentFailedError, MismatchError, UsageError
from zdqn.experiments import exporting
from zdqn.experiments.dashboard.film_child import play_episode
from zdqn.experiments.exporting import export
from zdqn.experiments.scoring import evaluate
from zdqn.experiments.showing import show
from zdqn.experiments.trained_policy import load_policy
from zdqn.records.checkpoints import Checkpoint, save_checkpoint
from zdqn.roles.building import build_network

PLACES = np.eye(5, dtype=np.float32)
NEEDED = {
    ".pt": (), ".torchscript": (), ".safetensors": ("safetensors",),
    ".onnx": ("onnx", "onnxscript", "onnxruntime"),
}  # fmt: skip


@pytest.fixture(params=NEEDED, scope="module")
def stored(request, tmp_path_factory):
    """The file of a network that prefers what is not allowed: a checkpoint, or an exported one."""
    for package in NEEDED[request.param]:
        pytest.importorskip(package, reason='pip install "zdqn[export]"')
    folder = tmp_path_factory.mktemp("stored")
    checkpoint = save_values(folder / "best.pt")
    if request.param == ".pt":
        return checkpoint
    return export(checkpoint, folder / f"network{request.param}", observations=50).path


def test_the_world_breaks_where_masks_are_not_heeded(tmp_path, monkeypatch):
    checkpoint = save_values(tmp_path / "best.pt")
    monkeypatch.setattr("zdqn.rl.greedy.allowed_values", lambda values, allowed: values)
    with pytest.raises(EnvironmentFailedError, match="is not allowed at place 0"):
        evaluate(checkpoint, episodes=1)


def test_one_observation_and_many(stored):
    policy = load_policy(stored)
    assert policy.spec.action_masks
    assert (policy.q_values(PLACES[:4]).argmax(1) != BEST).all(), "else masks would change nothing"
    assert [policy(PLACES[at], MASKS[at]) for at in range(4)] == BEST
    for masks in (MASKS[:4], MASKS[:4].astype(np.int8), MASKS[:4].tolist()):
        assert policy.actions(PLACES[:4], masks).tolist() == BEST
    assert policy.actions(PLACES[:0], MASKS[:0]).tolist() == []


def test_each_action_is_chosen_where_it_alone_is_allowed(stored):
    policy = load_policy(stored)
    for action, mask in enumerate(np.eye(3, dtype=bool)):
        assert policy.actions(PLACES, np.tile(mask, (5, 1))).tolist() == [action] * 5
        assert policy(PLACES[0], mask) == action


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (None, "give the mask of the observation too"),
        ([0, 0, 0], "allows nothing"),
        ([1, 0], "is an array of shape"),
        ([1, 0, 2], "0 and 1"),
        ([1.0, 0.0, 0.0], "float64"),
    ],
)
def test_a_mask_that_is_missing_or_none_is_refused(stored, mask, words):
    policy = load_policy(stored)
    with pytest.raises(UsageError, match=words):
        policy(PLACES[0], mask)
    with pytest.raises(UsageError, match=words):
        policy.actions(PLACES[:1], None if mask is None else [mask])


def test_a_network_that_was_trained_without_masks_heeds_one_that_is_given(tmp_path):
    config, spec = quick_config(), EnvironmentSpec((5,), "float32", 3)
    network = build_network(config, None, spec)
    path = tmp_path / "best.pt"
    save_checkpoint(path, Checkpoint(config, spec, network.state_dict(), Counters()))
    policy = load_policy(path)
    for action, mask in enumerate(np.eye(3, dtype=bool)):
        assert policy(PLACES[0], mask) == action
    assert policy(PLACES[0]) == policy(PLACES[0], [1, 1, 1]) == policy.q_values(PLACES[0]).argmax()


@pytest.mark.parametrize("epsilon", [0, 0.5, 1])
def test_evaluations_do_what_is_allowed_at_random_too(tmp_path, epsilon):
    path = save_values(tmp_path / "best.pt", f"evaluator.epsilon={epsilon}")
    scores = evaluate(path, episodes=6, seed=2)
    assert all(
        total == -length for total, length in zip(scores.returns, scores.lengths, strict=True)
    )
    assert (set(scores.lengths) == {4}) == (epsilon == 0)


def test_what_was_exported_scores_as_the_checkpoint_does(stored):
    assert evaluate(stored, episodes=4).returns == (-4.0,) * 4


def test_the_commands(stored):
    result = CliRunner().invoke(application, ["evaluate", str(stored), "--episodes", "3"])
    assert result.exit_code == 0, result.output
    assert "return -4 ± 0 over 3 episodes" in result.stdout
    exported = stored.with_name("again.torchscript")
    words = ["export", str(stored.with_name("best.pt")), "--torchscript", str(exported)]
    result = CliRunner().invoke(application, [*words, "--observations", "40"])
    assert result.exit_code == 0, result.output
    assert "the same actions for 40 of 40 observations" in result.stdout


def test_in_a_window(stored, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")
    assert show(stored, episodes=2).returns == (-4.0, -4.0)


def test_on_the_dashboard(tmp_path):
    checkpoint = save_values(tmp_path / "best.pt")
    played = play_episode(checkpoint, seed=0, allow_code=["tests.roles.masked_corridor"])
    assert played.told == "best.pt, seed 0: 4 steps, return -4"


@pytest.mark.parametrize("suffix", [".torchscript", ".safetensors"])
def test_what_is_compared_for_an_export_is_what_is_allowed(tmp_path, monkeypatch, suffix):
    """Who differs in what nobody may do acts the same, and who differs elsewhere does not."""
    checkpoint, other = save_values(tmp_path / "best.pt"), tmp_path / "other.pt"
    file, writer = tmp_path / f"network{suffix}", f"_write_{suffix[1:]}"
    write = getattr(exporting, writer)

    def write_other(unfinished, policy, checkpoint, network):
        write(unfinished, policy, other, network)

    monkeypatch.setattr(exporting, writer, write_other)
    save_values(other, values=np.where(MASKS, FORBIDDEN_FIRST, 15.0))
    assert export(checkpoint, file, observations=50).largest_difference == pytest.approx(5)
    file.unlink()
    save_values(other, values=np.where(MASKS, -FORBIDDEN_FIRST, FORBIDDEN_FIRST))
    with pytest.raises(MismatchError, match="chose another action"):
        export(checkpoint, file, observations=50)
    assert not file.exists()


class Silent(MaskedCorridor):
    """Says nothing of what is allowed."""

    def _tell(self):
        return super()._tell()[0], {}


def test_a_world_without_masks_is_refused(stored):
    with pytest.raises(EnvironmentFailedError, match="action_mask"):
        evaluate(stored, episodes=1, environment=Silent)
