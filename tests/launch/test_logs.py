"""What a zdqn process logs, line by line."""

import io
import logging
import re

import pytest

from zdqn.launch.logs import LEVELS, configure_logging, log_to_screen


@pytest.fixture
def logger():
    logger = logging.getLogger("zdqn")
    before = list(logger.handlers), logger.level
    yield logger
    logger.handlers[:], level = before
    logger.setLevel(level)


def log_a_fault(logger):
    try:
        raise KeyError("lost")
    except KeyError:
        logger.warning("it broke", exc_info=True)


def test_a_line_has_the_time_the_level_and_the_message(logger):
    stream = io.StringIO()
    configure_logging("info", stream)
    logging.getLogger("zdqn.memory").info("%d stored", 3)
    logger.debug("not this")
    assert re.fullmatch(r"\d\d:\d\d:\d\d info 3 stored\n", stream.getvalue())


@pytest.mark.parametrize("level", LEVELS)
def test_only_debugging_shows_tracebacks(logger, level):
    stream = io.StringIO()
    configure_logging(level, stream)
    log_a_fault(logger)
    assert ("Traceback" in stream.getvalue()) is (level == "debug")
    assert ("it broke" in stream.getvalue()) is (level != "error")


def test_configured_twice_a_line_is_written_once_and_other_handlers_stay(logger):
    first, second, own = io.StringIO(), io.StringIO(), logging.NullHandler()
    logger.addHandler(own)
    configure_logging("info", first)
    configure_logging("info", second)
    logger.info("hello")
    assert first.getvalue() == ""
    assert second.getvalue().count("hello") == 1
    assert own in logger.handlers


@pytest.mark.parametrize("verbose", [False, True])
def test_while_a_screen_is_drawn_warnings_are_shown_and_a_file_gets_everything(
    logger, tmp_path, verbose
):
    stream = io.StringIO()
    configure_logging("info", stream)
    shown: list[str] = []
    with log_to_screen(shown.append, tmp_path / "log", verbose=verbose):
        logger.debug("a trifle")
        logger.info("a detail")
        logger.warning("look")
        log_a_fault(logger)
    logger.info("afterwards")
    written = (tmp_path / "log").read_text().splitlines()
    assert [line[9:] for line in written] == ["info a detail", "warning look", "warning it broke"]
    assert [line[9:] for line in shown] == [line[9:] for line in written][0 if verbose else 1 :]
    assert [line[9:] for line in stream.getvalue().splitlines()] == ["info afterwards"]


def test_a_screen_within_a_screen_shows_a_line_once(logger, tmp_path):
    configure_logging("info", io.StringIO())
    outer: list[str] = []
    inner: list[str] = []
    with log_to_screen(outer.append, None, verbose=False):
        with log_to_screen(inner.append, tmp_path / "log", verbose=False):
            logger.warning("one")
        logger.warning("two")
    assert [line[-3:] for line in inner] == ["one"]
    assert [line[-3:] for line in outer] == ["two"]


def test_who_shows_may_fail(logger, tmp_path, monkeypatch):
    asked = []

    def fail(line):
        asked.append(line[9:])
        raise RuntimeError("no screen")

    monkeypatch.setattr(logging, "raiseExceptions", False)
    with log_to_screen(fail, tmp_path / "log", verbose=False):
        logger.warning("look")
    assert asked == ["warning look"]
    assert (tmp_path / "log").read_text().endswith("warning look\n"), "others show it all the same"


def test_a_file_that_cannot_be_written_changes_nothing(logger, tmp_path):
    stream = io.StringIO()
    configure_logging("info", stream)
    with pytest.raises(OSError, match="directory"), log_to_screen(print, tmp_path, verbose=False):
        pass
    logger.info("still here")
    assert "still here" in stream.getvalue()
