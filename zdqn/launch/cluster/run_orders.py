"""What can be changed of a run on several hosts while it goes on: restart, add, remove."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zdqn.errors import UsageError, ZdqnError, did_you_mean
from zdqn.launch.cluster.cluster_hosts import ClusterHosts
from zdqn.launch.cluster.cluster_plan import ClusterPlan, plan_clients
from zdqn.launch.cluster.cluster_record import ClusterRecord, write_record
from zdqn.launch.cluster.order_box import OrderBox
from zdqn.launch.restarts import Restarts

_TICK_S = 0.2
_ADDITION = re.compile(r"(collectors|evaluators)=(\d{1,4})@(\S+)")


@dataclass(frozen=True)
class Addition:
    """More of a role, on a host.

    Attributes:
        role: "collector" or "evaluator".
        count: how many.
        host: where.
    """

    role: str
    count: int
    host: str


def parse_addition(text: str) -> Addition:
    """Read ``collectors=8@host5``.

    Raises:
        UsageError: when it is not of that form.
    """
    match = _ADDITION.fullmatch(text)
    if match is None or not int(match[2]):
        raise UsageError(
            f'--add is "{text}"; it must be of the form ROLES=COUNT@HOST, such as '
            f"collectors=8@host5 or evaluators=1@host5."
        )
    return Addition(match[1].removesuffix("s"), int(match[2]), match[3])


def extend_plan(plan: ClusterPlan, addition: Addition) -> ClusterPlan:
    """Give a plan with more clients; a new host is set up as the one before it of its kind.

    Args:
        plan: of the run.
        addition: what comes to it.
    """
    alike = [process for process in plan.processes if process.role == addition.role]
    model = plan.hosts[alike[-1].host] if alike else plan.host_of("learner")
    host = plan.hosts.get(addition.host) or replace(model, name=addition.host, address="")
    environment = alike[-1].environment if alike else {}
    more = plan_clients(
        addition.role,
        addition.count,
        addition.host,
        taken=[process.name for process in plan.processes],
        environment=environment,
    )
    return plan.with_clients(host, more)


def check_restartable(plan: ClusterPlan, name: str) -> str:
    """Give the host of a process that can be restarted.

    Raises:
        UsageError: when there is none of that name, or it is the learner.
    """
    hosts = {process.name: process.host for process in plan.processes}
    if name not in hosts:
        raise UsageError(
            f'There is no "{name}" in this run. {did_you_mean(name, hosts, label="It has")}'
        )
    if name == "learner":
        raise UsageError(
            "The learner is the run: it is not restarted alone. End the run with `zdqn stop`, and "
            "go on from its newest checkpoint with `zdqn launch CLUSTER --resume RUN_DIR`."
        )
    return hosts[name]


class RunOrders:
    """Carries out orders from other terminals, in a thread, until it is left.

    Args:
        directory: of the run here.
        record: of the launch, which is kept up to date.
        hosts: of the run.
        restarts: of its processes.
        say: told what has changed.
    """

    def __init__(
        self,
        directory: Path,
        record: ClusterRecord,
        hosts: ClusterHosts,
        restarts: Restarts,
        say: Callable[[str], None],
    ) -> None:
        self._directory = directory
        self._record = record
        self._hosts = hosts
        self._restarts = restarts
        self._say = say
        self._box = OrderBox(directory)
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._look_until_left, daemon=True)

    def __enter__(self) -> RunOrders:
        self._box.open()
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._left.set()
        self._thread.join()
        self._box.close()

    def _look_until_left(self) -> None:
        while not self._left.wait(_TICK_S):
            for name, order in self._box.take():
                try:
                    text = self.carry_out(order)
                except ZdqnError as error:
                    self._box.answer(name, str(error), error)
                else:
                    self._say(text)
                    self._box.answer(name, text)

    def carry_out(self, order: Mapping[str, Any]) -> str:
        """Do what an order says; gives what was done.

        Raises:
            ZdqnError: why it cannot be done.
        """
        kind, what = order.get("order"), str(order.get("what", ""))
        if kind == "restart":
            return self._restart(what)
        if kind == "add":
            return self._add(parse_addition(what))
        if kind == "remove":
            return self._remove(what)
        raise UsageError(f'A launcher knows no order "{kind}". Use the zdqn that started it.')

    def _restart(self, name: str) -> str:
        host = check_restartable(self._record.plan, name)
        self._restarts.forgive(name)
        self._hosts.signal(host, name, signal.SIGTERM)
        return f"{name} was told to end, and is started again"

    def _add(self, addition: Addition) -> str:
        before = self._record.plan
        plan = extend_plan(before, addition)
        self._hosts.extend(plan)
        self._remember(plan)
        more = plan.processes[len(before.processes) :]
        for process in more:
            self._restarts.plan_at_once(process)
        return f"added {', '.join(process.name for process in more)}"

    def _remove(self, host: str) -> str:
        plan = self._record.plan
        less = plan.without(host)
        names = [process.name for process in plan.on(host)]
        self._restarts.forget(names)
        self._hosts.remove(host, less)
        self._remember(less)
        return f"removed {host}, with {', '.join(names)}; its keys are let in no more"

    def _remember(self, plan: ClusterPlan) -> None:
        self._record = replace(self._record, plan=plan)
        write_record(self._directory, self._record)
