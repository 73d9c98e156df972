import math
import re

import pytest

from zdqn.errors import ConfigError
from zdqn.rl.option_checks import check_choice, check_range


@pytest.mark.parametrize("known", [("huber", "squared"), {"huber": 1, "squared": None}])
def test_a_known_name_will_do(known: tuple[str, ...] | dict[str, object]) -> None:
    check_choice("loss", "huber", known)
    check_choice("loss", "squared", known)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("hubert", 'loss = "hubert" is unknown. Did you mean "huber"?'),
        ("", 'loss = "" is unknown. Known: huber, squared.'),
        ("HUBER", 'loss = "HUBER" is unknown. Known: huber, squared.'),
    ],
)
@pytest.mark.parametrize("known", [("huber", "squared"), {"huber": 1, "squared": None}])
def test_another_is_refused_with_those_there_are(
    value: str, message: str, known: tuple[str, ...] | dict[str, object]
) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        check_choice("loss", value, known)


@pytest.mark.parametrize("value", [5, 0.25, math.inf])
def test_a_number_that_fits_will_do(value: float) -> None:
    check_range("rate", value, value > 0, "above 0")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "rate = 0 must be above 0."),
        (-0.5, "rate = -0.5 must be above 0."),
        (math.nan, "rate = nan must be above 0."),
    ],
)
def test_another_is_refused_with_the_rule(value: float, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        check_range("rate", value, value > 0, "above 0")
