"""A whole system, watched from outside."""

import json

from zdqn.benchmarks.running_system import steady_rate


def test_the_speed_of_a_run_leaves_its_start_out(tmp_path):
    rows = [{"wall_s": 0, "updates": 0}, {"wall_s": 10, "updates": 10}, *(
        {"wall_s": 10 + i, "updates": 10 + 100 * i} for i in range(1, 4)
    )]  # fmt: skip
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert steady_rate(tmp_path, "updates") == 100
