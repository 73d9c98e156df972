"""What each shipped configuration reaches, run as its header says, over several seeds."""

from __future__ import annotations

import json
import re
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zdqn.benchmarks.measuring import Say, write_number
from zdqn.benchmarks.page import describe_machine, table_lines
from zdqn.benchmarks.running_system import run_to_end, zdqn_command
from zdqn.config import Config, load_config
from zdqn.errors import ConfigError, FileError
from zdqn.records.run_files import read_summary

FOLDER = Path(__file__).resolve().parents[2] / "configs"
"""Where the configurations are, in a clone."""

COLUMNS = (
    "configuration", "environment", "seeds", "environment steps", "wall time, s",
    "best evaluation", "the same network again", "final evaluation", "goal", "reached",
    "ended by", "measured",
)  # fmt: skip

_AS_ITS_HEADER_SAYS = re.compile(r"`zdqn (run|train) configs/([\w.-]+)`")
_EXTRA = re.compile(r'pip install "zdqn\[(\w+)\]"')
_MOST_S = 6 * 3600.0
_STARTING_AND_ENDING_S = 300.0
_NONE = "-"
_INTRODUCTION = """\
# What the configurations reach

Written by `zdqn bench configs --output docs/configurations.md`: each file in `configs/` run as its
first lines say, to an end condition of its own or to a limit of wall time. Where the limit struck,
*ended by* says so, and what was reached until then is no result of the configuration. Figures are
means over seeds, with the least and the greatest. The *best evaluation* is the highest of a run's,
which is too high by chance; *the same network again* is its return on fresh episodes. The goal is
`stop.evaluation_return`; *reached* counts the seeds with an evaluation that high. Wall time is from
start to exit. Rows of configurations that were not measured again stay as they are."""


@dataclass(frozen=True)
class RunOutcome:
    """How one run ended.

    Attributes:
        wall_s: from start to exit.
        environment_steps: of all collectors.
        best: highest mean return of an evaluation; None if there was none.
        again: mean return of that network on fresh episodes, likewise.
        final: mean return of the last evaluation, likewise.
        ended_by: in words.
    """

    wall_s: float
    environment_steps: float
    best: float | None
    again: float | None
    final: float | None
    ended_by: str


@dataclass(frozen=True)
class ConfigurationRow:
    """What one configuration reached.

    Attributes:
        name: of its file.
        environment: its id.
        goal: for an evaluation; None where it has none.
        outcomes: of its runs, by seed.
        left_out: why nothing was run; "" otherwise.
    """

    name: str
    environment: str
    goal: float | None
    outcomes: tuple[RunOutcome, ...] = ()
    left_out: str = ""

    def cells(self, day: str) -> tuple[str, ...]:
        """Give its row of the table, under `COLUMNS`.

        Args:
            day: of the measurement.
        """
        known = (f"`{self.name}`", f"`{self.environment}`", str(len(self.outcomes)))
        goal = _NONE if self.goal is None else f"{self.goal:g}"
        if self.left_out:
            return (*known, *[_NONE] * 5, goal, _NONE, self.left_out, day)
        return (
            *known,
            _over_seeds([run.environment_steps for run in self.outcomes]),
            _over_seeds([run.wall_s for run in self.outcomes]),
            _over_seeds([run.best for run in self.outcomes]),
            _over_seeds([run.again for run in self.outcomes]),
            _over_seeds([run.final for run in self.outcomes]),
            goal,
            _NONE if self.goal is None else f"{self._reached()} of {len(self.outcomes)}",
            _count([run.ended_by for run in self.outcomes]),
            day,
        )

    def _reached(self) -> int:
        bests = [run.best for run in self.outcomes]
        return sum(best is not None and best >= (self.goal or 0.0) for best in bests)


def measure(
    say: Say, *, seeds: int = 3, limit_s: float = 0.0, configs: Sequence[Path] = ()
) -> Iterator[ConfigurationRow]:
    """Run configurations one after the other, each seed to its end.

    Args:
        say: told what is going on.
        seeds: how many runs of each, from seed 0.
        limit_s: seconds of training after which a run is ended; 0 for none.
        configs: which; none for all that are shipped.

    Yields:
        A row for each configuration, as soon as it is done.

    Raises:
        FileError: when there is no such configuration.
        ConfigError: when one does not say how it is to be run.
    """
    paths = list(configs) or sorted(FOLDER.glob("*.toml"))
    if not paths:
        raise FileError(
            f"There are no configurations in {FOLDER}: they come with the repository, not with "
            f"the package. Clone it, or name one with --config."
        )
    plans = [(path, load_config(path), command_of(path)) for path in paths]
    for place, (path, config, command) in enumerate(plans, 1):
        row = ConfigurationRow(path.stem, config.environment.id, config.stop.evaluation_return)
        missing = missing_extra(config)
        if missing:
            say(f"configs: {path.stem} is left out: {missing}")
            yield ConfigurationRow(
                row.name, row.environment, row.goal, left_out=f"left out: {missing}"
            )
            continue
        outcomes = []
        for seed in range(seeds):
            say(f"configs: {path.stem}, {place} of {len(plans)}, seed {seed}")
            outcomes.append(_run(path, config, command, seed, limit_s))
        yield ConfigurationRow(row.name, row.environment, row.goal, tuple(outcomes))


