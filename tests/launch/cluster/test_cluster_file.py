"""The file that says which host runs what: read, and refused with the words of a configuration."""

import pytest

from zdqn.errors import ConfigError, FileError
from zdqn.launch.cluster.cluster_file import load_cluster, load_cluster_config

SMALL = """
[memory]
host = "a"
[learner]
host = "b"
[[collectors]]
hosts = ["c[1-2]"]
"""


def write(folder, text):
    path = folder / "cluster.toml"
    path.write_text(text)
    return path


def test_what_is_not_said_has_its_default(tmp_path):
    cluster = load_cluster(write(tmp_path, SMALL))
    assert cluster.memory.host == "a"
    assert cluster.collectors[0].each == 1
    assert cluster.defaults.python == "python3"
    assert cluster.ssh.at_once == 8


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[memry]\nhost = "a"', r'there is no key "memry" in .*Did you mean "memory"'),
        ("[memory]\nhost = 3", r"memory\.host is 3\. Expected str.*The host that it runs on"),
        ("[memory]\nprt = 3", r'there is no key "prt" in section \[memory\]'),
        ('[[collectors]]\nhosts = ["a"]\neach = 0', r"collectors\[0\]\.each is 0\. .*>= 1"),
        ("[ssh]\nat_once = 1_000", r"ssh\.at_once is 1000.*<= 100.*at the same time"),
        ('[[hosts]]\npython = "x"', "missing required field names"),
        ("= 3", "is not valid TOML"),
    ],
)
def test_a_mistake_is_named_with_the_way_out(tmp_path, text, words):
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=words) as error:
        load_cluster(path)
    assert str(path) in str(error.value)


def test_the_configuration_stands_in_a_file_beside_it(tmp_path):
    (tmp_path / "run.toml").write_text("[replay]\ncapacity = 123\nmin_size = 10\n")
    path = write(tmp_path, 'config = "run.toml"\n' + SMALL)
    config = load_cluster_config(load_cluster(path), path, ["run.seed=4"])
    assert (config.replay.capacity, config.run.seed) == (123, 4)


def test_or_in_the_file_itself(tmp_path):
    path = write(tmp_path, "[config.replay]\ncapacity = 123\nmin_size = 10\n" + SMALL)
    config = load_cluster_config(load_cluster(path), path, ["run.seed=4"])
    assert (config.replay.capacity, config.run.seed) == (123, 4)


def test_a_mistake_in_it_is_one_of_the_configuration(tmp_path):
    path = write(tmp_path, "[config.replay]\ncapcity = 123\n" + SMALL)
    with pytest.raises(ConfigError, match=r'cluster\.toml, \[config\].*Did you mean "capacity"'):
        load_cluster_config(load_cluster(path), path)


def test_a_configuration_that_is_not_there_is_named(tmp_path):
    path = write(tmp_path, 'config = "no.toml"\n' + SMALL)
    with pytest.raises(FileError, match=r"no\.toml"):
        load_cluster_config(load_cluster(path), path)
