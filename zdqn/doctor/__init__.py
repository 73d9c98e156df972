"""What can be looked at before a run, and beside one: each finding a verdict and a way out."""

from zdqn.doctor.examination import examine
from zdqn.doctor.findings import Finding, Verdict

__all__ = ["Finding", "Verdict", "examine"]