def command_of(path: Path) -> str:
    """Find in the first lines of a configuration how it is to be run.

    Args:
        path: of the configuration.

    Returns:
        "run" or "train".

    Raises:
        FileError: when it cannot be read.
        ConfigError: when it does not say.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise FileError(f"Cannot read {path}: {error.strerror}.") from error
    header = []
    for line in lines:
        if not line.startswith("#"):
            break
        header.append(line)
    for command, name in _AS_ITS_HEADER_SAYS.findall("\n".join(header)):
        if name == path.name:
            return str(command)
    raise ConfigError(
        f"{path} does not say how it is to be run: its first lines, which are comments, must hold "
        f"`zdqn run configs/{path.name}` or `zdqn train configs/{path.name}`, in backquotes."
    )


def missing_extra(config: Config) -> str:
    """Say which extra the environment wants that is not installed; "" if it can be made.

    Raises:
        ConfigError: when it cannot be made for another reason.
    """
    from zdqn.roles.building import build_environments

    try:
        environments, _ = build_environments(config, None, count=1, vectorization="sync")
    except ConfigError as error:
        extra = _EXTRA.search(str(error))
        if extra is None:
            raise
        return f'`pip install "zdqn[{extra[1]}]"` was not done'
    environments.close()
    return ""


def _run(path: Path, config: Config, command: str, seed: int, limit_s: float) -> RunOutcome:
    own_s = config.stop.wall_s
    bounded = bool(limit_s) and not 0 < own_s <= limit_s
    limit = ("--set", f"stop.wall_s={limit_s:g}") if bounded else ()
    wall_s = limit_s if bounded else own_s or _MOST_S
    with tempfile.TemporaryDirectory(prefix="zdqn-bench-") as folder:
        out = Path(folder) / "run"
        words = (command, str(path), "--seed", str(seed), "--run-dir", str(out), *limit)
        log = Path(folder) / "log.txt"
        elapsed_s = run_to_end(zdqn_command(*words), log, wall_s + _STARTING_AND_ENDING_S)
        summary = read_summary(out)
    return RunOutcome(
        wall_s=elapsed_s,
        environment_steps=summary["environment_steps"],
        best=summary["best_evaluation_return"],
        again=summary["best_rescored_return"],
        final=summary["final_evaluation_return"],
        ended_by=_in_words(summary["stop_reason"], config, limit_s if bounded else 0.0),
    )


def _in_words(reason: str, config: Config, limit_s: float) -> str:
    if reason == "evaluation_return":
        return "goal"
    if reason == "wall_s" and limit_s:
        return f"**limit of {limit_s:g} s**"
    if reason in ("updates", "environment_steps", "episodes", "wall_s"):
        return f"{getattr(config.stop, reason):,} {reason.replace('_', ' ')}"
    return reason


def _over_seeds(values: Sequence[float | None]) -> str:
    """Write the mean, the least and the greatest where there are several, and what is missing."""
    known = [value for value in values if value is not None]
    if not known:
        return _NONE
    mean = write_number(statistics.fmean(known))
    missing = f" in {len(known)} of {len(values)}" if len(known) < len(values) else ""
    if len(known) == 1:
        return mean + missing
    return f"{mean} ({write_number(min(known))} to {write_number(max(known))}){missing}"


def _count(words: Sequence[str]) -> str:
    """Write each word once, with how often it stands there where not all are the same."""
    kinds = list(dict.fromkeys(words))
    if len(kinds) == 1:
        return kinds[0]
    return ", ".join(f"{words.count(kind)} x {kind}" for kind in kinds)


# --- the page -----------------------------------------------------------------------------------


def page_text(rows: Sequence[ConfigurationRow], before: str, *, day: str | None = None) -> str:
    """Write the page, with the rows of an earlier one for what was not measured now.

    Args:
        rows: measured now.
        before: the page as it is; "" for a new one.
        day: of the measurement; None for today.
    """
    now = day or time.strftime("%Y-%m-%d")
    cells = {row.cells(now)[0]: row.cells(now) for row in rows}
    kept = {name: old for name, old in _rows_of(before).items() if name not in cells}
    table = table_lines(COLUMNS, [row for _, row in sorted({**kept, **cells}.items())])
    machine = table_lines(("machine", ""), describe_machine().items())
    return "\n".join([_INTRODUCTION, "", *table, "", *machine, ""])


def write_page(path: Path, rows: Sequence[ConfigurationRow]) -> None:
    """Write the page to a file, over what it has of these configurations.

    Raises:
        FileError: when it cannot be read or written.
    """
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page_text(rows, before), encoding="utf-8")
    except OSError as error:
        raise FileError(f"Cannot write {path}: {error.strerror}.") from error


def to_json(rows: Sequence[ConfigurationRow]) -> str:
    """Write the rows as one JSON object, by configuration."""
    values: dict[str, Any] = {row.name: asdict(row) for row in rows}
    return json.dumps(values, indent=2)


def _rows_of(page: str) -> dict[str, tuple[str, ...]]:
    """Read the rows of a page's table, by their first cell."""
    rows = [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in page.splitlines()
        if line.startswith("| `")
    ]
    return {row[0]: row for row in rows if len(row) == len(COLUMNS)}
