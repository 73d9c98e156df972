"""README and docs: what they show is run, what they name exists.

Every block of Python and bash is run as it stands, file by file, in a folder that holds copies of
``configs/`` with a second of training in them. A comment in front of a block makes an exception;
``docs/developing.md`` says which there are.
"""

import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import click
import pytest

import zdqn
from tests.kept_ports import kept_pair
from zdqn.cli.application import application
from zdqn.config import (
    FUNCTION_KEYS,
    Config,
    flatten,
    from_dict,
    load_config,
    parse_override,
    to_dict,
    to_toml,
)
from zdqn.config.slurm_sections import SlurmJobSection, SlurmSection
from zdqn.experiments.studies.study_plan import load_study, plan_study
from zdqn.launch.cluster.cluster_file import load_cluster
from zdqn.launch.cluster.cluster_plan import plan_cluster
from zdqn.launch.kubernetes.kubernetes_plan import plan_kubernetes

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))
DEADLINE_S = 250
BLOCK = re.compile(
    r"^(?:<!-- snippet: (?P<marker>.*?) -->\n)?```(?P<language>\w+)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
SHORT = (
    "learner.device=cpu", "learner.report_period_s=0.05", "links.ping_period_s=0.05",
    "network.hidden=[16]", "algorithm.batch_size=16", "replay.min_size=64",
    "replay.samples_per_insert=8", "environment.max_episode_steps=20", "collector.environments=2",
    "evaluator.period_updates=20", "evaluator.episodes=2", "evaluator.environments=2",
    "launch.collectors=1",
)  # fmt: skip
HOSTS = ("alpha", "beta")


@dataclass(frozen=True)
class Snippet:
    language: str
    code: str
    marker: str

    @property
    def is_run(self):
        return self.language in ("bash", "python") and not self.marker.startswith("not run")


def snippets(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    return [
        Snippet(match["language"], match["code"], match["marker"] or "")
        for match in BLOCK.finditer(text)
    ]


def cut_down(path):
    """Give a configuration as TOML that trains for a second and then ends."""
    values = to_dict(load_config(path, SHORT))
    values["stop"] = {"updates": 40}
    return to_toml(from_dict(values))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "configs").mkdir()
    for path in (ROOT / "configs").glob("*.toml"):
        (tmp_path / "configs" / path.name).write_text(cut_down(path), encoding="utf-8")
    return tmp_path


class Shell:
    """Starts commands in a folder, with this interpreter's `zdqn`; none of them outlives it."""

    def __init__(self, folder):
        self._folder = folder
        self._started = []
        self._environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
        }

    def start(self, *argv):
        process = subprocess.Popen(
            argv, cwd=self._folder, env=self._environment, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._started.append(process)
        return process

    def run(self, *argv):
        finish(self.start(*argv))

    def close(self):
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@pytest.fixture
def shell(folder):
    made = Shell(folder)
    yield made
    made.close()


def finish(process):
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, f"{process.args} gave {process.returncode}:\n{output}"


def run_terminals(shell, code):
    """Start all lines at once, the last first, with every host on loopback."""
    with kept_pair() as memory, kept_pair() as learner:
        for port, kept in (("5556", memory), ("5558", learner)):
            code = code.replace(port, str(kept))
        for host in HOSTS:
            code = code.replace(f"//{host}:", "//127.0.0.1:")
        for process in [shell.start("bash", "-c", line) for line in reversed(code.splitlines())]:
            finish(process)


def run_beside_a_run(shell, folder, code):
    """Run commands while a run goes on that only they end."""
    endless = ("--set", "stop.updates=0", "--run-dir", "runs/beside")
    run = shell.start("zdqn", "run", "configs/cartpole.toml", *endless)
    end_s = time.monotonic() + DEADLINE_S
    while not (folder / "runs/beside/evaluations.csv").exists():
        assert run.poll() is None, run.communicate()[0]
        assert time.monotonic() < end_s, "the run did not begin"
        time.sleep(0.05)
    shell.run("bash", "-eu", "-c", code)
    finish(run)


def execute(snippet, shell, folder):
    if snippet.language == "python":
        script = folder / "snippet.py"
        script.write_text(snippet.code, encoding="utf-8")
        shell.run(sys.executable, str(script))
    elif snippet.marker == "terminals":
        run_terminals(shell, snippet.code)
    elif snippet.marker == "beside a run":
        run_beside_a_run(shell, folder, snippet.code)
    else:
        assert not snippet.marker, f"unknown marker: {snippet.marker}"
        shell.run("bash", "-eu", "-c", snippet.code)


def documents_that_run():
    return [name for name in DOCUMENTS if any(snippet.is_run for snippet in snippets(name))]


@pytest.mark.timeout(300)  # several runs of four processes each, which import torch
@pytest.mark.parametrize("document", documents_that_run())
def test_what_a_document_shows_works(document, shell, folder):
    for snippet in snippets(document):
        if snippet.is_run:
            execute(snippet, shell, folder)
    for summary in folder.glob("runs/*/summary.json"):
        assert_everything_is_defined(summary.parent)


def assert_everything_is_defined(run_directory):
    """Every number in a run directory has a definition in docs/algorithm.md."""
    defined = set(re.findall(r"`(\w+)`", (ROOT / "docs/algorithm.md").read_text(encoding="utf-8")))
    written = set(json.loads((run_directory / "summary.json").read_text()))
    for line in (run_directory / "metrics.jsonl").read_text().splitlines():
        written |= json.loads(line).keys()
    evaluations = run_directory / "evaluations.csv"
    if evaluations.exists():
        with evaluations.open() as lines:
            written |= set(csv.DictReader(lines).fieldnames or ())
    assert written <= defined, f"not defined in docs/algorithm.md: {sorted(written - defined)}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_and_flag_exists(document):
    for snippet in snippets(document):
        if snippet.language == "bash":
            for line in snippet.code.splitlines():
                check_line(shlex.split(line, comments=True))


def check_line(words):
    if not words:
        return
    if words[0].startswith("bin/"):
        assert os.access(ROOT / words[0], os.X_OK), words[0]
    if words[0] == "zdqn":
        check_zdqn([word for word in words[1:] if word not in (">", "&")])


def check_zdqn(arguments):
    command: click.Command = application
    while isinstance(command, click.Group):
        name, *arguments = arguments
        found = command.get_command(click.Context(command), name)
        assert found is not None, f"there is no command {name}"
        command = found
    flags = {
        flag
        for parameter in command.params
        for flag in (*parameter.opts, *parameter.secondary_opts)
    }
    given = {word for word in arguments if word.startswith("--")}
    assert given <= flags, f"{command.name} has no {sorted(given - flags)}"
    for flag, value in pairwise(arguments):
        if flag == "--set":
            parse_override(value)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_toml_loads(document, tmp_path):
    for snippet in snippets(document):
        if snippet.language == "toml":
            path = tmp_path / "snippet.toml"
            path.write_text(snippet.code, encoding="utf-8")
            if snippet.marker == "cluster":
                cluster = load_cluster(path)
                if cluster.memory.host or not cluster.kubernetes.image:
                    assert plan_cluster(cluster, Config(), source=path).processes
                if cluster.kubernetes.image:
                    assert plan_kubernetes(cluster, Config(), source=path).clients
            elif snippet.marker == "study":
                (tmp_path / "configs").symlink_to(ROOT / "configs")
                assert plan_study(load_study(path), path).runs()
            else:
                assert isinstance(load_config(path), Config)


def test_the_readme_shows_the_file_of_a_lab_that_its_commands_launch():
    (shown,) = [snippet.code for snippet in snippets("README.md") if snippet.marker == "cluster"]
    there = (ROOT / "configs" / "clusters" / "lab.toml").read_text(encoding="utf-8")
    values = tomllib.loads(there)
    del values["kubernetes"]
    assert tomllib.loads(shown) == values


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    here = ROOT / document
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", here.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        page = here.parent / path if path else here
        assert page.exists(), f"{document} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", name).replace(" ", "-").lower() for name in headings}
            assert anchor in anchors, f"{document} links to {target}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_key_that_is_named_exists(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    sections = "|".join(Config.__struct_fields__)
    absent = {"environment.max_episode_steps", "stop.evaluation_return", *FUNCTION_KEYS}
    known = {*flatten(Config()), *absent}
    for name in re.findall(rf"`(?:--set )?\"?((?:{sections})\.[a-z]\w*)(?![\w.(:/])", text):
        assert name in known, f"{document} names {name}"


