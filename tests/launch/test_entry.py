"""`zdqn.run` and `zdqn.train`: what they hand on, and what they give back."""

import asyncio
import signal
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.launch.sheets import Sheet
from tests.roles.conftest import quick_config
from zdqn.config import Config, LaunchSection, StopSection, load_config
from zdqn.errors import (
    CallbackFailedError,
    ConfigError,
    FileError,
    RunDirectoryTakenError,
    UsageError,
)
from zdqn.launch import entry
from zdqn.launch.display import NoDisplay
from zdqn.records.callbacks import Callbacks
from zdqn.records.run_result import RunResult
from zdqn.records.sinks import Sink
from zdqn.wire.status import LearnerStatus


class StandIn:
    """Stands in for a run: keeps what it was made with, and ends at once."""

    def __init__(self, *arguments, **keywords):
        self.made = arguments, keywords

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self):
        pass

    def status(self):
        return LearnerStatus()


@pytest.fixture
def made(monkeypatch):
    """What runs were made with."""
    runs: list[StandIn] = []

    def make(*arguments, **keywords):
        runs.append(StandIn(*arguments, **keywords))
        return runs[-1]

    monkeypatch.setattr(entry, "LocalRun", make)
    monkeypatch.setattr(entry, "ThisMachine", lambda config, given: (config, given))
    monkeypatch.setattr("zdqn.roles.single.Single", make)
    return runs


def test_counts_that_are_given_replace_the_configurations(made, tmp_path):
    config = Config(launch=LaunchSection(collectors=5, evaluators=3))
    entry.run(config, collectors=2, run_directory=tmp_path)
    ((config, given),), _ = made[0].made
    assert (config.launch.collectors, config.launch.evaluators) == (2, 3)
    assert given.run_directory == tmp_path


def test_a_count_is_checked_like_one_of_a_file(made, tmp_path):
    with pytest.raises(ConfigError, match=r"zdqn.run: launch.collectors is 0"):
        entry.run(Config(), collectors=0, run_directory=tmp_path)
    assert not made


