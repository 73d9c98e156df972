"""The memory on another host: what becomes of a run whose cable is cut, reset, slow or lossy."""

import json
import shutil
import sys
import threading

import pytest

from tests.network.cable import ADDRESSES
from tests.network.two_hosts import TwoHosts
from tests.roles.conftest import eventually
from tests.roles.processes import Processes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ZDQN = (sys.executable, "-m", "zdqn")
SETTINGS = ("learner.checkpoint_period_updates=20", "links.dead_after_s=1", "stop.updates=0")


@pytest.fixture
def hosts():
    try:
        made = TwoHosts()
    except OSError as error:
        pytest.skip(f"no network namespaces here: {error}")
    yield made
    made.close()


class Run:
    """A memory, on the far host if nothing else is said; learner and collector on the near one."""

    def __init__(self, folder, hosts, *settings, place="far"):
        self.hosts = hosts
        self.acked = "links.delivery=acked" in settings
        self.processes = Processes(folder, *SETTINGS, *settings)
        self.memory = self.start("memory", place, "run.toml")
        self.samples = self.memory.says(r"serving samples at (\S+)")[1]
        self.learner, self.model = self.start_learner("near", "run")
        self.collector = self.start("collector", "near", "--learner", self.model)

    def start(self, role, host, *arguments, bind=""):
        bind = ("--bind", bind or f"tcp://{ADDRESSES[host]}:0", "--insecure")
        more = bind if role in ("memory", "learner") else ()
        return self.processes.start(role, *arguments, *more, prefix=self.hosts.on(host))

    def start_learner(self, host, folder, *more):
        learner = self.start(
            "learner", host, "run.toml", "--memory", self.samples, "--run-dir", folder, *more
        )
        return learner, learner.says(r"serving the model at (\S+)")[1]

    def updates(self):
        """Read how many were saved last, 0 before the first time."""
        saved = (self.processes.folder / "run" / "checkpoints").glob("update-*.pt")
        return max((int(path.stem.removeprefix("update-")) for path in saved), default=0)

    def goes_on(self):
        """Wait for more updates."""
        before = self.updates()
        eventually(lambda: self.updates() > before + 40, "more updates")

    def finish(self):
        """End the run, and hold its account against itself; gives its summary."""
        self.learner.kill(15)
        assert self.collector.end() == self.memory.end() == 0
        summary = self.processes.summary()
        parts = ("blocks", "blocks_lost", "blocks_refused", "blocks_in_flight")
        assert summary["blocks_sent"] == sum(summary[name] for name in parts)
        assert summary["blocks_refused"] == 0
        assert self.acked or not summary["blocks_duplicated"]
        return summary


@pytest.fixture
def run(tmp_path, hosts, request):
    made = None
    try:
        settings, place = getattr(request, "param", ()), "far"
        if settings == ("near",):
            settings, place = (), "near"
        made = Run(tmp_path, hosts, *settings, place=place)
        made.goes_on()
        yield made
    finally:
        if made is not None:
            made.processes.close()


@pytest.mark.parametrize("direction", ["both", "far"])
def test_a_cut_of_seconds_loses_nothing(run, direction):
    run.hosts.order("cut", direction)
    run.learner.says("the memory at .* does not answer")
    run.hosts.order("heal")
    run.goes_on()
    assert run.finish()["blocks_lost"] == 0


@pytest.mark.parametrize("direction", ["both", "far"])
def test_after_a_cut_of_a_minute_the_account_is_exact(run, direction):
    run.hosts.order("cut", direction)
    threading.Event().wait(60)
    run.hosts.order("heal")
    run.goes_on()
    run.finish()


def test_connections_that_are_reset_come_back_and_what_is_lost_is_counted(run):
    for _ in range(3):
        run.hosts.reset()
        run.goes_on()
    run.finish()


@pytest.mark.parametrize("run", [("links.delivery=acked",)], indirect=True)
def test_with_acknowledged_delivery_resets_lose_nothing(run):
    for _ in range(3):
        run.hosts.reset()
        run.goes_on()
    assert run.finish()["blocks_lost"] == 0


def test_a_slow_and_lossy_cable_loses_no_block(run):
    run.hosts.order("delay", 40, 5, 0.02)
    run.goes_on()
    run.hosts.order("heal")
    assert run.finish()["blocks_lost"] == 0


def test_a_host_that_is_replaced_by_another_at_its_address(run):
    """The old one says no word of farewell, and the new one knows nothing of its connections."""
    run.hosts.order("cut", "both")
    run.memory.kill()
    run.hosts.forget("far")
    run.memory = run.start("memory", "far", "run.toml", bind=run.samples)
    run.memory.says("serving samples")
    run.hosts.order("heal")
    run.goes_on()
    run.memory.says("joined as collector")
    run.finish()


@pytest.mark.parametrize("run", [("near",)], indirect=True, ids=["memory on the near host"])
def test_one_collector_with_a_narrow_link_slows_nobody_else(run):
    """Its blocks wait at its own end, and its signs of life come through beside them."""
    run.hosts.order("rate", 20_000)
    narrow = run.start("collector", "far", "--learner", run.model, "--name", "narrow")
    run.memory.says("narrow has joined")

    def sent():
        status = json.loads(run.hosts.run("near", *ZDQN, "status", run.samples, "--json"))
        rows = {row["name"]: row for row in status["memory"]["clients"]}
        return rows["narrow"].get("blocks_sent") and rows

    rows = eventually(sent, "blocks by the narrow link")
    run.goes_on()
    (other,) = (
        name for name, row in rows.items() if row["role"] == "collector" and name != "narrow"
    )
    assert rows[other]["blocks_sent"] > rows["narrow"]["blocks_sent"]
    assert "narrow has been silent" not in run.learner.log + run.memory.log
    run.hosts.order("heal")
    assert run.finish()["blocks_lost"] == 0
    assert narrow.end() == 0


def test_a_learner_that_comes_back_from_behind_a_cut_is_fenced_out(run):
    eventually(run.updates, "a checkpoint")
    copied = run.processes.folder / "elsewhere"
    run.hosts.order("cut", "both")
    shutil.copytree(run.processes.folder / "run", copied)
    newer, _ = run.start_learner("far", copied, "--resume", copied)
    newer.says(r"resuming from .* at (\d+) updates")
    joined = "learner has joined as learner"
    eventually(lambda: run.memory.log.count(joined) == 2, "the newer learner at the memory")
    run.hosts.order("heal")
    assert run.learner.end() == 75
    assert "a newer learner (epoch 2) has taken over" in run.learner.log
