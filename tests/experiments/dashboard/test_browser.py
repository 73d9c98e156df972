"""The page in a real browser: it draws, complains of nothing, and asks nobody but the dashboard."""

import json
from urllib.parse import urlsplit

import pytest

pytest.importorskip("uvicorn", reason='needs "zdqn[dashboard]"')

from tests.experiments.dashboard.chromium import BINARY, Chromium
from zdqn.experiments.dashboard.server import Dashboard
from zdqn.records.run_directory import EVALUATION_COLUMNS
from zdqn.records.run_files import RunFiles

pytestmark = [
    pytest.mark.skipif(BINARY is None, reason="there is no Chromium to draw the page"),
    pytest.mark.timeout(300),
]
STEPS = 40


def write_run(files):
    files.path.mkdir(parents=True)
    files.config.write_text(
        '[environment]\nid = "<img src=x>Acrobot-v1"\n[stop]\nevaluation_return = 90.0\n'
    )
    rows = [
        {"environment_steps": 100 * i, "wall_s": i, "updates": 10 * i, "loss": 2.0 ** (-i),
         "episode_return_mean": i, "updates_per_s": 10.0}
        for i in range(1, STEPS + 1)
    ]  # fmt: skip
    files.metrics.write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = [",".join(EVALUATION_COLUMNS)]
    for i in range(1, 6):
        row = dict.fromkeys(EVALUATION_COLUMNS, 0) | {
            "environment_steps": 800 * i, "mean": 10 * i, "minimum": i, "maximum": 20 * i,
            "evaluator": "e",
        }  # fmt: skip
        lines.append(",".join(str(row[name]) for name in EVALUATION_COLUMNS))
    files.evaluations.write_text("\n".join(lines) + "\n")
    files.summary.write_text('{"stop_reason": "updates", "updates": 400, "wall_s": 40}')


@pytest.fixture
def runs(tmp_path):
    for name in ("first", "other"):
        write_run(RunFiles(tmp_path / "runs" / name))
    return tmp_path / "runs"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    made = Chromium(tmp_path_factory.mktemp("chromium") / "profile")
    yield made
    made.close()


@pytest.fixture
def browser(chromium):
    """The browser as it was at first; it has left the page before the dashboard is gone."""
    chromium.look()
    chromium.complaints.clear()
    chromium.requests.clear()
    yield chromium
    chromium.open("about:blank")


@pytest.fixture
def dashboard(runs):
    with Dashboard(None, runs / "first", bind="127.0.0.1:0", film=False) as made:
        yield made


def text(selector):
    return f"document.querySelector('{selector}')?.textContent"


def count(selector):
    return f"document.querySelectorAll('{selector}').length"


CHARTS = "#charts figure:not([hidden])"


def open_page(browser, dashboard):
    """Open the page, and wait until it has heard of present and past."""
    browser.open(dashboard.url)
    browser.wait_for(f"{count('#roles .node')} && {count(CHARTS + ' .curve')} > 3")


def test_the_page_draws_and_complains_of_nothing(dashboard, browser):
    open_page(browser, dashboard)
    assert browser.value(text("#environment")) == "<img src=x>Acrobot-v1"
    assert "ended" in browser.value(text("#contact"))
    assert browser.value(count("#roles .node")) == 4
    assert browser.value(count(f"{CHARTS} .band")) == 1
    assert browser.value(count(".chart .goal")) == 1
    assert browser.value(count("#evaluations tbody tr")) == 5
    browser.rest(0.5)
    assert browser.complaints == []
    places = {urlsplit(url).netloc for url in browser.requests}
    assert places <= {urlsplit(dashboard.url).netloc, ""}


def test_a_run_that_has_not_begun_says_so_in_each_place(browser, tmp_path):
    with Dashboard(None, tmp_path, bind="127.0.0.1:0") as dashboard:
        browser.open(dashboard.url)
        browser.wait_for(f"{count('#roles .node')} === 4 && {text('#evaluations')} === 'None yet.'")
        hidden = "['no-curves', 'axis', 'pair'].map((id) => document.getElementById(id).hidden)"
        browser.wait_for(f"{text('#film')}.includes('An episode is shown once')")
        assert browser.value(hidden) == [False, True, True]
        assert browser.value(count(CHARTS)) == 0
        browser.open("about:blank")


def test_the_best_evaluation_stands_out_in_the_table_and_in_the_curve(dashboard, browser):
    open_page(browser, dashboard)
    browser.wait_for(f"{count('#evaluations tr.marked')} === 1")
    assert browser.value(text("#evaluations tr.marked")).startswith("4,00050★ best")
    assert browser.value(text(".chart text.mark")) == "best 50"
    assert browser.value(count(".chart circle.mark")) == 1
    at = "Number(document.querySelector('.chart circle.mark').getAttribute('cx'))"
    over_steps = browser.value(at)
    browser.value(
        "(() => { const over = document.querySelector('#over'); over.value = 'wall_s';"
        "over.dispatchEvent(new Event('change')); })()"
    )
    browser.wait_for(f"{at} !== {over_steps}")


