"""An agent whose program says what is allowed: with each observation, or never."""

import gymnasium
import msgspec
import numpy as np
import pytest

from tests.roles.agent.hosts import NOWHERE
from tests.roles.conftest import DEADLINE_S
from tests.roles.corridor_run import configured
from tests.wire.fake_server import WELCOME
from zdqn.config import to_dict
from zdqn.data import EnvironmentSpec
from zdqn.errors import UsageError
from zdqn.rl.action_masks import unpack_masks
from zdqn.wire import codec, payloads
from zdqn.wire.model_messages import ActionRequest, Actions

SPEC = EnvironmentSpec((2,), "float32", 4, action_masks=True)
SPACES = {
    "observation_space": gymnasium.spaces.Box(-1, 1, (2,), np.float32),
    "action_space": gymnasium.spaces.Discrete(4, start=10),
}
MASKS = "environment.action_masks=true"
RANDOM = ("exploration.epsilon_initial=1", "exploration.epsilon_final=1")
ASCENDING = {
    "head.weight": np.zeros((4, 2), np.float32), "head.bias": np.arange(4, dtype=np.float32),
}  # fmt: skip
HERE, THERE = np.zeros(2, np.float32), np.ones(2, np.float32)


def agent_of(host, *overrides, serve=None, **options):
    serves = {"network": ASCENDING, **(serve or {})}
    return host.agent(*overrides, serve=serves, **{**SPACES, **options})


@pytest.mark.parametrize("overrides", [(), RANDOM], ids=["greedy", "random"])
@pytest.mark.parametrize("configure", [True, False], ids=["configured", "by the learner"])
def test_nothing_is_ever_done_that_is_not_allowed_and_masks_go_with_their_frames(
    host, overrides, configure
):
    rng = np.random.default_rng(1)
    sent = []
    with agent_of(host, MASKS, *overrides, configure=configure) as agent:
        mask = np.array([True, False, True, False])
        for number in range(40):
            observation = np.full(2, number / 50, np.float32)
            action = agent.act(observation, mask) - 10
            assert mask[action]
            if not overrides:
                assert action == np.flatnonzero(mask)[-1]
            sent.append(mask)
            mask = rng.random(4) < 0.5
            mask[rng.integers(4)] = True
            following = np.full(2, (number + 1) / 50, np.float32)
            assert agent.observe(0.0, following, next_mask=mask.astype(np.int8))
    sent.append(mask)
    rows = 0
    for _, block in host.all_blocks(SPEC):
        masks = unpack_masks(block.masks, 4)
        for frame, found in zip(block.frames, masks, strict=True):
            assert found.tolist() == sent[round(50 * float(frame[0]))].tolist()
        rows += len(block)
    assert rows == 40


def test_the_learner_is_asked_for_an_action_that_is_allowed(host):
    seen = []

    def answer(header):
        message = codec.decode(host.learner.bodies[-1])
        layout = payloads.action_request_layout(header, SPEC)
        seen.append(unpack_masks(codec.read_arrays(message, layout)[1], 4).tolist())
        return bytes(codec.encode(Actions(count=1, weight_version=3), (np.array([2]),)))

    serve = {ActionRequest.__name__: [answer]}
    with agent_of(host, MASKS, "collector.policy=remote", serve=serve) as agent:
        assert agent.act(HERE, [0, 0, 1, 1]) == 12
    assert seen == [[[False, False, True, True]]]


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (None, r"mask is missing, but environment\.action_masks is true"),
        ([1, 1], r"mask is an array of shape \(2,\).*\(4,\)"),
        ([0.5, 0, 0, 1], "float64"),
        ([0, 0, 0, 0], "mask allows nothing"),
    ],
)
def test_act_refuses_what_is_no_mask_by_its_name(host, mask, words):
    with agent_of(host, MASKS) as agent:
        agent.wait_until_ready()
        with pytest.raises(UsageError, match=words):
            agent.act(HERE, mask)
        assert agent.act(HERE, [0, 0, 0, 1]) == 13


