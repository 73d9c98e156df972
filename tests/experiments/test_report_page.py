"""The page of a run: everything is in it, it loads nothing, and text from a run is only text."""

import re
from html.parser import HTMLParser

import pytest

from tests.experiments.made_runs import make_run
from zdqn.config import Config
from zdqn.errors import FileError
from zdqn.experiments.report_page import write_report

VOID = {"meta", "line", "circle", "polyline", "polygon", "br"}


class Balanced(HTMLParser):
    """Fails unless every tag is closed in turn; collects what is loaded from elsewhere."""

    def __init__(self, page):
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str | None] = []
        self.text: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.loaded += [value for name, value in attrs if name in ("src", "href", "data", "onload")]
        assert tag not in ("script", "link", "iframe", "img")

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def page(tmp_path):
    def write(returns=(1, 10, 30), **given):
        return write_report(make_run(tmp_path / "run", returns, **given)).read_text()

    return write


def test_everything_is_in_it_and_nothing_is_loaded(page):
    verdict = "learner-bound: it computes 98 % of the time"
    text = page(exploring=[1.0, 2, 3], summary={"verdict": verdict, "staleness_mean": 3.5})
    read = Balanced(text)
    assert read.loaded == []
    assert not re.search(r"https?:|@import|url\(", text)
    words = " ".join(read.text)
    for what in (
        "CartPole-v1, seed 0 | run", "Bottleneck", verdict, "Return of an episode",
        "Loss of an update", "Exploration", "Throughput", "Evaluations", "algorithm.double",
        "staleness, versions", "torch",
        "stop.environment_steps was reached", "3 of 3; the best is marked",
    ):  # fmt: skip
        assert what in words, what


def test_it_is_for_light_and_dark_and_for_narrow_screens(page):
    text = page()
    assert "prefers-color-scheme: dark" in text
    assert "width=device-width" in text
    assert "overflow-x: auto" in text


def test_text_from_a_run_is_only_text(page):
    evil = "<script>alert(1)</script>"
    config = Config().replace("environment.kwargs", {"name": evil})
    text = page(config=config, summary={"verdict": evil, "note": evil})
    Balanced(text)
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 3


def test_what_differs_from_the_defaults_is_marked(page):
    changed = page(config=Config().replace("algorithm.double", True))
    assert "<tr class=changed><td>algorithm.double</td><td>true</td></tr>" in changed
    assert "<tr><td>algorithm.double</td><td>false</td></tr>" in page()


def test_of_many_evaluations_the_best_stays(page):
    text = page([99, *range(60)])
    assert "26 of 61; the best is marked" in text
    assert '<tr class=changed><td class="n">100</td>' in text


def test_a_run_that_goes_on(page):
    text = page(stop_reason=None)
    assert "It goes on, or was killed" in text
    Balanced(text)


def test_a_run_that_has_only_begun(page, tmp_path):
    run = make_run(tmp_path / "new", stop_reason=None)
    (run / "metrics.jsonl").unlink()
    (run / "evaluations.csv").unlink()
    text = write_report(run).read_text()
    Balanced(text)
    assert "Nothing was measured yet" in text


def test_a_configuration_of_another_version_is_left_out(page, tmp_path):
    run = make_run(tmp_path / "old", [1])
    (run / "config.toml").write_text("[nonsense]\n")
    assert "It cannot be read" in write_report(run).read_text()


def test_where_it_goes(tmp_path):
    run = make_run(tmp_path / "run", [1])
    assert write_report(run) == run / "report.html"
    other = tmp_path / "new" / "page.html"
    assert write_report(run, other) == other
    assert [path.name for path in other.parent.iterdir()] == ["page.html"]
    with pytest.raises(FileError, match="Cannot write"):
        write_report(run, run / "config.toml" / "page.html")
    with pytest.raises(FileError, match="holds no run"):
        write_report(tmp_path / "nowhere")
