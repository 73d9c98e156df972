"""The process that compiles: see `zdqn.roles.compiling.loop_compiler`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import BinaryIO

import cloudpickle
import msgspec

from zdqn.errors import ZdqnError
from zdqn.roles.compiling.compile_job import compile_job
from zdqn.roles.compiling.loop_compiler import Job, Outcome


def main() -> None:
    """Read a job, compile, and say how it went."""
    os.nice(int(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else is printed is no answer
    job = _read_job(sys.stdin.buffer)
    threading.Thread(target=_end_with, args=(sys.stdin.buffer, job.work), daemon=True).start()
    try:
        outcome = Outcome(path=str(compile_job(job)))
    except ZdqnError as error:
        outcome = Outcome(error=str(error))
    except Exception as error:  # noqa: BLE001 - whatever a compiler may raise
        outcome = Outcome(error=" ".join(f"{type(error).__name__}: {error}".split())[:300])
    answers.write(msgspec.json.encode(outcome))
    answers.flush()
    os._exit(0)  # a thread still reads


def _read_job(stdin: BinaryIO) -> Job:
    head = json.loads(stdin.readline())
    sys.path[:] = head["sys_path"]
    job = cloudpickle.loads(stdin.read(head["bytes"]))
    assert isinstance(job, Job)
    return job


def _end_with(stdin: BinaryIO, work: Path) -> None:
    """End this process and its compilers when nobody waits for the result any more."""
    stdin.read()
    shutil.rmtree(work, ignore_errors=True)
    os.killpg(os.getpgid(0), signal.SIGKILL)


if __name__ == "__main__":
    main()
