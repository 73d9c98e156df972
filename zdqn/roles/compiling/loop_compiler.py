"""A process beside this one that compiles updates, and its end.

- standard input: one line of JSON, then the job (cloudpickle, from the parent process of the same
  user only); after that it stays open. Its end means that nobody waits for the result any more.
- standard output: one line of JSON, an `Outcome`.
- standard error: what compilers say, dropped.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from zdqn.closing import Closing
from zdqn.config import Config
from zdqn.data import EnvironmentSpec
from zdqn.roles.building import NetworkFactory

MOST_S = 600.0
"""Seconds after which compiling is given up."""

_NICENESS = "5"
"""Beside busy processes it gets a quarter of a core: it is done before long, and costs little."""
_WAIT_S = 0.1


@dataclass(frozen=True)
class Job:
    """What to compile.

    Attributes:
        config: of the run.
        network: makes the network in place of ``network.kind``.
        spec: of the environment.
        folder: of the cache, for the result.
        work: a folder for all that is in between.
        key: of the result; None for that of the graph, once it is known.
    """

    config: Config
    network: NetworkFactory | None
    spec: EnvironmentSpec
    folder: Path
    work: Path
    key: str | None


class Outcome(msgspec.Struct, frozen=True):
    """How compiling went.

    Attributes:
        path: of the result; "" if there is none.
        error: why there is none.
    """

    path: str = ""
    error: str = ""


class LoopCompiler(Closing):
    """A process that compiles; it is ended if nobody waits for it any more.

    Args:
        config: of the run.
        network: makes the network in place of ``network.kind``.
        spec: of the environment.
        folder: of the cache, for the result.
        key: of the result; None for that of the graph.
    """

    def __init__(
        self,
        config: Config,
        network: NetworkFactory | None,
        spec: EnvironmentSpec,
        *,
        folder: Path,
        key: str | None,
    ) -> None:
        self._work = Path(tempfile.mkdtemp(prefix="work-", dir=folder))
        self._started_s = time.monotonic()
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._process = _start(self._work)
            self._send(Job(config, network, spec, folder, self._work, key))
        except BaseException:
            self.close()
            raise

    def _send(self, job: Job) -> None:
        import cloudpickle

        body = cloudpickle.dumps(job)
        path = [entry or os.getcwd() for entry in sys.path]  # noqa: PTH109
        head = json.dumps({"sys_path": path, "bytes": len(body)}).encode()
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # its end says more
            self._process.stdin.write(head + b"\n" + body)
            self._process.stdin.flush()

    @property
    def seconds(self) -> float:
        """How long it has been at it."""
        return time.monotonic() - self._started_s

    def outcome(self) -> Outcome | None:
        """Say how it went; None as long as it compiles."""
        process = self._process
        if process is None:
            return Outcome(error="it was ended")
        code = process.poll()
        if code is None:
            if self.seconds < MOST_S:
                return None
            self.close()
            return Outcome(error=f"it took more than {MOST_S:g} s")
        assert process.stdout is not None
        try:
            return msgspec.json.decode(process.stdout.read(), type=Outcome)
        except (msgspec.DecodeError, ValueError):
            return Outcome(error=f"the process ended with exit status {code}")

    def wait(self) -> None:
        """Wait a little for it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self._process is not None:
                self._process.wait(_WAIT_S)

    def close(self) -> None:
        """End it, and whatever it has started."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
        shutil.rmtree(self._work, ignore_errors=True)


def find_cpp_compiler() -> str | None:
    """Give the C++ compiler that PyTorch would use; None if there is none."""
    usual = "clang++" if sys.platform == "darwin" else "g++"
    return shutil.which(os.environ.get("CXX") or usual)


def _start(work: Path) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        # Nothing is left behind, nor taken from a folder that others may write to.
        "TORCHINDUCTOR_CACHE_DIR": str(work),
        "TMPDIR": str(work),
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
    }
    return subprocess.Popen(  # noqa: S603 - this Python, this package
        # -P: no file of the current folder takes the place of a module.
        [sys.executable, "-P", "-m", "zdqn.roles.compiling", _NICENESS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
