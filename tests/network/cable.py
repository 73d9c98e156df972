"""Two hosts and the cable between them, without privileges and without touching the machine's own.

Run by `two_hosts.py` as `unshare -Urn python cable.py`: the namespace that this process is in is
the near host. It starts another one in a further namespace, the far host, takes a TUN device in
each and hands packets from one to the other, unless it is told not to. A line on standard input
is an order: `cut both|near|far` (nothing leaves that host any more), `delay MS JITTER_MS LOSS`,
or `heal`.
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


def carry(near, far):
    """Hand packets over until standard input ends."""
    ends = {near: ("near", far), far: ("far", near)}
    cut: set[str] = set()
    delay_s = jitter_s = loss = 0.0
    travelling: list[tuple[float, int, int, bytes]] = []
    number, rng = 0, random.Random(0)
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
                if words[0] == "cut":
                    cut = {"near", "far"} if words[1] == "both" else {words[1]}
                elif words[0] == "heal":
                    cut, delay_s, jitter_s, loss = set(), 0.0, 0.0, 0.0
                else:
                    delay_s, jitter_s = float(words[1]) / 1000, float(words[2]) / 1000
                    loss = float(words[3])
                print("done", flush=True)  # noqa: T201 - the answer to the order
                continue
            host, other = ends[ready]
            packet = os.read(ready, PACKET_BYTES)
            if host in cut or rng.random() < loss:
                continue
            number += 1
            due_s = time.monotonic() + delay_s + rng.uniform(-jitter_s, jitter_s)
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
