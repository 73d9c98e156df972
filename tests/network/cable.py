"""Two hosts and the cable between them, without privileges and without touching the machine's own.

Run by `two_hosts.py` as `unshare -Urn python cable.py`: the namespace that this process is in is
the near host. It starts another one in a further namespace, the far host, takes a TUN device in
each and hands packets from one to the other, unless it is told not to. A line on standard input
is an order: `cut both|near|far` (nothing leaves that host any more), `delay MS JITTER_MS LOSS`,
`rate BYTES` a second in each direction, or `heal`.
It says `ready PID PID` (a process in each host), and ends with its standard input.
"""

import fcntl
import heapq
import os
import random
import select
import socket
import struct
import subprocess
import sys
import time

ADDRESSES = {"near": "10.77.0.1", "far": "10.77.0.2"}
TUNSETIFF = 0x400454CA
IFF_TUN_WITHOUT_PREFIX = 0x1001
PACKET_BYTES = 2_048
PATIENCE_S = 0.4
"""What would wait longer for a slow cable is dropped, as routers do."""


def plug_in(host):
    """Give this namespace its address, and the descriptor of what goes over the cable."""
    cable = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(cable, TUNSETIFF, struct.pack("16sH22x", b"cable", IFF_TUN_WITHOUT_PREFIX))
    for command in (
        "ip link set lo up",
        f"ip address add {ADDRESSES[host]}/24 dev cable",
        "ip link set cable up mtu 1500",
    ):
        subprocess.run(command.split(), check=True)
    return cable


def be_the_far_host(descriptor):
    with socket.socket(fileno=descriptor) as near:
        socket.send_fds(near, [b"cable"], [plug_in("far")])
        near.recv(1)  # until the other end is no more


class Way:
    """What happens to packets on their way, as it was ordered last."""

    def __init__(self):
        self._rng = random.Random(0)
        self._free_at_s = {"near": 0.0, "far": 0.0}
        self.obey("heal")

    def obey(self, name, *values):
        if name == "cut":
            self._cut = {"near", "far"} if values[0] == "both" else {values[0]}
        elif name == "delay":
            self._delay_s, self._jitter_s = float(values[0]) / 1000, float(values[1]) / 1000
            self._loss = float(values[2])
        elif name == "rate":
            self._rate = float(values[0])
        else:
            self._cut, self._rate = set(), float("inf")
            self._delay_s = self._jitter_s = self._loss = 0.0

    def due_s(self, host, nbytes):
        """Say when a packet from a host arrives; None if it never does."""
        now_s = time.monotonic()
        begins_s = max(now_s, self._free_at_s[host])
        if host in self._cut or self._rng.random() < self._loss or begins_s > now_s + PATIENCE_S:
            return None
        self._free_at_s[host] = begins_s + nbytes / self._rate
        jitter_s = self._rng.uniform(-self._jitter_s, self._jitter_s)
        return self._free_at_s[host] + self._delay_s + jitter_s


def carry(near, far):
    """Hand packets over until standard input ends."""
    ends = {near: ("near", far), far: ("far", near)}
    way = Way()
    travelling: list[tuple[float, int, int, bytes]] = []
    number = 0
    while True:
        now_s = time.monotonic()
        while travelling and travelling[0][0] <= now_s:
            _, _, end, packet = heapq.heappop(travelling)
            os.write(end, packet)
        patience_s = travelling[0][0] - now_s if travelling else None
        for ready in select.select([*ends, 0], [], [], patience_s)[0]:
            if ready == 0:
                words = os.read(0, 200).decode().split()
                if not words:
                    return
                way.obey(*words)
                print("done", flush=True)  # noqa: T201 - the answer to the order
                continue
            host, other = ends[ready]
            packet = os.read(ready, PACKET_BYTES)
            due_s = way.due_s(host, len(packet))
            if due_s is not None:
                number += 1
                heapq.heappush(travelling, (due_s, number, other, packet))


def main():
    ours, theirs = socket.socketpair()
    command = ["unshare", "-n", sys.executable, __file__, str(theirs.fileno())]
    far = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    theirs.close()
    near_end = plug_in("near")
    _, (far_end, *_), *_ = socket.recv_fds(ours, 16, 1)
    print("ready", os.getpid(), far.pid, flush=True)  # noqa: T201 - read by who started this
    try:
        carry(near_end, far_end)
    finally:
        ours.close()
        far.wait(10)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        be_the_far_host(int(sys.argv[1]))
    else:
        main()