def test_observe_needs_the_mask_of_what_is_observed_unless_the_episode_is_over_for_good(host):
    with agent_of(host, MASKS) as agent:
        agent.wait_until_ready()
        agent.act(HERE, [1, 1, 1, 1])
        for ends in ({}, {"truncated": True}):
            with pytest.raises(UsageError, match="next_mask is missing"):
                agent.observe(0.0, THERE, **ends)
        with pytest.raises(UsageError, match="next_mask allows nothing"):
            agent.observe(0.0, THERE, truncated=True, next_mask=[0, 0, 0, 0])
        assert agent.observe(0.0, THERE, True)
        agent.act(HERE, [1, 1, 1, 1])
        assert agent.observe(0.0, THERE, True, next_mask=[0, 0, 0, 0])


def test_one_mask_at_a_time_for_one_observation(host):
    with agent_of(host, MASKS) as agent:
        agent.wait_until_ready()
        agent.act(HERE, [1, 1, 1, 1])
        agent.observe(0.0, THERE, next_mask=[0, 1, 0, 0])
        with pytest.raises(UsageError, match=r"mask differs from the one.*next_mask"):
            agent.act(THERE, [0, 1, 1, 0])
        assert agent.act(THERE, [False, True, False, False]) == 11


def test_a_mask_in_a_run_without_masks_is_refused_and_not_ignored(host):
    with agent_of(host) as agent:
        agent.wait_until_ready()
        with pytest.raises(UsageError, match=r"mask is given, but environment\.action_masks is f"):
            agent.act(HERE, [1, 1, 1, 1])
        assert agent.act(HERE) == 13
        with pytest.raises(UsageError, match="next_mask is given"):
            agent.observe(0.0, THERE, next_mask=[1, 1, 1, 1])
        assert agent.observe(0.0, THERE)


def test_what_others_did_is_logged_if_it_was_allowed(host):
    with agent_of(host, MASKS) as agent:
        agent.wait_until_ready()
        masks = {"mask": [1, 0, 1, 0], "next_mask": [0, 1, 0, 0]}
        with pytest.raises(UsageError, match=r"action.* holds 1, .*allows \[0, 2\]"):
            agent.log(HERE, 11, 0.0, THERE, **masks)
        assert agent.log(HERE, 12, 0.0, THERE, **masks)
        assert agent.log(THERE, 11, 0.0, HERE, True, mask=[0, 1, 0, 0])
    ((_, block),) = host.blocks(1, SPEC)
    assert block.records["action"].tolist() == [2, 1]
    assert unpack_masks(block.masks, 4).astype(int).tolist() == [
        [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0],
    ]  # fmt: skip


def test_with_nobody_there_it_acts_at_random_within_the_mask(host):
    agent = host.of_learner(
        None, learner=NOWHERE, when_away="act_randomly", timeout_s=0.0, **SPACES
    )
    with agent:
        for _ in range(30):
            assert agent.act(HERE, [0, 1, 0, 1]) in (11, 13)
            agent.observe(0.0, HERE, next_mask=[0, 1, 0, 1])
        with pytest.raises(UsageError, match="mask is an array of shape"):
            agent.act(HERE, [0, 1])


def test_what_it_did_without_a_mask_before_it_knew_of_the_run_is_not_recorded(host):
    config = configured(MASKS, *RANDOM)
    host.serve(config, network=ASCENDING, Hello=[None])
    agent = host.of_learner(None, when_away="act_randomly", timeout_s=0.0, **SPACES)
    with agent:
        agent.act(HERE)
        agent.observe(0.0, THERE)
        agent.act(THERE)
        tells = {"config": to_dict(config), "memory": str(host.memory.address)}
        host.learner.add("Hello", msgspec.structs.replace(WELCOME, **tells))
        agent.wait_until_ready(DEADLINE_S)
        with pytest.raises(UsageError, match="next_mask is missing"):
            agent.observe(0.0, HERE)
        assert not agent.observe(0.0, HERE, True)
        assert agent.status.environment_steps == 0
        agent.act(HERE, [1, 1, 1, 1])
        assert agent.observe(0.0, HERE, True)
