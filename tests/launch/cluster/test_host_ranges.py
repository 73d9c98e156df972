"""Names of hosts, written short."""

import pytest

from zdqn.config.cluster_sections import ClientsSection
from zdqn.errors import ConfigError
from zdqn.launch.cluster.host_ranges import count_clients, expand_hosts


@pytest.mark.parametrize(
    ("patterns", "hosts"),
    [
        (["gpu1"], ["gpu1"]),
        (["cpu[01-03]"], ["cpu01", "cpu02", "cpu03"]),
        (["cpu[8-11]"], ["cpu8", "cpu9", "cpu10", "cpu11"]),
        (["me@n[1,3,08-09].lab"], ["me@n1.lab", "me@n3.lab", "me@n08.lab", "me@n09.lab"]),
        (["r[1-2]n[1-2]"], ["r1n1", "r1n2", "r2n1", "r2n2"]),
        (["a", "b", "a"], ["a", "b"]),
        ([], []),
    ],
)
def test_patterns_stand_for_hosts(patterns, hosts):
    assert expand_hosts(patterns, parameter="hosts") == tuple(hosts)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("cpu[3-1]", "is no range"),
        ("cpu[a-b]", "is no range"),
        ("cpu[]", "is no range"),
        ("cpu[1-99999]", "more than 1,000"),
        ("a[1-99]b[1-99]", "more than 1,000"),
        ("-oProxyCommand=evil", "is no host"),
        ("a b", "is no host"),
        ("$(touch x)", "is no host"),
        ("cpu[1", "is no host"),
        ("", "is no host"),
    ],
)
def test_what_is_no_host_is_refused_by_name(pattern, words):
    with pytest.raises(ConfigError, match=r"collectors\[0\]\.hosts has ") as error:
        expand_hosts([pattern], parameter="collectors[0].hosts")
    assert words in str(error.value)
    assert f'"{pattern}"' in str(error.value)


def test_processes_are_counted_whether_hosts_are_named_or_not():
    assert count_clients(ClientsSection(hosts=("c[1-2]", "d"), each=4), parameter="x") == 12
    assert count_clients(ClientsSection(count=5), parameter="x") == 5
    for section, words in (
        (ClientsSection(), "x has neither count nor hosts"),
        (ClientsSection(hosts=("d",), count=1), "x has hosts and count = 1"),
    ):
        with pytest.raises(ConfigError, match=words):
            count_clients(section, parameter="x")
