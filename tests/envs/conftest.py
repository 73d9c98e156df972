"""A module of a user."""

import sys
import types
from typing import Any, cast

import pytest

from tests.envs.shaped import Shaped


@pytest.fixture
def own_module(monkeypatch):
    module = cast("Any", types.ModuleType("own_environments"))
    module.make_shaped = Shaped
    module.make_nothing = lambda: 3
    module.number = 4
    monkeypatch.setitem(sys.modules, "own_environments", module)
    return module
