"""Reverb's replay, timed; a script for an environment of its own (``dm-reverb[tensorflow]``).

``python reverb_script.py ITEMS`` prints one line of JSON. It needs nothing of zdqn.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from typing import Any

import numpy as np

_BATCHES = 300
_SUBJECTS = (("vector", (4,), "float32", 32), ("vector", (4,), "float32", 512),
             ("image", (84, 84, 4), "uint8", 32))  # fmt: skip


def insert(reverb: Any, port: int, items: int, shape: tuple[int, ...], dtype: str) -> float:
    """Insert pairs of observations one by one; give items a second."""
    observation = np.zeros(shape, dtype)
    started_s = time.perf_counter()
    with reverb.Client(f"localhost:{port}").trajectory_writer(num_keep_alive_refs=2) as writer:
        for step in range(items + 1):
            writer.append(
                {
                    "observation": observation,
                    "action": np.int64(0),
                    "reward": np.float32(0),
                    "discount": np.float32(1),
                }
            )
            if step:
                pair = {name: column[-2:] for name, column in writer.history.items()}
                writer.create_item("replay", 1.0, pair)
            if step % 512 == 0:
                writer.flush()
        writer.flush()
    return items / (time.perf_counter() - started_s)


def sample(
    reverb: Any, tensorflow: Any, port: int, batch_size: int, shape: tuple[int, ...], dtype: str
) -> float:
    """Give batches a second from the dataset that Reverb recommends."""
    columns = {
        "observation": ((2, *shape), dtype),
        "action": ((2,), "int64"),
        "reward": ((2,), "float32"),
        "discount": ((2,), "float32"),
    }
    dataset = reverb.TrajectoryDataset(
        f"localhost:{port}",
        "replay",
        dtypes={name: tensorflow.as_dtype(kind) for name, (_, kind) in columns.items()},
        shapes={name: tensorflow.TensorShape(form) for name, (form, _) in columns.items()},
        max_in_flight_samples_per_worker=2 * batch_size,
    )
    batches = iter(dataset.batch(batch_size).prefetch(4))
    next(batches)
    started_s = time.perf_counter()
    for _ in range(_BATCHES):
        next(batches)
    return _BATCHES / (time.perf_counter() - started_s)


def main() -> None:
    """Time every subject."""
    items = int(sys.argv[1])
    reverb, tensorflow = map(importlib.import_module, ("reverb", "tensorflow"))
    rates: dict[str, float] = {}
    for kind, shape, dtype, batch_size in _SUBJECTS:
        table = reverb.Table(
            "replay",
            sampler=reverb.selectors.Uniform(),
            remover=reverb.selectors.Fifo(),
            max_size=100_000,
            rate_limiter=reverb.rate_limiters.MinSize(1),
        )
        server = reverb.Server([table])
        number = items if kind == "vector" else max(items // 10, 1000)
        rates[f"insert.{kind}"] = insert(reverb, server.port, number, shape, dtype)
        rates[f"sample.{kind}.{batch_size}"] = sample(
            reverb, tensorflow, server.port, batch_size, shape, dtype
        )
        server.stop()
    sys.stdout.write(json.dumps(rates) + "\n")


if __name__ == "__main__":
    main()
