"""The least that a benchmark can do, and what its figures must be."""

import json
import math

from zdqn.benchmarks.measuring import Effort

TINY = Effort(repeats=1, seconds=0.02, quick=True)


def quiet(_):
    pass


def check(figures, *names):
    """Check that these figures, and no others, are there and finite."""
    assert [figure.name for figure in figures] == list(names)
    for figure in figures:
        assert all(math.isfinite(value) for value in (*figure.values, *figure.bound)), figure
        assert figure.median >= 0
        json.dumps(figure.to_dict(), allow_nan=False)
