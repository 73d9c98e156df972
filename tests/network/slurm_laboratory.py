"""A Slurm of two nodes on this machine, for tests of what a user types on a cluster.

The nodes are the two hosts of `two_hosts.py`: network namespaces with names of their own. Files and
users are shared, as on a cluster. Slurm's daemons run as root, with a configuration and folders of
their own, and are all ended by `close`.
"""

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path

from tests.network.cable import ADDRESSES
from tests.network.two_hosts import TwoHosts

NODES = {"near": "alpha", "far": "beta"}
"""Host of the cable to the name of the node."""
DEADLINE_S = 60.0
PROGRAMS = ("munged", "mungekey", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")

SLURM = """\
ClusterName=zdqn
SlurmctldHost=alpha({near})
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/controller
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,requeue_delay=1
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=20
MinJobAge=10
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=alpha NodeAddr={near} CPUs={cores} RealMemory=1000 State=UNKNOWN
NodeName=beta NodeAddr={far} CPUs={cores} RealMemory=1000 State=UNKNOWN
PartitionName=long Nodes=alpha,beta Default=YES State=UP PriorityTier=10 PreemptMode=OFF
PartitionName=spare Nodes=beta State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=15
PartitionName=urgent Nodes=beta State=UP PriorityTier=20 PreemptMode=OFF
"""


class SlurmLaboratory:
    """Two nodes, `alpha` and `beta`, until it is closed; commands are given on `alpha`.

    Args:
        folder: for what Slurm keeps.
        cores: that each node says it has.

    Raises:
        OSError: with a reason, where this machine does not allow it.
    """

    def __init__(self, folder: Path, *, cores: int = 4):
        if os.geteuid() != 0:
            raise OSError("Slurm's daemons need root")
        path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
        self._programs = {name: shutil.which(name, path=path) or "" for name in PROGRAMS}
        missing = [name for name, found in self._programs.items() if not found]
        if missing:
            raise OSError(f"there is no {', '.join(missing)} (slurm-wlm, munge)")
        self.folder = folder
        self._daemons: list[subprocess.Popen[bytes]] = []
        self._names = folder / "hosts"
        self._names.write_text(
            "127.0.0.1 localhost\n"
            + "".join(f"{ADDRESSES[host]} {node}\n" for host, node in NODES.items())
        )
        self.config = folder / "slurm.conf"
        self.config.write_text(SLURM.format(folder=folder, cores=cores, **ADDRESSES))
        (folder / "controller").mkdir()
        for node in NODES.values():
            (folder / node).mkdir()
        self.hosts = TwoHosts()
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self):
        key = self.folder / "munge.key"
        subprocess.run([self._programs["mungekey"], "--create", f"--keyfile={key}"], check=True)
        self._daemon(
            "near",
            "munged",
            "--foreground",
            "--force",
            f"--key-file={key}",
            f"--socket={self.folder}/munge.socket",
            f"--pid-file={self.folder}/munged.pid",
            f"--log-file={self.folder}/munged.log",
            f"--seed-file={self.folder}/munged.seed",
        )
        self.wait_for((self.folder / "munge.socket").exists)
        self._daemon("near", "slurmctld", "-D")
        for host, node in NODES.items():
            self._daemon(host, "slurmd", "-D", "-N", node)
        self.wait_for(lambda: self.ask("sinfo", "-h", "-o", "%T", "-p", "long") == "idle")

    def on(self, host):
        """Give what to put before a command to run it on a host, under its name."""
        script = 'mount --bind "$1" /etc/hosts && hostname "$2" && shift 2 && exec "$@"'
        return [
            "nsenter", f"--net=/proc/{self.hosts.process_of(host)}/ns/net",
            "unshare", "--uts", "--mount",
            "sh", "-c", script, "sh", str(self._names), NODES[host],
        ]  # fmt: skip

    @property
    def environment(self):
        """Variables with which commands find this Slurm."""
        return {**os.environ, "SLURM_CONF": str(self.config)}

    def _daemon(self, host, name, *arguments):
        with (self.folder / f"{name}.said").open("a") as said:
            command = [*self.on(host), self._programs[name], *arguments]
            self._daemons.append(
                subprocess.Popen(command, env=self.environment, stdout=said, stderr=said)
            )

    def ask(self, *command):
        """Run a command on `alpha`; gives what it prints, or "" where it fails."""
        done = subprocess.run(
            [*self.on("near"), *command],
            env=self.environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False,
        )  # fmt: skip
        return done.stdout.strip() if done.returncode == 0 else ""

    def wait_for(self, holds, *, what=""):
        """Wait until something holds, while all daemons live."""
        by_s = time.monotonic() + DEADLINE_S
        while not holds():
            assert all(daemon.poll() is None for daemon in self._daemons), self.logs()
            assert time.monotonic() < by_s, f"{what}\n{self.logs()}"
            time.sleep(0.1)

    def logs(self):
        """Give the ends of what the daemons have written."""
        paths = [*self.folder.glob("*.log"), *self.folder.glob("*.said")]
        return "\n".join(f"--- {path.name}\n{path.read_text()[-3000:]}" for path in paths)

    def processes(self):
        """Give the command lines of what jobs have running, on either node."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (path / "cmdline").read_bytes().decode(errors="replace").split("\0")
                environment = (path / "environ").read_bytes().split(b"\0")
                if f"SLURM_CONF={self.config}".encode() in environment and any(
                    name.startswith(b"SLURM_JOB_ID=") for name in environment
                ):
                    found.append(" ".join(words))
        return found

    def close(self):
        """End all jobs, then the daemons, then the cable."""
        with contextlib.suppress(Exception):
            self.ask("scancel", "--full", "--signal=KILL", f"--user={os.geteuid()}")
            self.ask("scancel", f"--user={os.geteuid()}")
            self.wait_for(lambda: not self.processes())
        for daemon in reversed(self._daemons):
            daemon.terminate()
        for daemon in self._daemons:
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait(20)
        self.hosts.close()
