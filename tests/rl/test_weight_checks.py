import math
import re
from typing import Any

import numpy as np
import pytest
import torch

from zdqn.errors import MismatchError
from zdqn.rl.weight_checks import check_finite, check_schema, describe

OURS = {"body": np.zeros((3, 2), np.float32), "head": np.zeros(2, np.float32)}
WAY_OUT = "Both sides need the same environment and network settings."


@pytest.mark.parametrize(
    ("of_numpy", "words"),
    [
        (np.zeros((3, 2), np.float32), "float32 (3, 2)"),
        (np.zeros(5, np.int64), "int64 (5,)"),
        (np.zeros((), np.float64), "float64 ()"),
        (np.zeros((0, 4), np.bool_), "bool (0, 4)"),
    ],
)
def test_arrays_and_tensors_are_described_alike(of_numpy: Any, words: str) -> None:
    assert describe(of_numpy) == words
    assert describe(torch.from_numpy(of_numpy)) == words


def test_the_same_names_dtypes_and_shapes_will_do_whatever_the_values_and_the_order() -> None:
    theirs = {"head": torch.ones(2), "body": torch.ones(3, 2)}
    check_schema("weights", OURS, theirs)
    check_schema("weights", theirs, OURS)
    check_schema("weights", {}, {})


@pytest.mark.parametrize(
    ("found", "differences"),
    [
        ({"body": OURS["body"]}, "head is missing (float32 (2,))"),
        ({**OURS, "more": np.zeros(1, np.int32)}, "more is unknown (int32 (1,))"),
        (
            {**OURS, "head": np.zeros(3, np.float32)},
            "head is float32 (3,) and should be float32 (2,)",
        ),
        (
            {**OURS, "body": torch.zeros(3, 2, dtype=torch.float16)},
            "body is float16 (3, 2) and should be float32 (3, 2)",
        ),
        (
            {**OURS, "body": np.zeros((2, 3), np.float32)},
            "body is float32 (2, 3) and should be float32 (3, 2)",
        ),
        (
            {"body": np.zeros(1, np.uint8), "tail": OURS["head"]},
            "head is missing (float32 (2,)); tail is unknown (float32 (2,)); "
            "body is uint8 (1,) and should be float32 (3, 2)",
        ),
        ({}, "body is missing (float32 (3, 2)); head is missing (float32 (2,))"),
    ],
)
def test_every_difference_is_shown(found: dict[str, Any], differences: str) -> None:
    message = f"the state's step do not fit this network: {differences}. {WAY_OUT}"
    with pytest.raises(MismatchError, match=f"^{re.escape(message)}$"):
        check_schema("the state's step", OURS, found)


def test_finite_numbers_will_do_and_so_do_integers_and_none_at_all() -> None:
    largest = np.finfo(np.float32).max
    check_finite({"a": np.array([largest, -largest, 0], np.float32), "b": np.arange(3)})
    check_finite({"a": np.zeros((0, 2), np.float32)})
    check_finite({})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_others_are_counted_and_named_with_the_way_out(value: float) -> None:
    body = OURS["body"].copy()
    body[0, 1] = body[2, 0] = value
    with pytest.raises(
        MismatchError,
        match=r"^weights refused: 2 of 6 values of body are not finite\..*diverged.*learning rate",
    ):
        check_finite({"head": OURS["head"], "body": body})
