"""What runs survive here, and what becomes of those that a restart interrupted: whose word counts.

A call's word goes before that of its DAG (`airflow_bridge.tags`), a DAG's before that of the server: `--durability`,
`--on-restart`, then `[dagcall] durability`, `on_restart`.
"""

from dataclasses import dataclass

from dagcall.coordinator.api import CallRequest
from dagcall.model.plan import DagPlan


@dataclass(frozen=True)
class Survival:
    """The server's own words."""

    durability: str = "process"
    on_restart: str = "resume"

    def durability_of(self, request: CallRequest, plan: DagPlan) -> str:
        return request.durability or plan.durability or self.durability

    def fails_on_restart(self, plan: DagPlan) -> bool:
        return self.on_restart_of(plan) == "fail"

    def on_restart_of(self, plan: DagPlan) -> str:
        return plan.on_restart or self.on_restart
