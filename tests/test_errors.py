"""The errors: exit codes, and names that are nearly right."""

import inspect

import pytest

from zdqn import errors
from zdqn.records.endpoints import read_endpoints
from zdqn.records.experience import read_npz
from zdqn.records.run_directory import RunDirectory
from zdqn.records.run_files import read_summary
from zdqn.records.run_tables import read_metrics


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


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(2, "No such file or directory", "/lab/x"), "No such file or directory"),
        (OSError("a timeout."), "a timeout"),
        (ValueError("it holds no object."), "it holds no object"),
        (KeyError("mean"), "KeyError: 'mean'"),
        (RecursionError(), "RecursionError"),
    ],
)
def test_what_went_wrong_names_no_file(error, words):
    assert errors.what_went_wrong(error) == words


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("steps.npz", read_npz),
        ("summary.json", lambda path: read_summary(path.parent)),
        ("endpoints.json", lambda path: read_endpoints(path.parent)),
        ("metrics.jsonl", lambda path: read_metrics(path.parent)),
        ("run_id", lambda path: RunDirectory(path.parent).run_id()),
        ("learner_epoch", lambda path: RunDirectory(path.parent).next_learner_epoch()),
    ],
)
def test_an_error_names_the_file_once(tmp_path, name, read):
    path = tmp_path / name
    path.mkdir()  # which is no file
    with pytest.raises(errors.FileError) as raised:
        read(path)
    assert str(raised.value).count(str(path)) == 1
    assert "Errno" not in str(raised.value)


def test_an_error_of_what_is_not_there_names_it_once(tmp_path):
    path = tmp_path / "no.npz"
    with pytest.raises(errors.FileError) as raised:
        read_npz(path)
    assert str(raised.value).startswith(f"Cannot read {path}: No such file or directory. It must")
