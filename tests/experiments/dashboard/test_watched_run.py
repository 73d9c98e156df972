"""A real run with keys and a dashboard beside it: what its page is told while it trains."""

import http.client
import json
import re
import signal
import threading
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("uvicorn", reason='needs "zdqn[dashboard]"')

from tests.launch.test_real_run import TINY, start, wait_until
from zdqn.experiments.dashboard.observer import RunObserver
from zdqn.records.endpoints import read_endpoints
from zdqn.wire.keys.key_folder import KeyFolder
from zdqn.wire.keys.role_keys import open_keys

DEADLINE_S = 90.0
MOST_LINES = 1_000


class Output:
    """What a process writes, read by a thread so that it never waits for a reader."""

    def __init__(self, process):
        self.lines = []
        self._stream = process.stdout
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in self._stream:
            self.lines.append(line)

    def url(self):
        found = re.search(r"dashboard: (http://\S+)", "".join(self.lines))
        return found and found[1]

    def close(self):
        self._thread.join(DEADLINE_S)
        self._stream.close()


def admit(url):
    """Show the token of a URL; give its place and the cookie that it is answered with."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=DEADLINE_S)
    connection.request("GET", f"/?{parts.query}")
    answer: Any = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == 303
    return parts.netloc, answer.getheader("set-cookie").partition(";")[0]


def states(place, cookie):
    """Give each state that a page is told, from first to last."""
    with closing(http.client.HTTPConnection(place, timeout=DEADLINE_S)) as connection:
        connection.request("GET", "/events", headers={"Cookie": cookie})
        with connection.getresponse() as answer:
            assert answer.status == 200
            name = ""
            for _ in range(MOST_LINES):
                line = answer.readline().decode().rstrip("\n")
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: ") and name == "state":
                    yield json.loads(line.removeprefix("data: "))


def updates_of(state):
    value = next(tile["value"] for tile in state["tiles"] if tile["name"] == "updates")
    return int(value.replace(",", "")) if value[0].isdigit() else 0


@pytest.mark.timeout(300)
def test_a_page_is_told_of_a_run_while_it_trains(tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY)
    KeyFolder(tmp_path / "keys").init()
    process = start(
        "run", "tiny.toml", "--run-dir", "x", "--keys", "keys", "--dashboard",
        "--set", "stop.updates=0", "--set", "replay.samples_per_insert=0", cwd=tmp_path,
    )  # fmt: skip
    output = Output(process)
    try:
        wait_until(lambda: output.url() or process.poll() is not None, "the dashboard's URL")
        place, cookie = admit(output.url())
        counts: list[int] = []
        with closing(states(place, cookie)) as told:
            for state in told:
                live = state["contact"]["kind"] == "live"
                if live and updates_of(state) > (counts[-1] if counts else 0):
                    counts.append(updates_of(state))
                if len(counts) == 3:
                    break
        assert len(counts) == 3, "".join(output.lines)
        assert state["contact"]["kind"] == "live"
        assert state["run"]["environment"] == "CartPole-v1"
        keys = open_keys(tmp_path / "keys", "operator")
        for server, link in (("learner", "model"), ("memory", "samples")):
            address = read_endpoints(tmp_path / "x")[server][link]
            words = f"Live: the {server} answers."
            observer = RunObserver(address, None, keys=keys)
            wait_until(lambda o=observer, w=words: o.look().contact.text == w, words)
            if server == "learner":
                found = observer.found_config
                wait_until(lambda o=observer, f=found: o.look() and f.config, "its configuration")
                assert found.config is not None
                assert found.config.replay.samples_per_insert == 0  # as --set has it
            assert RunObserver(address, None).look().contact.kind == "away"  # without keys
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(DEADLINE_S)
        output.close()
    assert process.returncode == 0, "".join(output.lines)
    over = RunObserver(None, tmp_path / "x").look()
    assert over.contact.kind == "over"
    assert over.summary["updates"] >= counts[-1]
    token = urlsplit(output.url()).query.removeprefix("token=")
    logs = "".join(path.read_text() for path in (tmp_path / "x" / "logs").glob("*.log"))
    assert token not in logs
