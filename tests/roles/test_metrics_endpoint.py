"""Who asks as Prometheus does is told how the run goes."""

import logging
import re
import socket
import urllib.request
from contextlib import ExitStack
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.launch.views import collector, status
from tests.roles.conftest import eventually, quick_config
from zdqn.config import Config
from zdqn.errors import AddressInUseError, ConfigError
from zdqn.records.run_claim import RunClaim
from zdqn.records.run_files import RunFiles
from zdqn.roles import metrics_endpoint
from zdqn.roles.learner.role import Learner
from zdqn.roles.metrics_endpoint import open_endpoint, parse_place
from zdqn.roles.single import Single

NOBODY_THERE = (OSError, HTTPException)
"""Refused; or somebody else has the port by now, who speaks otherwise."""
pytest.importorskip("prometheus_client", reason='pip install "zdqn[prometheus]"')


def at(place):
    return Config().replace("sinks.prometheus", place)


def ask(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()


def samples(url):
    from prometheus_client.parser import text_string_to_metric_families

    return {
        (sample.name, sample.labels.get("name", "")): sample.value
        for family in text_string_to_metric_families(ask(url))
        for sample in family.samples
    }


def test_each_question_is_answered_with_what_is_known_then():
    updates = iter((3, 4))

    def now():
        told = status(updates=next(updates))
        told.clients.append(collector(1))
        return told

    with open_endpoint(at("127.0.0.1:0"), now, run='a "run"\n', insecure=False) as endpoints:
        first, second = samples(endpoints["metrics"]), samples(endpoints["metrics"])
    assert (first["zdqn_updates_total", ""], second["zdqn_updates_total", ""]) == (3, 4)
    assert first["zdqn_collector_environment_steps_total", "collector-1"] == 9_001


def test_nobody_listens_where_nobody_wants_it():
    with open_endpoint(Config(), status, run="first", insecure=False) as endpoints:
        assert endpoints == {}


def test_it_is_over_when_it_is_left():
    with open_endpoint(at("127.0.0.1:0"), status, run="first", insecure=False) as endpoints:
        assert "zdqn_loss" in ask(endpoints["metrics"])
    with pytest.raises(NOBODY_THERE):
        ask(endpoints["metrics"])


def test_who_connects_and_asks_nothing_takes_no_more_than_its_room(monkeypatch):
    """Each would be a thread and an open file of the learner's, for as long as it likes."""
    monkeypatch.setattr(metrics_endpoint, "MOST_AT_ONCE", 2)
    monkeypatch.setattr(metrics_endpoint._Question, "timeout", 60)
    with open_endpoint(at("127.0.0.1:0"), status, run="first", insecure=False) as endpoints:
        place = "127.0.0.1", urlsplit(endpoints["metrics"]).port
        with ExitStack() as stack:
            links = [stack.enter_context(socket.create_connection(place, 60)) for _ in range(3)]
            assert links[2].recv(1) == b""
            for link in links[:2]:
                link.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
                assert b" 200 " in link.makefile("rb").readline()


def test_a_question_that_does_not_come_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(metrics_endpoint._Question, "timeout", 0.2)
    with (
        open_endpoint(at("127.0.0.1:0"), status, run="first", insecure=False) as endpoints,
        socket.create_connection(
            ("127.0.0.1", urlsplit(endpoints["metrics"]).port), timeout=60
        ) as link,
    ):
        assert link.recv(1) == b""


def test_a_port_that_is_taken_is_refused_with_a_way_out():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(AddressInUseError, match=rf"127\.0\.0\.1:{port}.*--metrics-port"),
            open_endpoint(at(f"127.0.0.1:{port}"), status, run="first", insecure=False),
        ):
            pass


def test_an_address_of_another_machine_is_refused():
    with (
        pytest.raises(ConfigError, match="nothing can listen"),
        open_endpoint(at("192.0.2.1:0"), status, run="first", insecure=True),
    ):
        pass


@pytest.mark.parametrize("place", ["9464", "127.0.0.1", ":9464", "127.0.0.1:65536", "a:-1", "a:x"])
def test_what_is_no_place_is_refused(place):
    with pytest.raises(ConfigError, match=r"sinks\.prometheus is .*HOST:PORT"):
        parse_place(place, insecure=False)


@pytest.mark.parametrize("place", ["0.0.0.0:9464", "10.0.0.7:9464", "[::]:9464", "alpha:9464"])
def test_where_others_could_ask_somebody_must_insist(place):
    with pytest.raises(ConfigError, match=r"sinks\.prometheus is .*--insecure"):
        parse_place(place, insecure=False)
    assert parse_place(place, insecure=True).port == 9464


@pytest.mark.parametrize("place", ["127.0.0.1:9464", "localhost:9464", "[::1]:9464"])
def test_this_machine_may_always_ask(place):
    assert parse_place(place, insecure=False).port == 9464


def test_a_learner_tells_from_its_start_and_says_where(context, tmp_path):
    told: list[dict[str, str]] = []
    with Learner(
        quick_config("sinks.prometheus=127.0.0.1:0"), memory="tcp://127.0.0.1:1",
        run_directory=tmp_path / "run", bind="tcp://127.0.0.1:0", context=context,
        on_bound=told.append,
    ) as learner:  # fmt: skip
        assert told == [learner.endpoints]
        assert samples(learner.endpoints["metrics"])["zdqn_phase", ""] == 1


def test_a_run_answers_every_query_of_the_dashboard(system):
    path = Path(__file__).parents[2] / "docs" / "grafana.json"
    asked = set(re.findall(r"zdqn_\w+", path.read_text(encoding="utf-8")))
    config = quick_config(
        "sinks.prometheus=127.0.0.1:0", "stop.updates=0", "evaluator.period_updates=20"
    )
    learner = system.learner(config, system.memory(config))
    system.collector(config, learner)
    system.evaluator(config, learner)
    url = learner.role.endpoints["metrics"]
    unanswered = sorted(asked)

    def all_are_answered():
        told = {name for name, _ in samples(url)}
        unanswered[:] = sorted(asked - told)
        return not unanswered

    eventually(all_are_answered, unanswered)
    learner.stop_event.set()
    learner.result()


def test_a_training_of_one_process_tells_too_and_leaves_nothing_listening(tmp_path, caplog):
    caplog.set_level(logging.INFO, "zdqn.learner")
    config = quick_config("sinks.prometheus=127.0.0.1:0", "stop.updates=5")
    with Single(config, run_directory=tmp_path / "run") as single:
        (url,) = re.findall(r"metrics for Prometheus at (\S+)", caplog.text)
        single.run()
        assert samples(url)["zdqn_updates_total", ""] == 5
    with pytest.raises(NOBODY_THERE):
        ask(url)


@pytest.mark.parametrize("kind", ["Learner", "Single"])
def test_a_refused_place_leaves_the_run_directory_to_others(context, tmp_path, kind):
    config = quick_config("sinks.prometheus=0.0.0.0:0")
    made = {
        "Single": lambda: Single(config, run_directory=tmp_path / "run"),
        "Learner": lambda: Learner(
            config, memory="tcp://127.0.0.1:1", run_directory=tmp_path / "run",
            bind="tcp://127.0.0.1:0", context=context,
        ),
    }  # fmt: skip
    with pytest.raises(ConfigError, match="--insecure"):
        made[kind]()
    assert not RunFiles(tmp_path / "run").results()
    with RunClaim(tmp_path / "run"):
        pass
