"""Every benchmark in a tiny form, with real processes: it ends, with finite figures."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from zdqn.benchmarks import (
    actions,
    collector,
    frames,
    growth,
    insert,
    learner,
    page,
    peers,
    reverb_script,
    sample,
    scaling,
    solve,
    weights,
)
from zdqn.benchmarks.measuring import Effort, Figure, Goal, Result
from zdqn.benchmarks.processes import LOOPBACK, Worker
from zdqn.benchmarks.running import run_to_end, steady_rate
from zdqn.benchmarks.sample import Subject
from zdqn.benchmarks.subjects import IMAGE, STACKED, VECTOR, Writer, make_block, seed_config
from zdqn.cli.bench import ALL, bench
from zdqn.config import Config
from zdqn.errors import ConfigError, FileError, RoleFailedError
from zdqn.wire import codec
from zdqn.wire.protocol import BlockHeader

TINY = Effort(repeats=1, seconds=0.02, quick=True)

SOLVED_AT_ONCE = """
[stop]
updates = 20
[network]
hidden = [8]
[replay]
min_size = 64
samples_per_insert = 8.0
[evaluator]
episodes = 1
environments = 1
period_updates = 10
[launch]
collectors = 1
"""


def quiet(_):
    pass


def check(figures, *names):
    """Check that these figures, and no others, are there and finite."""
    assert [figure.name for figure in figures] == list(names)
    for figure in figures:
        assert all(math.isfinite(value) for value in (*figure.values, *figure.bound)), figure
        assert figure.median >= 0
        json.dumps(figure.to_dict(), allow_nan=False)


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_insert(tmp_path, transport):
    bind = LOOPBACK if transport == "tcp" else f"ipc://{tmp_path}/vector"
    figures = insert.measure_memory(TINY, quiet, transport, "vector", bind, (1,))
    name = f"insert.{transport}.vector.1"
    check(figures, name, f"{name}.bytes")
    assert all(figure.ratio for figure in figures)


def test_insert_measures_all_that_was_asked_for(monkeypatch):
    monkeypatch.setattr(
        insert, "measure_memory", lambda *words: [Figure(".".join(words[2:4]), "", (1.0,))]
    )
    asked = [tuple(figure.name.split(".")) for figure in insert.measure(TINY, quiet).figures]
    assert asked == [("tcp", "vector"), ("tcp", "image"), ("ipc", "vector"), ("ipc", "image")]


@pytest.mark.parametrize("replay", ["uniform", "prioritized"])
def test_sample(replay):
    subject = Subject(replay, "vector", VECTOR, 2000)
    figures = sample.measure_subject(
        TINY, quiet, subject, batch_sizes=(32,), requests=((1, 4), (64, 2))
    )
    name = f"sample.{replay}.vector.32"
    check(figures, f"{name}.1_a_reply.4_in_flight", f"{name}.64_a_reply.2_in_flight")
    assert all(figure.goal for figure in figures)


def test_sample_leaves_out_replies_that_the_learner_would_not_ask_for():
    subject = Subject("uniform", "image", STACKED, 300)
    assert not sample.measure_subject(TINY, quiet, subject, batch_sizes=(512,), requests=((64, 2),))


@pytest.mark.slow  # as are those with several learners or whole runs
def test_learner():
    figures = learner.measure_trainer(TINY, quiet, 32, compiled=False, items=2000)
    name = "learner.eager.32"
    check(figures, f"{name}.fed_over_tcp", f"{name}.role", f"{name}.fed_over_tcp_to_list")


def test_learner_without_a_compiler_says_so(monkeypatch):
    def refuse(*_, compiled):
        if compiled:
            raise ConfigError("no g++")
        return []

    monkeypatch.setattr(learner, "measure_trainer", refuse)
    result = learner.measure(TINY, quiet)
    assert result.notes == ["learner, compiled, is left out: no g++"] * 2


@pytest.mark.slow
def test_collector():
    figures = collector.measure_collector(TINY, quiet, 8, "native")
    check(figures, "collector.8_native", "collector.8_native.to_bare_with_network")


def test_scaling():
    figures = scaling.measure_run(TINY, quiet, 1, "remote")
    check(
        figures,
        "scaling.remote.1",
        "scaling.remote.1.efficiency",
        "scaling.remote.1.bare_efficiency",
    )
    assert figures[0].median < 110  # a step takes 10 ms


@pytest.mark.slow
def test_actions():
    result = actions.measure(TINY, quiet, clients=2, items=2000)
    check(
        result.figures,
        *(f"actions.{state}{kind}" for state in ("idle", "training")
          for kind in ("", ".latency_p50", ".latency_p99")),
        "actions.training.learner",
        "actions.training.learner_speed_kept",
    )  # fmt: skip


def test_weights(monkeypatch):
    monkeypatch.setattr(weights, "_SETTLE_S", 0.05)
    result = weights.measure(TINY, quiet, items=2000)
    check(
        result.figures,
        *(f"weights.{count}.{kind}" for count in (1, 20)
          for kind in ("learner_speed_kept", "delivery_p50", "delivery_p99")),
    )  # fmt: skip
    assert "MB/s to 20 of them" in result.notes[0]


@pytest.mark.parametrize("replay", ["uniform", "prioritized"])
def test_growth(replay):
    figures = growth.measure_replay(TINY, quiet, replay, (300, 3000))
    check(
        figures,
        *(f"growth.{replay}.{action}.{size}" for action in ("insert", "sample")
          for size in (300, 3000, "largest_to_smallest")),
    )  # fmt: skip
    goal = figures[2].goal
    assert goal is not None
    assert (goal.limit == 1.2) is (replay == "uniform")


def test_frames():
    result = frames.measure(TINY, quiet)
    check(result.figures, "frames.blocks_of_32.wire", "frames.blocks_of_32.ram")
    assert all(7056 < figure.median < 2 * 7056 for figure in result.figures)


@pytest.mark.slow
def test_solve(tmp_path, monkeypatch):
    monkeypatch.setattr(solve, "find_python", lambda *_: None)
    config = tmp_path / "tiny.toml"
    config.write_text(SOLVED_AT_ONCE)
    result = solve.measure(TINY, quiet, config=config)
    names = ("wall", "environment_steps", "best_evaluation")
    check(result.figures, *(f"solve.zdqn.{name}" for name in names))
    assert "--sb3-python" in result.notes[0]
    assert result.notes[1] == "1 of 1 runs of zdqn did not reach 475."


def test_solve_beside_a_peer(monkeypatch):
    runs = {"zdqn": iter([(2.0, 5000, 480.0)]), "sb3": iter([(8.0, 9000, 500.0)])}
    monkeypatch.setattr(solve, "find_python", lambda *_: "python")
    monkeypatch.setattr(solve, "_run_zdqn", lambda *_: next(runs["zdqn"]))
    monkeypatch.setattr(solve, "_run_sb3", lambda *_: next(runs["sb3"]))
    result = solve.measure(TINY, quiet)
    ratios = {figure.name: figure for figure in result.figures if figure.goal}
    assert {name: figure.values for name, figure in ratios.items()} == {
        "solve.zdqn_to_sb3.first": (0.25,),
        "solve.zdqn_to_sb3.then": (0.25,),
    }
    assert not result.notes


def test_solve_without_its_configuration(tmp_path):
    with pytest.raises(FileError, match="--config"):
        solve.measure(TINY, quiet, config=tmp_path / "none.toml")


def test_peers_that_are_not_installed_are_named(monkeypatch):
    monkeypatch.setattr(peers, "find_python", lambda *_: None)
    result = peers.measure(TINY, quiet)
    assert not result.figures
    assert ["--sb3-python" in result.notes[0], "--reverb-python" in result.notes[1]] == [True, True]


def test_peers_beside_zdqn(monkeypatch):
    """All measurements are stood in for: this is how they are put together."""
    rates = {"insert.vector": 10.0, "sample.vector.32": 20.0, "insert.image": 3.0}
    answers = {
        "sb3_script": {"environment_steps_per_s": 100.0, "updates_per_s": 50.0},
        "reverb_script": rates,
    }
    monkeypatch.setattr(
        peers, "run_script", lambda _, script, *__: (answers[Path(script).stem], 1.0)
    )
    monkeypatch.setattr(peers, "find_python", lambda *_: sys.executable)
    monkeypatch.setattr(peers, "_run_steps_per_s", lambda *_: 400.0)
    monkeypatch.setattr(peers, "_train_steps_per_s", lambda *_: 200.0)
    monkeypatch.setattr(peers, "FedTrainer", FakeTrainer)
    fake = Figure("ours", "", (60.0,))
    monkeypatch.setattr(peers, "measure_memory", lambda *_: [fake])
    monkeypatch.setattr(
        peers, "measure_subject", lambda *_, batch_sizes, requests: [fake] * len(batch_sizes)
    )
    figures = {figure.name: figure for figure in peers.measure(TINY, quiet).figures}
    assert figures["peers.zdqn.run_to_sb3"].median == 4
    assert figures["peers.zdqn.updates_eager_to_sb3"].median == 3
    assert figures["peers.zdqn.updates_compiled_to_sb3"].goal == Goal(3.0)
    assert figures["peers.zdqn.sample.vector.32_to_reverb"].median == 3
    assert figures["peers.zdqn.train_to_sb3"].median == 2


@pytest.mark.slow
def test_zdqn_at_the_seeds_settings():
    config = seed_config(*peers._RATIO, "collector.environments=8", "learner.report_period_s=0.1")
    assert peers._train_steps_per_s(config, 1000) > 0
    assert peers._run_steps_per_s(config, 0.1) > 0


class FakeTrainer:
    """Stands in for a trainer that is fed by a memory."""

    def __init__(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def updates_per_s(self, _):
        return 150.0


def test_find_python():
    assert peers.find_python("", "json") == sys.executable
    assert peers.find_python("", "no_such_module") is None
    with pytest.raises(ConfigError, match="no Python interpreter"):
        peers.find_python("/no/such/python", "json")


def test_a_script_that_prints_no_result_is_an_error(tmp_path):
    script = tmp_path / "peer.py"
    script.write_text(
        "import sys\nprint('warning')\nprint('{\"rate\": 3}' if sys.argv[1:] else '')"
    )
    assert peers.run_script(sys.executable, str(script), "go")[0] == {"rate": 3}
    with pytest.raises(RoleFailedError, match="no result"):
        peers.run_script(sys.executable, str(script))


def test_the_scripts_of_peers_stand_alone(tmp_path):
    """They run where zdqn is not installed, and fail there only for want of the peer."""
    with pytest.raises(RoleFailedError, match="No module named 'reverb'"):
        run_to_end([sys.executable, "-I", reverb_script.__file__, "10"], tmp_path / "log.txt", 60)


def test_the_speed_of_a_run_leaves_its_start_out(tmp_path):
    rows = [{"wall_s": 0, "updates": 0}, {"wall_s": 10, "updates": 10}, *(
        {"wall_s": 10 + i, "updates": 10 + 100 * i} for i in range(1, 4)
    )]  # fmt: skip
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert steady_rate(tmp_path, "updates") == 100


# --- parts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", [VECTOR, IMAGE, STACKED])
@pytest.mark.parametrize("transitions", [1, 32])
def test_blocks_and_their_messages_are_valid(spec, transitions):
    block = make_block(spec, transitions, np.random.default_rng(0))
    messages = list(Writer(spec).write(block, 3))
    for sequence, message in enumerate(messages):
        decoded = codec.decode(message)
        header = codec.expect(decoded, BlockHeader)
        assert header.sequence == sequence
        assert header.environment_steps == (sequence + 1) * transitions
        assert len(codec.read_block(decoded, spec)) == transitions
    assert len(block.frames) == transitions + spec.frame_stack


def test_a_worker_answers():
    with Worker(insert._receive, Config(), LOOPBACK) as worker:
        assert worker.receive().startswith("tcp://127.0.0.1:")
        worker.send(0)
        assert worker.receive() == "received"


def test_what_breaks_a_worker_is_told():
    with Worker(insert._receive) as worker, pytest.raises(RoleFailedError, match="TypeError"):
        worker.receive()


# --- the page and the command ---------------------------------------------------------------------


def test_the_page(tmp_path):
    results = {
        "insert": Result([Figure("insert.a", "t/s", (3.0,), (6.0,), Goal(2))]),
        "sample": Result([Figure("sample.b", "b/s", (1.0,), goal=Goal(2))], ["Left out."]),
    }
    path = tmp_path / "docs" / "benchmarks.md"
    page.write_page(path, results, TINY, day="2031-02-03")
    text = path.read_text()
    assert "2031-02-03" in text
    assert "1 of 2 are met." in text
    assert "| `sample.b` | b/s | >= 2.00 | 1.00 | **no** |" in text
    assert "Left out." in text
    assert "| processor |" in text
    assert "| torch |" in text


def test_a_page_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="Cannot"):
        page.write_page(tmp_path / "file" / "page.md", {}, TINY)


def test_every_benchmark_is_a_command_has_a_title_and_is_part_of_all():
    assert {*ALL, "all"} == set(bench.commands)
    assert set(ALL) == set(page._TITLES) == set(page._BOUNDS)
    for name in ALL:
        assert bench.commands[name].get_short_help_str(), name


def test_the_command_prints_json():
    done = CliRunner().invoke(bench, ["frames", "--quick", "--json"])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert figures["frames.blocks_of_32.wire"]["unit"] == "bytes/transition"


def test_all_writes_the_page(tmp_path, monkeypatch):
    asked = {}

    def measure(name, effort, **options):
        asked[name] = effort, options
        return Result([Figure(f"{name}.a", "s", (1.0,))])

    monkeypatch.setattr("zdqn.cli.bench._measure", measure)
    path = tmp_path / "page.md"
    words = ["all", "--quick", "--repeats", "7", "--output", str(path), "--policy", "remote"]
    done = CliRunner().invoke(bench, words)
    assert done.exit_code == 0, done.output
    assert list(asked) == list(ALL)
    assert asked["scaling"][1] == {"policy": "remote"}
    assert asked["frames"][0] == Effort(repeats=7, seconds=0.5, quick=True)
    text = path.read_text()
    assert all(f"{name}.a" in text for name in ALL)
