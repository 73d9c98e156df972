"""Values on one line of TOML."""

import tomllib

import pytest

from zdqn.cli.inline_toml import inline_toml


@pytest.mark.parametrize(
    "value",
    [
        True, 0, -3, 1e-8, 3e-4, 0.0, "", 'a "quoted" \\ word\n', "tcp://[::1]:0", [], [256, 64],
        {},
        {"a b": 1, "plain": {"x": [True]}}, [{"name": "n", "kwargs": {"k": 0.5}}],
    ],
)  # fmt: skip
def test_inline_toml_reads_back(value):
    assert tomllib.loads(f"value = {inline_toml(value)}")["value"] == value
