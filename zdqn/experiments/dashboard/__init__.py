"""The dashboard: a run as a page of this machine's browser. `zdqn.experiments.dashboard.server`."""
