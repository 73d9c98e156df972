"""A forked process keeps nothing of its parent's servers, whatever becomes of the parent."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from tests.roles.conftest import eventually
from tests.wire.links import make_receiver
from zdqn.errors import AddressInUseError
from zdqn.wire.addresses import Address
from zdqn.wire.held_port import HeldPort

PROGRAM = """
import sys, time, threading
import gymnasium
from tests.roles.conftest import quick_config
from zdqn.roles.memory import Memory
from zdqn.roles.collector import Collector
from tests.roles.conftest import Corridor

class Hanging(Corridor):
    def step(self, action):
        time.sleep(1000)

memory = Memory(quick_config(), bind="tcp://127.0.0.1:0")
config = quick_config("collector.vectorization=async", "collector.environments=2")
collector = Collector(config, learner=sys.argv[1], environment=Hanging)
environments = collector._environments.unwrapped
environments.reset()
environments.step_async([0, 0])
print(memory.endpoints["samples"], *(worker.pid for worker in environments.processes), flush=True)
time.sleep(1000)
"""


def is_free(port):
    try:
        HeldPort(Address("tcp", "127.0.0.1", port)).close()
    except AddressInUseError:
        return False
    return True


def is_there(process_id):
    try:
        with open(f"/proc/{process_id}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_workers_that_outlive_a_killed_program_keep_none_of_its_ports(nobody):
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(nobody)], stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    with program:
        address, *workers = program.stdout.readline().split()
        try:
            port = int(address.rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.settimeout(60)
                assert not is_free(port)
                program.kill()
                program.wait()
                with suppress(ConnectionResetError):
                    while client.recv(1_000):  # its greeting, and then the end
                        pass
            assert all(is_there(worker) for worker in workers), "else this shows nothing"
            eventually(lambda: is_free(port) and is_free(port - 1), "both ports")
        finally:
            for worker in workers:
                os.kill(int(worker), signal.SIGKILL)


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_the_parent_goes_on(context, loopback, tmp_path, transport):
    where = loopback if transport == "tcp" else Address("ipc", path=str(tmp_path / "data"))
    with make_receiver(context, where) as receiver:
        worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,))
        worker.start()
        try:
            family = socket.AF_INET if transport == "tcp" else socket.AF_UNIX
            with socket.socket(family) as client:
                client.settimeout(60)
                at = receiver.address
                client.connect((at.host, at.port) if transport == "tcp" else at.path)
                assert client.recv(10)
        finally:
            worker.kill()
            worker.join()
