"""What running code asks of the coordinator: XComs that were not shipped, and states of task instances.

Answers are values of MessagePack. A question about another run of the same server is answered from that run. What
cannot be answered raises `LookupError` with the sentence that the task will see.
"""

from collections.abc import Callable
from typing import Any

from dagcall.core.instance import TaskInstance
from dagcall.core.machine import RunMachine
from dagcall.model.ids import RunKey

Find = Callable[[RunKey], RunMachine | None]


def run_of(what: str, args: list[Any]) -> tuple[RunKey, ...]:
    """The runs that a question is about."""
    match what:
        case "xcom" | "xcoms" | "delete_xcom" | "dag_run_state":
            return (RunKey(args[0], args[1]),)
        case "ti_count" | "task_states":
            return tuple(RunKey(args[0], run_id) for run_id in args[1])
        case _:
            raise LookupError(f"dagcall does not know the question {what!r}")


def answer(what: str, args: list[Any], machines: dict[RunKey, RunMachine | None]) -> object:
    """Raises LookupError."""
    match what:
        case "xcom":
            _, _, task_id, map_index, key = args
            machine = _only(machines)
            item = None if machine is None else machine.xcoms.get(task_id, map_index, key)
            return None if item is None else item.value
        case "xcoms":
            machine = _only(machines)
            return [] if machine is None else [item.value for item in machine.xcoms.all_of(args[2], args[3])]
        case "delete_xcom":
            machine = _only(machines)
            if machine is not None:
                machine.delete_xcom(args[2], args[3], args[4])
            return None
        case "dag_run_state":
            machine = _only(machines)
            if machine is None:
                raise LookupError(f"there is no run {args[1]!r} of DAG {args[0]!r} here")
            return machine.state.value
        case "ti_count":
            _, _, task_ids, states, map_index = args
            return sum(
                1
                for machine in machines.values()
                if machine is not None
                for instance in machine.instances()
                if (not task_ids or instance.task.task_id in task_ids)
                and (not states or (instance.state.airflow or "null") in states)
                and (map_index is None or instance.map_index == map_index)
            )
        case "task_states":
            _, _, task_ids, map_index = args
            return {
                key.run_id: {
                    _name(instance): instance.state.airflow
                    for instance in machine.instances()
                    if (not task_ids or instance.task.task_id in task_ids)
                    and (map_index is None or instance.map_index == map_index)
                }
                for key, machine in machines.items()
                if machine is not None
            }
        case _:
            raise LookupError(f"dagcall does not know the question {what!r}")


def _name(instance: TaskInstance) -> str:
    """As the execution API names it (airflow/api_fastapi/execution_api/routes/task_instances.py)."""
    task_id = instance.task.task_id
    return task_id if instance.map_index < 0 else f"{task_id}_{instance.map_index}"


def _only(machines: dict[RunKey, RunMachine | None]) -> RunMachine | None:
    return next(iter(machines.values()), None)