def test_a_run_directory_is_made_and_named_after_the_environment(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = entry.train(Config())
    (_, keywords) = made[0].made
    assert keywords["run_directory"].name.endswith("-CartPole-v1")
    assert keywords["run_directory"].parent == Path("runs")
    assert result == RunResult(keywords["run_directory"])


@pytest.mark.parametrize("function", [entry.run, entry.train])
@pytest.mark.parametrize(
    ("environment", "stem"), [(dict, "dict"), (lambda: None, "lambda"), (Path.home, "home")]
)
def test_a_run_directory_is_named_after_the_function_that_makes_the_environment(
    made, tmp_path, monkeypatch, function, environment, stem
):
    monkeypatch.chdir(tmp_path)
    function(Config(), environment=environment)
    arguments, keywords = made[0].made
    directory = keywords.get("run_directory") or arguments[0][1].run_directory
    assert directory.name.endswith(f"-{stem}")


def test_what_makes_the_environment_of_one_process_is_looked_into_by_who_trains_alone(
    made, tmp_path
):
    class Maker:
        pickled = 0

        def __call__(self):
            raise AssertionError("nobody makes one here")

        def __reduce__(self):
            type(self).pickled += 1
            return (object, ())

    entry.train(Config(), environment=Maker(), run_directory=tmp_path)
    assert Maker.pickled == 0
    assert made[0].made[0][0] == Config(), "what it was is recorded there"


def test_what_is_summed_up_is_given_back_with_the_curve(tmp_path, monkeypatch):
    def draw(directory: Path) -> None:
        (directory / "learning_curve.png").touch()

    monkeypatch.setattr(entry, "plot_learning_curve", draw)
    (tmp_path / "summary.json").write_text('{"updates": 3}')
    result = entry.finish(tmp_path)
    assert result == RunResult(tmp_path, {"updates": 3})
    assert result.learning_curve == tmp_path / "learning_curve.png"


def test_a_picture_that_cannot_be_written_does_not_spoil_a_run(tmp_path, monkeypatch):
    def refuse(directory: Path) -> None:
        raise FileError("Cannot write learning_curve.png: No space left on device.")

    monkeypatch.setattr(entry, "plot_learning_curve", refuse)
    (tmp_path / "summary.json").write_text('{"updates": 3}')
    result = entry.finish(tmp_path)
    assert (result, result.learning_curve) == (RunResult(tmp_path, {"updates": 3}), None)


@pytest.mark.parametrize("error", [RuntimeError("from matplotlib"), ValueError("a formula")])
def test_whatever_a_picture_stumbles_over_does_not_spoil_a_run(tmp_path, monkeypatch, error):
    def refuse(_directory):
        raise error

    monkeypatch.setattr(entry, "plot_learning_curve", refuse)
    (tmp_path / "summary.json").write_text('{"updates": 3}')
    assert entry.finish(tmp_path) == RunResult(tmp_path, {"updates": 3})


@pytest.mark.parametrize("function", [entry.run, entry.train])
def test_a_refused_start_leaves_no_folder(tmp_path, monkeypatch, function):
    monkeypatch.chdir(tmp_path)
    for overrides in (["environment.id=CartPol-v1"], ["environment.function=m:f"]):
        with pytest.raises(ConfigError):
            function(load_config(None, [*overrides, "replay.samples_per_insert=1"]))
        with pytest.raises(ConfigError):
            function(
                load_config(None, [*overrides, "replay.samples_per_insert=1"]),
                run_directory=tmp_path / "named",
            )
    assert not (tmp_path / "named").exists()
    assert not any((tmp_path / "runs").iterdir())


@pytest.mark.parametrize(
    "override",
    ["memory.bind=tcp://0.0.0.0:7000", "learner.bind=tcp://0.0.0.0:7000", "learner.bind=nonsense",
     "network.function=m:f"],
)  # fmt: skip
def test_what_a_process_would_refuse_is_refused_before_any_starts(made, tmp_path, override):
    with pytest.raises(ConfigError, match=override.partition(".")[0]):
        entry.run(load_config(None, [override]), run_directory=tmp_path / "named")
    assert not made
    assert not (tmp_path / "named").exists()


@pytest.mark.parametrize("function", [entry.run, entry.train])
def test_a_run_is_not_written_over_but_on_request(tmp_path, function):
    (tmp_path / "best.pt").write_text("the best")
    config = load_config(None, ["replay.samples_per_insert=1"])
    with pytest.raises(RunDirectoryTakenError, match="already holds a run"):
        function(config, run_directory=tmp_path)
    assert (tmp_path / "best.pt").read_text() == "the best"


def test_a_launched_run_is_told_whether_to_overwrite(made, tmp_path):
    (tmp_path / "best.pt").write_text("the best")
    (tmp_path / "endpoints.json").write_text("{}")
    entry.run(Config(), run_directory=tmp_path, overwrite=True)
    ((_, given),), _ = made[0].made
    assert given.overwrite
    assert (tmp_path / "best.pt").exists(), "the learner removes it, once training begins"
    assert not (tmp_path / "endpoints.json").exists(), "these servers are no more"


def test_functions_that_are_given_are_in_the_configuration(made, tmp_path):
    anything: Any = list
    entry.run(Config(), environment=dict, network=anything, run_directory=tmp_path)
    ((config, _),), _ = made[0].made
    assert config.environment.function.startswith("builtins:dict sha256:")
    assert config.network.function.startswith("builtins:list sha256:")


@pytest.mark.parametrize("function", [entry.run, entry.train])
def test_a_configuration_is_taken_in_each_of_its_forms(made, tmp_path, function):
    path = tmp_path / "short.toml"
    path.write_text("[stop]\nupdates = 7\n")
    for given in (path, str(path), {"stop": {"updates": 7}}, Config(stop=StopSection(updates=7))):
        function(given, run_directory=tmp_path / "run")
        (config, *_), _ = made[-1].made
        if function is entry.run:
            config, _ = config  # with what the processes are given besides
        assert config.stop.updates == 7
    with pytest.raises(ConfigError, match=rf"zdqn.{function.__name__}: the configuration is 7"):
        function(7, run_directory=tmp_path / "run")


@pytest.mark.parametrize("function", [entry.run, entry.train])
@pytest.mark.parametrize(
    ("keyword", "key"), [("environment", "environment.id"), ("network", "network.kind")]
)
def test_a_name_in_place_of_a_function_is_sent_where_it_belongs(tmp_path, function, keyword, key):
    with pytest.raises(UsageError, match=rf"{keyword} is 'CartPole-v1', a str.*as {key}"):
        function(quick_config(), run_directory=tmp_path / "run", **{keyword: "CartPole-v1"})
    assert not (tmp_path / "run").exists()


def test_an_unknown_level_of_the_log_is_refused_before_anything_starts(made, tmp_path):
    with pytest.raises(UsageError, match=r"log_level is 'warn'. Did you mean \"warning\"?"):
        entry.run(Config(), log_level="warn", run_directory=tmp_path)
    assert not made


def test_sinks_go_to_whoever_trains(made, tmp_path):
    sink = Sinking()
    entry.train(Config(), sinks=[sink], run_directory=tmp_path)
    assert made[0].made[1]["sinks"] == [sink]


@pytest.mark.parametrize("function", [entry.run, entry.train])
def test_it_works_in_any_thread_and_in_a_running_loop_and_touches_no_signal(tmp_path, function):
    def handlers():
        return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    seen, results = [], []

    async def main():
        config = quick_config("launch.collectors=1", "launch.evaluators=1")
        told = Callbacks(on_metrics=lambda row: seen.append(handlers()))
        results.append(function(config, sinks=[told], run_directory=tmp_path, progress=False))
        await asyncio.sleep(0)  # the loop still turns

    before = handlers()
    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    thread.join()
    assert [result.stop_reason for result in results] == ["updates"]
    assert seen == [before] * len(seen)
    assert seen
    assert handlers() == before


class Sinking(Sink):
    """Takes the summary alone."""

    def __init__(self):
        self.summaries = []

    def write_summary(self, summary):
        self.summaries.append(summary)


def test_a_sink_is_told_as_training_goes_and_need_not_take_everything(tmp_path):
    sink = Sinking()
    result = entry.train(quick_config(), sinks=[sink], run_directory=tmp_path)
    assert sink.summaries == [result.summary]
    assert result.stop_reason == "updates"


def test_functions_are_told_of_a_training_and_one_that_raises_ends_it_in_its_name(tmp_path):
    updates: list[int] = []
    checkpoints: list[Path] = []
    means: list[float] = []
    result = entry.train(
        quick_config("evaluator.period_updates=30"),
        sinks=[
            Callbacks(
                on_update=updates.append,
                on_checkpoint=checkpoints.append,
                on_evaluation=lambda evaluation: means.append(evaluation.scores.mean),
            )
        ],
        run_directory=tmp_path / "told",
    )
    assert updates[-1] == result.updates == 60
    assert updates == sorted(updates)
    assert [path.exists() for path in checkpoints[-1:]] == [True]
    assert means == result.evaluations()["mean"].tolist()

    def fail(count):
        raise ZeroDivisionError("a light")

    with pytest.raises(CallbackFailedError, match="given as on_update raised ZeroDivisionError"):
        entry.train(
            quick_config(), sinks=[Callbacks(on_update=fail)], run_directory=tmp_path / "failed"
        )


def test_a_run_of_processes_tells_the_one_that_started_it(tmp_path):
    threads: set[threading.Thread] = set()
    means: list[float] = []
    checkpoints: list[Path] = []
    rows: list[int] = []

    class Telling(Sink):
        def add_metrics(self, row):
            rows.append(row.updates)
            threads.add(threading.current_thread())

    told = Callbacks(
        on_evaluation=lambda evaluation: means.append(evaluation.scores.mean),
        on_checkpoint=checkpoints.append,
    )
    result = entry.run(
        quick_config("evaluator.period_updates=30"), sinks=[Telling(), told, summed := Sinking()],
        collectors=1, evaluators=1, run_directory=tmp_path, progress=False,
    )  # fmt: skip
    assert threads == {threading.current_thread()}
    assert rows == result.metrics()["updates"].tolist()
    assert sorted(means) == sorted(result.evaluations()["mean"].tolist())
    assert checkpoints[-1].exists()
    assert summed.summaries == [result.summary]


def test_what_a_sink_raises_ends_a_run_of_processes_cleanly(tmp_path):
    def fail(row):
        raise ZeroDivisionError("a light")

    with pytest.raises(CallbackFailedError, match="given as on_metrics raised ZeroDivisionError"):
        entry.run(
            quick_config("stop.updates=0"), sinks=[Callbacks(on_metrics=fail)], collectors=1,
            evaluators=0, run_directory=tmp_path, progress=False,
        )  # fmt: skip
    assert RunResult.open(tmp_path).stop_reason == "a sink raised CallbackFailedError"


def test_false_from_a_function_ends_a_training_as_stop_does(tmp_path, caplog):
    means: list[float] = []

    def judge(evaluation):
        means.append(evaluation.scores.mean)
        return len(means) < 2

    summed = Sinking()
    result = entry.train(
        quick_config("evaluator.period_updates=10", "stop.updates=0", "stop.wall_s=100"),
        sinks=[Callbacks(on_evaluation=judge), summed], run_directory=tmp_path, progress=False,
    )  # fmt: skip
    assert result.stop_reason == "sink"
    assert result.evaluations()["mean"].tolist() == means
    assert len(means) == 2
    assert result.updates == result.evaluations()["updates"][-1], "no update was made after it"
    assert result.best_rescored_return is None
    assert result.best_checkpoint is not None
    assert summed.summaries == [result.summary]
    assert [record for record in caplog.records if record.levelname != "INFO"] == []
    assert [*(tmp_path / "checkpoints").iterdir()]


def test_false_ends_a_training_whose_stop_is_not_touched_and_not_one_that_ends(tmp_path):
    stop, told = threading.Event(), Callbacks(on_update=lambda updates: updates < 60)
    result = entry.train(
        quick_config("stop.updates=0", "stop.wall_s=100"), sinks=[told], stop=stop,
        run_directory=tmp_path / "ended",
    )  # fmt: skip
    assert (result.stop_reason, stop.is_set()) == ("sink", False)
    assert 60 <= result.updates < 70
    result = entry.train(
        quick_config("evaluator.period_updates=60"), sinks=[told], run_directory=tmp_path / "over"
    )
    assert (result.stop_reason, result.updates) == ("updates", 60)
    assert result.best_rescored_return is not None


def test_a_training_that_is_interrupted_is_summed_up(tmp_path):
    def interrupt(updates):
        if updates > 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        entry.train(
            quick_config("evaluator.period_updates=10", "learner.checkpoint_period_updates=10"),
            sinks=[Callbacks(on_update=interrupt)], run_directory=tmp_path, progress=False,
        )  # fmt: skip
    result = RunResult.open(tmp_path)
    assert result.stop_reason == "SIGINT"
    assert result.updates > 20
    newest = max((tmp_path / "checkpoints").iterdir()).name
    assert newest < f"update-{result.updates:09}.pt", "it may have come within an update"


@pytest.mark.parametrize("function", [entry.run, entry.train])
def test_how_it_ended_is_shown_if_it_was_interrupted_and_not_if_it_failed(
    made, tmp_path, monkeypatch, function
):
    class Concluding(NoDisplay):
        def conclude(self):
            concluded.append(error)

    concluded: list[BaseException | None] = []
    monkeypatch.setattr(entry, "choose_display", lambda *_, **__: Concluding())
    for error in (None, KeyboardInterrupt(), FileError("a full disk")):
        end = nullcontext() if error is None else pytest.raises(type(error))
        monkeypatch.setattr(StandIn, "run", lambda self, error=error: raise_if(error))
        with end:
            function(Config(), run_directory=tmp_path)
    assert list(map(type, concluded)) == [type(None), KeyboardInterrupt]


def raise_if(error):
    if error is not None:
        raise error


def test_false_from_a_function_ends_a_run_of_processes(tmp_path):
    result = entry.run(
        quick_config("evaluator.period_updates=30", "stop.updates=0"), collectors=1, evaluators=1,
        sinks=[Callbacks(on_evaluation=lambda evaluation: False)], run_directory=tmp_path,
        progress=False,
    )  # fmt: skip
    assert result.stop_reason == "sink"
    assert result.evaluations()["mean"].size >= 1


@pytest.mark.parametrize("function", [entry.run, entry.train])
def test_what_is_shown_is_chosen(made, tmp_path, monkeypatch, function):
    chosen = []

    def choose(plan, directory, **how):
        chosen.append((plan, directory, how["progress"], how["verbose"], how["stop"]))
        return NoDisplay()

    monkeypatch.setattr(entry, "choose_display", choose)
    stop = threading.Event()
    function(Config(), run_directory=tmp_path / "a")
    function(Config(), run_directory=tmp_path / "b", progress=False, verbose=True, stop=stop)
    (plan, directory, *how), (_, _, *others) = chosen
    assert (plan.environment, plan.one_process) == ("CartPole-v1", function is entry.train)
    assert directory == tmp_path / "a"
    assert how == [True, False, None]
    assert others == [False, True, stop]


@pytest.mark.parametrize(("progress", "shown"), [(True, 1), (False, 0)])
def test_the_checkpoint_that_a_run_goes_on_from_is_loaded_in_sight(
    made, tmp_path, monkeypatch, progress, shown
):
    canvas, run = Sheet(), tmp_path / "first"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "update-1.pt").touch()
    monkeypatch.setattr("zdqn.launch.waiting.choose_canvas", lambda: canvas)

    def check(config, given):
        if progress:
            assert canvas.wait()[0].startswith("loading the checkpoint of ")
        raise ConfigError("It does not fit.")

    monkeypatch.setattr(entry, "_check", check)
    with pytest.raises(ConfigError, match="does not fit"):
        entry.run(quick_config(), resume=run, progress=progress)
    assert bool(canvas.drawn) == bool(shown)
    assert canvas.open == 0
