"""Having an episode played now and then, in a process of its own."""

import os
import subprocess
import sys

import pytest

from zdqn.experiments.dashboard.filming import LEAST_PAUSE_S, FilmMaker, newest_weights
from zdqn.records.run_files import RunFiles


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


FILM = (
    "import json, sys; sys.stdout.write(json.dumps({'columns': 1, 'frames': 1, 'width': 2, "
    "'height': 3, 'frame_s': 0.5, 'text': 'best.pt', 'computed_s': %s}) + '\\nPNG')"
)


class Scripted(FilmMaker):
    """Has a script run in place of what plays."""

    script = FILM % 0.0
    begun: list[list[str]]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def files(tmp_path):
    return RunFiles(tmp_path)


@pytest.fixture
def maker(files, clock, monkeypatch):
    """Makes films by whatever `maker.script` says."""
    real = subprocess.Popen
    begun: list[list[str]] = []

    def popen(argv, **options):
        begun.append(argv)
        return real([sys.executable, "-c", made.script], **options)

    monkeypatch.setattr("subprocess.Popen", popen)
    with Scripted(files.path, clock=clock) as made:
        made.begun = begun
        yield made


def play(maker):
    """Play what is due, to its end."""
    maker.advance()
    process = maker._process
    if process is not None:
        process.wait(60)
        maker.advance()


def test_what_plays_takes_no_module_from_where_it_begins_and_is_told_what_is_allowed(maker, files):
    files.best.write_bytes(b"1")
    maker._allow_code = ("my_envs",)
    play(maker)
    assert maker.begun[0][1:3] == ["-P", "-m"]
    assert maker.begun[0][-1] == "my_envs"


def test_nothing_is_played_before_there_are_weights(maker):
    play(maker)
    assert maker.film is None
    assert "once the run has kept weights" in maker.why
    assert maker.begun == []


def test_new_weights_are_played_once(maker, files, clock):
    files.best.write_bytes(b"1")
    play(maker)
    assert (maker.film.number, maker.film.image, maker.film.text) == (1, b"PNG", "best.pt")
    assert maker.why == ""
    clock.now_s += 1_000
    play(maker)
    assert len(maker.begun) == 1
    os.utime(files.best, ns=(5, 5))
    play(maker)
    assert maker.film.number == 2


@pytest.mark.parametrize(("computed_s", "pause_s"), [(0.0, LEAST_PAUSE_S), (3.0, 60.0)])
def test_playing_takes_no_more_than_its_share_of_time(maker, files, clock, computed_s, pause_s):
    maker.script = FILM % computed_s
    files.best.write_bytes(b"1")
    play(maker)
    os.utime(files.best, ns=(5, 5))
    clock.now_s += pause_s - 0.1
    play(maker)
    assert len(maker.begun) == 1
    clock.now_s += 0.2
    play(maker)
    assert len(maker.begun) == 2


def test_why_there_is_no_film_is_told_and_an_older_film_stays(maker, files, clock):
    files.best.write_bytes(b"1")
    play(maker)
    os.utime(files.best, ns=(5, 5))
    clock.now_s += 1_000
    maker.script = 'print(\'{"why": "it draws nothing"}\')'
    play(maker)
    assert maker.film.number == 1
    assert maker.why == "it draws nothing"


@pytest.mark.parametrize("script", ["import os; os._exit(3)", "print('nonsense')", "print('[]')"])
def test_a_process_that_breaks_is_told_of(maker, files, script):
    files.best.write_bytes(b"1")
    maker.script = script
    play(maker)
    assert maker.film is None
    assert "broke" in maker.why


def test_a_process_that_plays_is_ended_with_its_maker(maker, files):
    files.best.write_bytes(b"1")
    maker.script = "import time; time.sleep(1000)"
    maker.advance()
    process = maker._process
    assert process.poll() is None
    maker.close()
    assert process.returncode is not None


def test_of_a_run_that_has_ended_without_weights_none_are_promised(maker, files):
    maker.advance()
    assert maker.why.startswith("An episode is shown once")
    maker.advance(is_over=True)
    assert maker.why.startswith("The run has kept no weights")
    files.best.write_bytes(b"1")
    play(maker)
    assert (maker.film.number, maker.why) == (1, "")


def test_the_newest_weights_are_found_and_for_a_run_that_is_over_the_best(files):
    assert newest_weights(files) is None
    files.checkpoints.mkdir()
    new = files.checkpoints / "update-000000002.pt"
    for age, path in enumerate([files.best, files.checkpoints / "update-000000001.pt", new], 1):
        path.write_bytes(b"")
        os.utime(path, ns=(age, age))
    assert newest_weights(files) == (new, 3)
    assert newest_weights(files, best_only=True) == (files.best, 1)
    files.best.unlink()
    assert newest_weights(files, best_only=True) == (new, 3)
