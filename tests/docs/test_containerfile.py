"""The file of an image that docs/deploy/ has: what can be said of it without building one."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from zdqn.config.kubernetes_sections import KubernetesSection

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "deploy" / "Containerfile"
WORDS = {"ARG", "FROM", "RUN", "COPY", "USER", "ENV", "WORKDIR", "ENTRYPOINT", "CMD"}


def instructions():
    text = re.sub(r"^#.*\n", "", FILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = re.sub(r"\\\n", " ", text).splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]


def of(word):
    return [rest for found, rest in instructions() if found == word]


def test_it_is_made_of_instructions_that_there_are():
    assert {word for word, _ in instructions()} == WORDS
    assert instructions()[0][0] == "ARG"  # of FROM
    assert instructions()[1][0] == "FROM"


def test_what_it_copies_is_there_and_is_all_that_zdqn_is_built_of():
    copied = {source for rest in of("COPY") for source in rest.split()[:-1]}
    assert all((ROOT / source).exists() for source in copied)
    built = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert {"pyproject.toml", built["project"]["readme"], "zdqn"} <= copied
    assert built["tool"]["setuptools"]["packages"]["find"]["include"] == ["zdqn*"]


def test_every_argument_is_used_and_every_variable_is_one():
    declared = {rest.partition("=")[0] for rest in of("ARG")}
    used = {name for _, rest in instructions() for name in re.findall(r"\$\{(\w+)\}", rest)}
    assert used == declared


def test_its_user_is_that_of_the_manifests_and_a_number():
    (user,) = of("USER")
    assert int(user) == KubernetesSection().user
    assert any(f"useradd --uid {user} " in rest for rest in of("RUN"))
    words = [word for word, _ in instructions()]
    assert words.index("USER") > max(i for i, word in enumerate(words) if word == "RUN")


def test_tini_is_installed_and_is_process_1():
    (entrypoint,) = of("ENTRYPOINT")
    assert entrypoint == '["tini", "--", "zdqn"]'
    assert any("apt-get install" in rest and " tini " in rest for rest in of("RUN"))


@pytest.mark.parametrize("line", [rest for word, rest in instructions() if word == "RUN"])
def test_every_command_can_be_taken_apart_by_a_shell(line):
    assert shlex.split(line)[0] in ("apt-get", "pip", "useradd")


def test_extras_that_it_installs_are_extras():
    built = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (extras,) = (rest.partition("=")[2] for rest in of("ARG") if rest.startswith("EXTRAS="))
    assert set(extras.split(",")) <= set(built["project"]["optional-dependencies"])
