"""Slurm as far as commands go, for tests: it remembers jobs, and runs none.

Run as a script it is whichever command it is called by: sbatch, squeue, scancel, scontrol, sinfo.
"""

import fcntl
import json
import os
import sys
from pathlib import Path

PYTHON_CHECK = "zdqn.launch.slurm.slurm_checks._python"
"""What starts a Python; most tests do without it."""
COMMANDS = ("sbatch", "squeue", "scancel", "scontrol", "sinfo")


class FakeSlurm:
    """Commands in a folder that is put on PATH.

    Attributes:
        partitions: that there are.
    """

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        self._commands = folder / "commands"
        self._commands.mkdir(parents=True)
        for name in COMMANDS:
            script = self._commands / name
            script.write_text(
                f"#!{sys.executable} -IS\n"
                f"__file__ = {__file__!r}\n"
                f"exec(compile(open(__file__).read(), __file__, 'exec'))\n"
            )
            script.chmod(0o755)
        self.write(jobs=[], calls=[], partitions=["long", "spare"], refuses="")
        monkeypatch.setenv("FAKE_SLURM", str(folder))
        monkeypatch.setenv("PATH", f"{self._commands}{os.pathsep}{os.environ['PATH']}")

    def write(self, **changes):
        write_state(self.folder, {**read_state(self.folder), **changes})

    def without(self, name):
        """Have a command no more."""
        (self._commands / name).unlink()

    @property
    def jobs(self):
        return read_state(self.folder)["jobs"]

    @property
    def calls(self):
        return read_state(self.folder)["calls"]

    def called(self, name):
        """Give the arguments of each call of a command."""
        return [words[1:] for words in self.calls if words[0] == name]

    def set_states(self, state, *, array=None, node=""):
        """Let all jobs, or those of an array, be in a state; "" ends them."""
        changed = [
            {**job, "state": state, "node": node} if array in (None, job["array"]) else job
            for job in self.jobs
        ]
        self.write(jobs=[job for job in changed if job["state"]])


def read_state(folder):
    path = Path(folder) / "state.json"
    return json.loads(path.read_text()) if path.exists() else {}


def write_state(folder, state):
    path = Path(folder) / "state.json"
    path.with_suffix(".new").write_text(json.dumps(state))
    path.with_suffix(".new").replace(path)


def options_of(text):
    lines = [line.removeprefix("#SBATCH ") for line in text.splitlines()
             if line.startswith("#SBATCH ")]  # fmt: skip
    return dict(line.removeprefix("--").partition("=")[::2] for line in lines)


def sbatch(state, words):
    if state["refuses"]:
        raise SystemExit(f"sbatch: error: {state['refuses']}")
    if "--test-only" in words:
        sys.stderr.write("sbatch: Job 1 to start at once\n")
        return
    number = str(state.get("newest", 100) + 1)
    state["newest"] = int(number)
    tasks = [""]
    array = options_of(Path(words[-1]).read_text()).get("array", "").partition("%")[0]
    if array:
        first, _, last = array.partition("-")
        tasks = [str(task) for task in range(int(first), int(last) + 1)]
    for task in tasks:
        state["jobs"].append({"array": number, "task": task, "state": "PENDING", "node": ""})
    sys.stdout.write(f"{number}\n")


def squeue(state, words):
    del words
    for job in state["jobs"]:
        number, task = job["array"], job["task"]
        name = f"{number}_{task}" if task else number
        reason = "Resources" if job["state"] == "PENDING" else "None"
        fields = (name, number, task or "N/A", job["state"], job["node"], "0:01", reason)
        sys.stdout.write("|".join(fields) + "\n")


def is_meant(job, words):
    return job["array"] in words or f"{job['array']}_{job['task']}" in words


def scancel(state, words):
    state["jobs"] = [job for job in state["jobs"] if not is_meant(job, words)]


def scontrol(state, words):
    if not any(is_meant(job, words) and job["state"] == "RUNNING" for job in state["jobs"]):
        raise SystemExit(f"Job {words[-1]} is pending")
    for job in state["jobs"]:
        if is_meant(job, words):
            job["state"] = "PENDING"


def sinfo(state, words):
    del words
    sys.stdout.write("\n".join(state["partitions"]) + "\n")


def main():
    folder, name = os.environ["FAKE_SLURM"], Path(sys.argv[0]).name
    with Path(folder, "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = read_state(folder)
        state["calls"].append([name, *sys.argv[1:]])
        try:
            globals()[name](state, sys.argv[1:])
        finally:
            write_state(folder, state)


if __name__ == "__main__":
    main()
