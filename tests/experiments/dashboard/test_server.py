"""A dashboard as a server on loopback: asked as a browser would, and as it should not be."""

import http.client
import json
import logging
import socket
import threading
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("uvicorn", reason='needs "zdqn[dashboard]"')
pytest.importorskip("starlette", reason='needs "zdqn[dashboard]"')

from zdqn.errors import AddressInUseError, ConfigError
from zdqn.experiments.dashboard import server as server_module
from zdqn.experiments.dashboard.server import Dashboard, open_browser
from zdqn.experiments.dashboard.web_app import PAGE_FILES
from zdqn.records.run_files import RunFiles
from zdqn.wire.keys.role_keys import RoleKeys

DEADLINE_S = 60.0


class Asker:
    """Asks a dashboard, over a connection that is its own."""

    def __init__(self, dashboard: Dashboard) -> None:
        parts = urlsplit(dashboard.url)
        assert parts.port is not None
        self.host, self.port, self.query = parts.hostname, parts.port, parts.query

    def __call__(self, path, method="GET", **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        given = {"Host": f"127.0.0.1:{self.port}"} | {k.title(): v for k, v in headers.items()}
        connection.putrequest(method, path, skip_host=True)
        for name, value in given.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer: Any = connection.getresponse()
        answer.text = answer.read().decode(errors="replace")
        connection.close()
        return answer


@pytest.fixture
def run_directory(tmp_path):
    files = RunFiles(tmp_path / "runs" / "first")
    other = RunFiles(tmp_path / "runs" / "other")
    for each in (files, other):
        each.path.mkdir(parents=True)
        each.metrics.write_text('{"environment_steps": 10, "loss": 0.5}\n')
        each.config.write_text('[environment]\nid = "<b>Acrobot</b>-v1"\n')
        each.summary.write_text('{"stop_reason": "updates"}')
    (tmp_path / "secret.txt").write_text("secret")
    return files.path


@pytest.fixture
def dashboard(run_directory):
    with Dashboard(None, run_directory, bind="127.0.0.1:0", film=False) as made:
        yield made


@pytest.fixture
def ask(dashboard):
    return Asker(dashboard)


def test_the_page_and_its_parts_are_there(ask):
    for path, (name, kind) in PAGE_FILES.items():
        answer = ask(path)
        assert answer.status == 200, path
        assert answer.getheader("content-type").startswith(kind), name
        assert "default-src 'none'" in answer.getheader("content-security-policy")


def test_a_page_asks_nobody_else_and_has_no_script_within(ask):
    for path in PAGE_FILES:
        text = ask(path).text.replace("http://www.w3.org/", "")
        assert "//cdn" not in text
        assert "http://" not in text
        assert "https://" not in text
        assert "innerHTML" not in text
    page = ask("/").text
    assert page.count("<script") == page.count('<script type="module" src=') == 1
    assert " style=" not in page
    assert "onclick" not in page


def test_what_is_known_is_told_as_json(ask):
    state = json.loads(ask("/state").text)
    assert state["contact"]["kind"] == "over"
    assert state["run"]["name"] == "first"
    assert state["run"]["environment"] == "<b>Acrobot</b>-v1"
    assert json.loads(ask("/curves").text)["metrics"]["loss"] == [0.5]
    rows = {row["key"]: row for row in json.loads(ask("/config").text)["rows"]}
    assert rows["environment.id"]["differs"]
    (other,) = json.loads(ask("/runs").text)["rows"]
    assert other["name"] == "other"
    assert json.loads(ask(f"/runs/{other['key']}").text)["metrics"]["loss"] == [0.5]


@pytest.mark.parametrize(
    "path",
    ["/secret.txt", "/../secret.txt", "/..%2f..%2fsecret.txt", "/runs/..%2fother", "/runs/other",
     "/runs/../../secret.txt", "//etc/passwd", "/page.py", "/page/page.js", "/film/1", "/film/-1",
     "/film/../state", "/%00", "/runs/%00", "/server.py", "/film/99999999999999999999"],
)  # fmt: skip
def test_no_path_leads_to_a_file(ask, path):
    ask("/runs")
    answer = ask(path)
    assert answer.status in (400, 404)
    assert "secret" not in answer.text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "10.0.0.1", ""])
