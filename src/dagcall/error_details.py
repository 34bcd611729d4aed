"""What an error says beside its sentence: which task, which param, which feature; and how JSON has it.

Values only. Each field has a default, since an answer may come from a server of another version.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any


@dataclass(frozen=True)
class TaskError:
    """Why a task failed: the exception's type name and its message. The stack trace is in the task's log."""

    type: str = "Error"
    message: str = ""

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type


@dataclass(frozen=True)
class CauseStep:
    """One step of the chain from the failed task to the result task. `state` is Airflow's task state."""

    task_id: str = ""
    map_index: int = -1
    state: str = ""

    def __str__(self) -> str:
        return f"{task_label(self.task_id, self.map_index)} {self.state}"


@dataclass(frozen=True)
class ParamProblem:
    """One param that was not accepted; `field` is empty when the params as a whole are meant."""

    field: str = ""
    reason: str = ""


@dataclass(frozen=True)
class UnsupportedFeature:
    """One feature of a DAG that would not be run as Airflow runs it; `task_id` None: the DAG's own."""

    task_id: str | None = None
    feature: str = ""
    reason: str = ""

    def __str__(self) -> str:
        where = f"task {self.task_id!r}: " if self.task_id else ""
        return f"{where}{self.feature}: {self.reason}"


Detail = TaskError | CauseStep | ParamProblem | UnsupportedFeature


def task_label(task_id: str, map_index: int) -> str:
    """A task instance as users write it: `answer`, or `answer[2]` when mapped."""
    return task_id if map_index < 0 else f"{task_id}[{map_index}]"


def plain(value: object) -> object:
    """A field as JSON has it. Values of tasks are passed through: they are plain already, and may be large."""
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def read(kind: type[Any], value: object) -> Any:
    """The reverse of `plain`: one value, or a tuple of them. Members that this version does not know are dropped."""
    if isinstance(value, list):
        return tuple(read(kind, one) for one in value)
    if not isinstance(value, Mapping):
        return kind()
    return kind(**{one.name: value[one.name] for one in fields(kind) if one.name in value})
