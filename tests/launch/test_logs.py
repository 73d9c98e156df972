"""What a zdqn process logs, line by line."""

import io
import logging
import re

import pytest

from zdqn.launch.logs import LEVELS, configure_logging


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