def test_every_extra_is_explained():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "docs/quickstart.md").read_text(encoding="utf-8")
    assert [name for name in project["optional-dependencies"] if f"`{name}`" not in text] == []


def test_every_page_and_every_program_is_listed_on_the_first_page():
    docs = ROOT / "docs"
    text = (docs / "index.md").read_text(encoding="utf-8")
    pages = [path.relative_to(docs) for path in docs.rglob("*.md") if path.name != "index.md"]
    programs = [path.relative_to(docs) for path in (docs / "examples").glob("*.[cpi]*")]
    assert len(pages) > 15
    assert len(programs) > 5
    assert [str(path) for path in (*pages, *programs) if f"({path})" not in text] == []


def test_every_file_that_the_developers_page_names_is_there():
    text = (ROOT / "docs" / "developing.md").read_text(encoding="utf-8")
    walks = text[text.index("## Five walks") : text.index("## Where what comes would go")]
    places = set(re.findall(r"`(zdqn/[a-z0-9_/.]+)`", text))
    places |= {f"zdqn/{place}.py" for place in re.findall(r"`((?:\w+/)+\w+)`", walks)}
    assert len(places) > 50
    assert [place for place in sorted(places) if not (ROOT / place).exists()] == []


def test_a_bare_name_on_the_developers_page_is_a_file_of_a_folder_that_its_row_names():
    text = (ROOT / "docs" / "developing.md").read_text(encoding="utf-8")
    looked_at = 0
    for row in re.findall(r"^\| .* \|$", text, re.MULTILINE):
        folders = re.findall(r"`((?:zdqn|tests|docs)/(?:\w+/)*)\w*(?:\.py)?`", row)
        for name in re.findall(r"`(\w+\.py)`", row):
            looked_at += 1
            assert any((ROOT / folder / name).exists() for folder in folders), (name, row)
    assert looked_at > 50


def test_every_folder_of_the_package_has_its_place_on_the_developers_page():
    text = (ROOT / "docs" / "developing.md").read_text(encoding="utf-8")
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "zdqn").rglob("*.py")}
    named = [folder for folder in folders if len(folder.parts) > 1]
    assert [str(folder) for folder in named if f"`{folder}/" not in text] == []


def test_every_key_of_slurm_is_explained():
    text = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    rows = text[text.index("### What Slurm is asked for") : text.index("### What happens to a job")]
    keys = {*SlurmSection.__struct_fields__, *SlurmJobSection.__struct_fields__}
    assert [key for key in sorted(keys) if f"`{key}`" not in rows] == ["collectors", "servers"]


def test_everything_that_is_exported_is_in_the_table_of_the_python_page():
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    names = set(re.findall(r"`(\w+)`", text[text.index("## What there is") :]))
    assert [name for name in zdqn.__all__ if name not in names] == ["__version__"]
    assert names - set(zdqn.__all__) == {"exit_code"}
