"""The processes of a benchmark."""

import pytest

from zdqn.benchmarks import bench_insert
from zdqn.benchmarks.processes import LOOPBACK, Worker
from zdqn.config import Config
from zdqn.errors import RoleFailedError


def test_a_worker_answers():
    with Worker(bench_insert._receive, Config(), LOOPBACK) as worker:
        assert worker.receive().startswith("tcp://127.0.0.1:")
        worker.send(0)
        assert worker.receive() == "received"


def test_what_breaks_a_worker_is_told():
    with Worker(bench_insert._receive) as worker, pytest.raises(RoleFailedError, match="TypeError"):
        worker.receive()
