"""The thread of an agent: what it makes of a configuration, and what it fails with."""

import pytest

from tests.roles.agent.hosts import GREEDY, NOWHERE, SPACES, corridor, place, play
from tests.roles.corridor_run import configured
from zdqn.errors import ConfigError, RoleFailedError
from zdqn.roles.agent.agent import Agent
from zdqn.roles.building import use_threads
from zdqn.wire.protocol import Hello


def test_the_environment_that_is_named_is_not_made_and_needs_not_be_allowed(host):
    config = ("environment.id=nobody_has:this", "environment.wrappers=[{name='nor:That'}]")
    with host.agent(*config, configure=False) as agent:
        assert agent.wait_until_ready()
        play(agent, corridor(), 4)


def test_a_network_of_somebody_elses_must_be_allowed(host):
    with (
        host.agent("network.kind=nobody_has:this", configure=False) as agent,
        pytest.raises(ConfigError, match="--allow-code nobody_has"),
    ):
        agent.act(place(0))


@pytest.mark.parametrize("policy", ["local", "remote", None])
def test_it_agrees_with_the_learner_whatever_is_its_own(host, policy):
    with host.agent("collector.environments=3", policy=policy, episodes=2) as agent:
        assert agent.wait_until_ready()
    (hello,) = (header for header in host.learner.heard if isinstance(header, Hello))
    assert hello.shared is not None
    assert not [
        key for key in hello.shared if key in ("collector.policy", "collector.environments")
    ]


def test_more_episodes_than_a_block_holds_are_refused_at_once():
    with pytest.raises(ConfigError, match="block_transitions"):
        Agent(configured(*GREEDY), learner=NOWHERE, episodes=5, **SPACES)


def test_a_network_in_pytorch_leaves_the_threads_of_the_program_as_they_are(host):
    import torch

    def network(spec):
        made = torch.nn.Linear(5, 2)
        with torch.no_grad():
            made.weight.zero_()
            made.bias.copy_(torch.tensor([0.0, 1.0]))
        return made

    before = torch.get_num_threads()
    use_threads(2)
    try:
        arrays = {
            name: value.detach().numpy() for name, value in network(None).state_dict().items()
        }
        with host.agent(network=network, serve={"network": arrays}) as agent:
            assert play(agent, corridor(), 4) == [1] * 4
            assert torch.get_num_threads() == 2
    finally:
        use_threads(before)


def test_what_breaks_in_it_is_a_failure_with_a_name_and_a_log(host, monkeypatch, caplog):
    def broken(*arguments, **options):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("zdqn.roles.collecting_client.make_policy", broken)
    with (
        host.agent() as agent,
        pytest.raises(RoleFailedError, match=r"link broke: ZeroDivisionError\('a bug'\)"),
    ):
        agent.act(place(0))
    assert "the link of the agent a-0 broke" in caplog.text
