"""Stand-ins for the clients of W&B and MLflow, of the functions that zdqn calls."""

import types
from typing import Any


class FakeWandb(types.ModuleType):
    """Takes what it is told; raises what it is given."""

    def __init__(self):
        super().__init__("wandb")
        self.told: list[Any] = []
        self.failure: Exception | None = None
        self.summary = self

    def Settings(self, **values):
        return values

    def init(self, **arguments):
        self._take("init", arguments)
        return self

    def define_metric(self, name, step_metric):
        self._take("define", (name, step_metric))

    def log(self, values):
        self._take("log", values)

    def update(self, values):
        self._take("summary", values)

    def finish(self, exit_code):
        self.told.append(("finish", exit_code))

    def _take(self, what, values):
        if self.failure is not None:
            raise self.failure
        self.told.append((what, values))


class FakeMlflow(types.ModuleType):
    """The same for MLflow's client; experiments are there from one start to the next."""

    def __init__(self):
        super().__init__("mlflow")
        self.told: list[Any] = []
        self.failure: Exception | None = None
        self.experiments: dict[str, str] = {}
        self.entities = types.ModuleType("mlflow.entities")
        self.entities.Param = lambda key, value: (key, value)  # type: ignore[attr-defined]
        self.entities.Metric = lambda *values: values  # type: ignore[attr-defined]

    def MlflowClient(self, tracking_uri):
        self.told.append(("store", tracking_uri))
        return self

    def get_experiment_by_name(self, name):
        found = self.experiments.get(name)
        return types.SimpleNamespace(experiment_id=found) if found is not None else None

    def create_experiment(self, name, artifact_location):
        assert name not in self.experiments
        self.experiments[name] = str(len(self.experiments))
        return self.experiments[name]

    def create_run(self, experiment_id, run_name, tags):
        self._take("run", (experiment_id, run_name))
        self.tags = tags
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id="r1"))

    def log_batch(self, run_id, metrics=(), params=()):
        assert run_id == "r1"
        assert len(params) <= 100
        assert len(metrics) <= 1000
        self._take("metrics" if metrics else "params", list(metrics or params))

    def set_tag(self, run_id, key, value):
        self._take("tag", (key, value))

    def set_terminated(self, run_id, status):
        self.told.append(("end", status))

    def _take(self, what, values):
        if self.failure is not None:
            raise self.failure
        self.told.append((what, values))
