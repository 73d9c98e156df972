"""The errors: exit codes, and names that are nearly right."""

import inspect

import pytest

from zdqn import errors


def test_every_error_has_the_exit_code_that_the_table_says():
    documented = {
        "UsageError": 2, "PeerUnavailableError": 69, "EnvironmentFailedError": 70,
        "CallbackFailedError": 70, "RoleFailedError": 70,
        "AddressInUseError": 73, "RunDirectoryTakenError": 73,
        "FileError": 74, "FencedError": 75, "PreemptedError": 75,
        "MismatchError": 76, "ProtocolError": 76,
        "NotAllowedError": 77, "ConfigError": 78,
    }  # fmt: skip
    classes = {
        name: kind
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.ZdqnError) and kind is not errors.ZdqnError
    }
    assert {name: kind.exit_code for name, kind in classes.items()} == documented
    for name, code in documented.items():
        assert f"{name}" in (errors.__doc__ or "")
        assert str(code) in (errors.__doc__ or "")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("capcity", 'Did you mean "capacity"?'),
        ("mid_size", 'Did you mean "min_size" or "max_size"?'),
        ("zzz", "Known: capacity, max_size, min_size."),
        ("", "Known: capacity, max_size, min_size."),
    ],
)
def test_did_you_mean_names_the_nearest_or_all(name, sentence):
    assert errors.did_you_mean(name, ["min_size", "capacity", "max_size", "capacity"]) == sentence