def test_a_phone_shows_all_of_it_in_its_width(dashboard, browser):
    browser.look(width=360, color_scheme="dark")
    open_page(browser, dashboard)
    browser.value("document.querySelectorAll('details').forEach((each) => each.open = true)")
    browser.wait_for(f"{count('#config tr')} > 1 && {count('#runs tr')} > 1")
    assert browser.value("document.documentElement.scrollWidth") <= 360
    nodes = "[...document.querySelectorAll('#roles .node')].map((e) => e.getBoundingClientRect().x)"
    assert len(set(browser.value(nodes))) == 1  # below each other


def test_values_are_read_by_keys_and_as_a_table(dashboard, browser):
    open_page(browser, dashboard)
    press = (
        "document.querySelector('.chart').dispatchEvent(new KeyboardEvent('keydown', {key: 'KEY'}))"
    )
    browser.value(press.replace("KEY", "End"))
    reading = browser.wait_for(text("#charts .reading"))
    assert reading == "4,000 environment steps: evaluation 50, while exploring 40"
    browser.value(press.replace("KEY", "ArrowLeft"))
    assert "evaluation 40" in browser.value(text("#charts .reading"))
    browser.value("document.querySelector('#charts details').open = true")
    browser.wait_for(f"{count('#charts details tbody tr')} === 5")


def test_curves_over_something_else(dashboard, browser):
    open_page(browser, dashboard)
    browser.value(
        "(() => { const over = document.querySelector('#over'); over.value = 'wall_s';"
        "over.dispatchEvent(new Event('change')); })()"
    )
    axis = "[...document.querySelectorAll('.chart text')].map((each) => each.textContent).join()"
    browser.wait_for(f"{axis}.includes(' s')")


def test_other_runs_are_drawn_into_the_charts(dashboard, browser):
    open_page(browser, dashboard)
    browser.value("document.querySelector('#compare').open = true")
    browser.wait_for(count("#runs input"))
    assert browser.value(count("#charts .chart .other")) == 0
    browser.value("document.querySelector('#runs input').click()")
    browser.wait_for(f"{count('#charts .chart .other')} > 2")
    browser.value("document.querySelector('#runs input').click()")
    browser.wait_for(f"{count('#charts .chart .other')} === 0")


def test_the_configuration_is_searched(dashboard, browser):
    open_page(browser, dashboard)
    browser.value("document.querySelector('#configuration').open = true")
    browser.wait_for(f"{count('#config tbody tr')} === 2")
    browser.value(
        "(() => { document.querySelector('#config-differs').click();"
        "const search = document.querySelector('#config-search'); search.value = 'double';"
        "search.dispatchEvent(new Event('input')); })()"
    )
    browser.wait_for(f"{text('#config td')} === 'algorithm.double'")


@pytest.mark.parametrize(("motion", "pressed"), [("reduce", "true"), ("no-preference", "false")])
def test_nothing_moves_for_who_wants_it_still(dashboard, browser, motion, pressed):
    browser.look(reduced_motion=motion)
    open_page(browser, dashboard)
    button = "document.querySelector('#motion').getAttribute('aria-pressed')"
    assert browser.value(button) == pressed
    browser.value("document.querySelector('#motion').click()")
    assert browser.value(button) != pressed


def test_the_page_says_when_the_dashboard_is_gone(browser, runs, nobody):
    place = f"{nobody.host}:{nobody.port}"
    with Dashboard(None, runs / "first", bind=place, film=False) as dashboard:
        browser.open(dashboard.url)
        browser.wait_for(count("#tiles .value"))
    browser.wait_for("document.querySelector('#contact').dataset.kind === 'lost'")
    assert browser.value(text("#doing")).startswith("has ended")
    with Dashboard(None, runs / "first", bind=place, film=False):
        browser.wait_for("document.querySelector('#contact').dataset.kind === 'over'")


def test_what_a_dashboard_told_last_is_not_shown_as_if_it_held(browser, tmp_path):
    with Dashboard(None, tmp_path, bind="127.0.0.1:0", film=False) as dashboard:
        browser.open(dashboard.url)
        browser.wait_for(f"{text('#doing')} === 'not begun'")
    browser.wait_for("document.querySelector('#contact').dataset.kind === 'lost'")
    assert browser.value(text("#doing")) == "not known now"
    assert f"`zdqn dashboard {tmp_path}`" in browser.value(text("#contact"))
    healths = "[...document.querySelectorAll('#roles .node')].map((each) => each.dataset.health)"
    assert browser.value(healths) == ["unknown"] * 4
