"""Two hosts with an sshd each, on a cable that can be cut, for tests of what goes over ssh.

The hosts are network namespaces of this machine: files and users are shared. It needs root, for
an sshd that lets a user in, and OpenSSH's server.
"""

import contextlib
import getpass
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tests.network.cable import ADDRESSES
from tests.network.two_hosts import TwoHosts

NAMES = {"near": "alpha", "far": "beta"}
"""Host of the cable to what ssh calls it."""
DEADLINE_S = 30.0

SSHD = """\
ListenAddress {address}
HostKey {key}
PidFile none
AuthorizedKeysFile "{allowed}"
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
MaxStartups 100
AcceptEnv none
"""

SSH = """\
Host {names}
  User {user}
  IdentityFile "{identity}"
  IdentitiesOnly yes
  UserKnownHostsFile "{known}"
  GlobalKnownHostsFile none
"""


class SshLaboratory:
    """Two hosts, `alpha` and `beta`, until it is closed; commands are given on `alpha`.

    Raises:
        OSError: with a reason, where this machine does not allow it.
    """

    def __init__(self, folder: Path):
        self._sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        if os.geteuid() != 0:
            raise OSError("sshd needs root")
        if self._sshd is None or shutil.which("ssh") is None:
            raise OSError("there is no OpenSSH server (openssh-server)")
        self.folder = folder
        self.known = folder / "known_hosts"
        self.ssh_config = folder / "ssh_config"
        self._servers: dict[str, subprocess.Popen[bytes]] = {}
        Path("/run/sshd").mkdir(exist_ok=True)
        self.hosts = TwoHosts()
        try:
            self._make_keys()
            for host in NAMES:
                self.start_sshd(host)
        except BaseException:
            self.close()
            raise

    def _make_keys(self):
        for name in ("user", *NAMES.values()):
            make_key(self.folder / name)
        lines = []
        for host, name in NAMES.items():
            public = (self.folder / f"{name}.pub").read_text().split()
            lines.append(f"{ADDRESSES[host]} {public[0]} {public[1]}\n")
        self.known.write_text("".join(lines))
        text = SSH.format(
            names=" ".join((*NAMES.values(), "nowhere")),
            user=getpass.getuser(),
            identity=self.folder / "user",
            known=self.known,
        )
        for host, name in NAMES.items():
            text += f"Host {name}\n  HostName {ADDRESSES[host]}\n"
        text += "Host nowhere\n  HostName 10.77.0.9\n"
        self.ssh_config.write_text(text)

    def on(self, host):
        """Give what to put before a command to run it there, as the user that this is."""
        return ("nsenter", f"--net=/proc/{self.hosts.process_of(host)}/ns/net")

    def start_sshd(self, host):
        """Start the sshd of a host."""
        assert self._sshd is not None
        name = NAMES[host]
        config = self.folder / f"sshd_{name}.conf"
        config.write_text(
            SSHD.format(
                address=ADDRESSES[host],
                key=self.folder / name,
                allowed=self.folder / "user.pub",
            )
        )
        command = [self._sshd, "-D", "-f", str(config), "-E", str(self.folder / f"{name}.log")]
        self._servers[host] = subprocess.Popen([*self.on(host), *command])
        by_s = time.monotonic() + DEADLINE_S
        while subprocess.run(self.ssh(name, "true"), capture_output=True, check=False).returncode:
            assert time.monotonic() < by_s, (self.folder / f"{name}.log").read_text()
            time.sleep(0.05)

    def stop_sshd(self, host):
        """End the sshd of a host; connections that it has made go on."""
        server = self._servers.pop(host)
        server.terminate()
        server.wait(DEADLINE_S)

    def ssh(self, name, *command):
        """Give the command that runs another on a host, seen from `alpha`."""
        return [
            *self.on("near"),
            "ssh",
            "-F",
            str(self.ssh_config),
            "-oBatchMode=yes",
            name,
            *command,
        ]

    def _network_of(self, host):
        return Path(f"/proc/{self.hosts.process_of(host)}/ns/net").stat().st_ino

    def processes_on(self, host):
        """Give the command lines of what runs there, but for the cable and its sshd."""
        there = self._network_of(host)
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                state = (path / "stat").read_text().rpartition(")")[2].split()[0]
                if state != "Z" and (path / "ns/net").stat().st_ino == there:
                    found[int(path.name)] = (path / "cmdline").read_bytes().decode().split("\0")
        return {
            number: words
            for number, words in found.items()
            if not any("cable.py" in word or word.startswith("sshd") for word in words)
            and not words[0].endswith("sshd")
        }

    def kill_host(self, host):
        """Kill all that runs on a host, its sshd and its connections too, as a power cut would."""
        there = self._network_of(host)
        server = self._servers.pop(host)
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                mine = (path / "ns/net").stat().st_ino == there
                if mine and b"cable.py" not in (path / "cmdline").read_bytes():
                    os.kill(int(path.name), signal.SIGKILL)
        server.wait(DEADLINE_S)

    def close(self):
        """End the sshds, and the cable with what is left on it."""
        for host in list(self._servers):
            with contextlib.suppress(OSError):
                self.kill_host(host)
        self.hosts.close()


def make_key(path):
    """Make a key pair of ssh without a passphrase."""
    for old in (path, path.with_name(f"{path.name}.pub")):
        old.unlink(missing_ok=True)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True, timeout=30
    )
