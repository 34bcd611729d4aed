"""What a task asks of a person, and the answer (Airflow's `HITLDetail`)."""

from dataclasses import dataclass, field
from typing import Any

from dagcall.model.ids import RunKey, TaskKey


@dataclass(frozen=True)
class User:
    """Who may answer, or has answered (Airflow's `HITLUser`)."""

    id: str
    name: str


@dataclass(frozen=True)
class InputRequest:
    """What one try asks, and the answer, when there is one. Times are seconds since the epoch."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int
    ti_id: str
    options: list[str]
    subject: str
    created_at: float
    body: str | None = None
    defaults: list[str] | None = None
    multiple: bool = False
    params: dict[str, Any] = field(default_factory=dict)
    assigned_users: list[User] = field(default_factory=list)
    responded_at: float | None = None
    responded_by: User | None = None
    chosen_options: list[str] | None = None
    params_input: dict[str, Any] = field(default_factory=dict)

    @property
    def run(self) -> RunKey:
        return RunKey(self.dag_id, self.run_id)

    @property
    def task(self) -> TaskKey:
        return TaskKey(self.task_id, self.map_index)

    @property
    def is_answered(self) -> bool:
        return self.responded_at is not None
