"""Starting a run that goes on without who started it (test_visits.py has a whole one)."""

import pytest

from tests.launch.cluster.clusters import small_plan
from zdqn.config.cluster_sections import ServerSection
from zdqn.errors import UsageError
from zdqn.launch.cluster.detaching import check_detachable


def test_ports_that_would_change_are_refused():
    check_detachable(small_plan())
    with pytest.raises(UsageError, match=r"--detach, but memory\.port is 0"):
        check_detachable(small_plan(memory=ServerSection(host="m", port=0)))
