"""Both ends of a launch are the same zdqn."""

import pytest

from zdqn.errors import MismatchError
from zdqn.launch.cluster.versions import check_version, zdqn_version
from zdqn.wire.protocol import PROTOCOL_VERSION


def test_another_is_refused_and_both_are_named():
    check_version("h", zdqn_version(), python="p")
    with pytest.raises(MismatchError, match=r"h has zdqn 0\.0\.9, and this machine .* \(p there\)"):
        check_version("h", "0.0.9", python="p")
    assert f"(protocol {PROTOCOL_VERSION})" in zdqn_version()
