"""The script that runs in a peer's own environment."""

import sys

import pytest

from zdqn.benchmarks import reverb_script
from zdqn.benchmarks.running_system import run_to_end
from zdqn.errors import RoleFailedError


def test_the_scripts_of_peers_stand_alone(tmp_path):
    """They run where zdqn is not installed, and fail there only for want of the peer."""
    with pytest.raises(RoleFailedError, match="No module named 'reverb'"):
        run_to_end([sys.executable, "-I", reverb_script.__file__, "10"], tmp_path / "log.txt", 60)
