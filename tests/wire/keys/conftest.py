"""Folders of keys as one machine, or several, would have them."""

import pytest

from zdqn.wire.keys.key_folder import KeyFolder


@pytest.fixture
def folder(tmp_path):
    """A folder with a key for each role, all of them let in."""
    made = KeyFolder(tmp_path / "keys")
    made.init()
    return made


@pytest.fixture
def stranger(tmp_path):
    """Another folder, whose keys nobody lets in; it knows the servers of nobody."""
    made = KeyFolder(tmp_path / "stranger")
    made.init()
    return made