def test_a_name_that_was_made_to_lead_here_gets_nothing(ask, host):
    answer = ask("/state", host=host)
    assert answer.status in (400, 421)
    assert "Acrobot" not in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_only_reading_is_answered(ask, method):
    assert ask("/state", method=method).status == 405


def test_events_come_and_end_with_the_dashboard(run_directory):
    dashboard = Dashboard(None, run_directory, bind="127.0.0.1:0", film=False)
    closer = threading.Thread(target=dashboard.close)
    try:
        with socket.create_connection(("127.0.0.1", Asker(dashboard).port), DEADLINE_S) as link:
            link.sendall(b"GET /events HTTP/1.0\r\nHost: localhost\r\n\r\n")
            stream = link.makefile("rb")
            looks: list[int] = []
            while len(looks) < 3:
                line = stream.readline()
                assert line
                if line.startswith(b"data: ") and b'"look"' in line:
                    looks.append(json.loads(line[6:])["look"])
            assert looks == sorted(set(looks))
            closer.start()
            stream.read()  # to its end
    finally:
        if closer.ident is None:
            closer.start()
        closer.join(DEADLINE_S)
    assert not closer.is_alive()


def test_two_dashboards_live_side_by_side_where_none_was_told_where(run_directory, monkeypatch):
    with Dashboard(None, run_directory, bind="127.0.0.1:0", film=False) as taken:
        monkeypatch.setattr(server_module, "USUAL_BIND", f"127.0.0.1:{Asker(taken).port}")
        with Dashboard(None, run_directory, film=False) as other:
            assert other.url != taken.url
            assert Asker(other)("/state").status == 200
        with pytest.raises(AddressInUseError, match="--bind is"):
            Dashboard(None, run_directory, bind=server_module.USUAL_BIND, film=False)


@pytest.mark.parametrize("bind", ["nonsense", "127.0.0.1:99999", "127.0.0.1:x", "203.0.113.7:0"])
def test_a_wrong_address_is_refused_by_name(run_directory, bind):
    with pytest.raises(ConfigError, match="--bind is"):
        Dashboard(None, run_directory, bind=bind, film=False)


@pytest.mark.parametrize("why", ["address", "keys"])
def test_where_others_come_or_the_run_has_keys_a_token_is_needed(run_directory, why, caplog):
    caplog.set_level(logging.DEBUG)
    keys = RoleKeys.__new__(RoleKeys) if why == "keys" else None
    bind = "127.0.0.1:0" if why == "keys" else "0.0.0.0:0"
    with Dashboard(None, run_directory, bind=bind, keys=keys, film=False) as dashboard:
        ask = Asker(dashboard)
        assert dashboard.has_token
        token = ask.query.removeprefix("token=")
        assert len(token) >= 43
        for path in ("/", "/state", "/events", "/page.js", "/?token=wrong"):
            refused = ask(path)
            assert refused.status == 403
            assert "first" not in refused.text
        admitted = ask(f"/?token={token}")
        assert (admitted.status, admitted.getheader("location")) == (303, "/")
        cookie = admitted.getheader("set-cookie").partition(";")[0]
        assert "Acrobot" in ask("/state", cookie=cookie).text
    assert token not in caplog.text


def test_this_machine_alone_needs_no_token(dashboard):
    assert not dashboard.has_token
    assert dashboard.url.startswith("http://127.0.0.1:")
    assert "token" not in dashboard.url


def test_a_browser_is_opened_where_there_is_a_display_alone(monkeypatch):
    opened = []

    def show(url):
        opened.append(url)
        return True

    monkeypatch.setattr("webbrowser.open", show)
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not open_browser("http://x/")
    monkeypatch.setenv("DISPLAY", ":0")
    assert open_browser("http://x/")
    assert opened == ["http://x/"]
