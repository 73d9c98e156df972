"""Folders of runs that nobody has trained, for whatever reads them."""

import json

from zdqn.config import Config, to_toml
from zdqn.records.run_directory import EVALUATION_COLUMNS


def make_run(
    directory,
    returns=(),
    *,
    config=None,
    steps_apart=100,
    seconds_apart=1.0,
    stop_reason="environment_steps",
    exploring=(),
    summary=None,
):
    """Write the files of a run: an evaluation for each of `returns`, the first after a while."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.toml").write_text(to_toml(config or Config()))
    rows = [",".join(EVALUATION_COLUMNS)]
    for number, mean in enumerate(returns):
        place = number + 1
        rows.append(
            f"{number},{place * steps_apart},{place * 10},{place * 5},{place * seconds_apart},"
            f"{mean},4,{mean - 5},{mean + 5},9,5,0.1,train,0"
        )
    (directory / "evaluations.csv").write_text("\n".join(rows) + "\n")
    with (directory / "metrics.jsonl").open("w") as file:
        for number, value in enumerate(exploring or [None] * len(returns)):
            place = number + 1
            row = {
                "wall_s": place * seconds_apart, "environment_steps": place * steps_apart,
                "updates": place * 10, "episodes": place * 5, "episode_return_mean": value,
                "loss": 1 / place, "epsilon": 0.5, "environment_steps_per_s": 100.0,
            }  # fmt: skip
            file.write(json.dumps(row) + "\n")
    if stop_reason is not None:
        count = len(returns)
        values = {
            "stop_reason": stop_reason, "environment_steps": count * steps_apart,
            "updates": count * 10, "episodes": count * 5, "wall_s": count * seconds_apart,
            "environment_steps_per_s": steps_apart / seconds_apart, "updates_per_s": 10.0,
            "best_evaluation_return": max(returns, default=None), **(summary or {}),
        }  # fmt: skip
        (directory / "summary.json").write_text(json.dumps(values))
    return directory
