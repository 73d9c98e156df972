"""The process that plays one episode."""

import json
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import zdqn
from tests.experiments.dashboard.drawn import DrawnEnv
from zdqn.config import from_dict
from zdqn.errors import ConfigError
from zdqn.experiments.dashboard.film_child import FrameTap, play_episode
from zdqn.experiments.dashboard.sprite_sheet import Reel
from zdqn.records.run_files import RunFiles

ROOT = Path(__file__).parents[3]
OURS = "tests.experiments.dashboard.drawn"


def film(checkpoint, *words, cwd=ROOT):
    argv = [sys.executable, "-P", "-m", "zdqn.experiments.dashboard.film_child", str(checkpoint)]
    return subprocess.run([*argv, *words], capture_output=True, check=True, cwd=cwd, timeout=100)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of an environment that draws itself."""
    config = from_dict(
        {
            "environment": {"id": "tests.experiments.dashboard.drawn:DrawnEnv"},
            "network": {"hidden": [4]},
            "replay": {"capacity": 200, "min_size": 20, "samples_per_insert": 4.0},
            "algorithm": {"batch_size": 4},
            "evaluator": {"episodes": 1, "environments": 1, "period_updates": 5},
            "stop": {"updates": 10},
        },
        source="test",
    )
    directory = tmp_path_factory.mktemp("runs") / "drawn"
    zdqn.train(config, run_directory=directory, progress=False)
    return RunFiles(directory)


def test_an_episode_is_played_and_each_frame_kept(trained):
    played = play_episode(trained.best, seed=0, allow_code=[OURS])
    sheet = played.sheet
    assert sheet.frames == DrawnEnv.STEPS + 1
    assert (sheet.height, sheet.width) == (6, 8)
    assert [int(sheet.pixels[6 * (i // 8), 8 * (i % 8), 0]) for i in range(sheet.frames)] == [
        10 * i for i in range(sheet.frames)
    ]
    assert played.frame_s == pytest.approx(1 / 10)
    assert played.told == f"best.pt, seed 0: {DrawnEnv.STEPS} steps, return {DrawnEnv.STEPS}"


def test_an_episode_that_takes_too_long_is_shown_as_far_as_it_went(trained):
    played = play_episode(trained.best, seed=0, allow_code=[OURS], plays_for_s=-1.0)
    assert played.sheet.frames >= 1
    assert "cut there" in played.told


def test_the_process_gives_a_header_and_a_picture_though_the_environment_prints(trained):
    done = film(trained.best, "0", OURS)
    line, _, image = done.stdout.partition(b"\n")
    header = json.loads(line)
    assert header["frames"] == DrawnEnv.STEPS + 1
    assert header["computed_s"] > 0
    assert image.startswith(b"\x89PNG")
    assert b"printed by the environment" in done.stderr


def test_the_process_says_why_it_cannot_play(tmp_path):
    done = film(tmp_path / "x", "0")
    assert "x" in json.loads(done.stdout)["why"]


def test_whose_code_nobody_has_allowed_is_not_run_by_who_looks(trained):
    done = film(trained.best, "0")
    assert f"--allow-code {OURS}" in json.loads(done.stdout)["why"]
    assert b"printed by the environment" not in done.stderr


def test_no_file_where_it_begins_stands_for_a_library(trained, tmp_path):
    """A folder that one looks at from within may hold a `gymnasium.py`."""
    for library in ("gymnasium", "numpy", "msgspec", "torch"):
        (tmp_path / f"{library}.py").write_text("raise SystemExit('run from a run\\'s folder')\n")
    done = film(trained.best, "0", cwd=tmp_path)
    assert "--allow-code" in json.loads(done.stdout)["why"]
    assert b"run from a run" not in done.stderr


def test_an_environment_that_draws_nothing_is_refused():
    tap = FrameTap(DrawnEnv(), Reel())
    with pytest.raises(ConfigError, match="draws no pictures"):
        tap.reset(seed=0)


def test_a_list_of_frames_gives_its_last():
    class Lists(gymnasium.Env):
        def reset(self, **_):
            return 0, {}

        def render(self):
            return [np.zeros((1, 1, 3), np.uint8), np.ones((1, 1, 3), np.uint8)]

    reel = Reel()
    FrameTap(Lists(), reel).reset()
    assert (reel.sheet().pixels == 1).all()
