"""What the tests of an agent share."""

import pytest

from tests.roles.agent.hosts import Host


@pytest.fixture
def host(fake, context, loopback):
    made = Host(fake, context, loopback)
    yield made
    made.close()
