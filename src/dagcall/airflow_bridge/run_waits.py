"""Waiting for other runs without holding a worker, where the Task SDK's code would sleep and ask again.

`TriggerDagRunOperator(wait_for_completion=True)`: the runner's loop (`task_runner._handle_trigger_dag_run`) sleeps for
`poke_interval` in the worker. Here the try is suspended on the operator's own `DagStateTrigger`, as if it were
deferrable, and then goes on where the loop would have been left: no code of the task runs a second time, and what
follows is the runner's own (success, or a failure that the retry policy is asked about). With `deferrable=True` nothing
is changed but who fulfils the trigger.

`ExternalTaskSensor`: in poke mode it would sleep in the worker, so `prepare` makes it a sensor in reschedule mode; what it
waits for goes along, and it looks again as soon as that has happened. A DAG that is not served here fails it, as
`check_existence` did in Airflow 2: nobody else could bring about what it waits for. `deferrable=True`: as above.
"""

from datetime import datetime
from typing import Any

import msgspec
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowRescheduleException,
    AirflowRuntimeError,
    DagRunTriggerException,
)
from airflow.sdk.execution_time import comms as sdk
from airflow.sdk.execution_time import task_runner

_RESUMED = "__dagcall_triggered_run_ended__"
"""The `next_method` of a try that waits in the loop's stead; no operator has a method of this name."""


_SENSORS = "airflow.providers.standard.sensors.external_task"
_WORKFLOW = "airflow.providers.standard.triggers.external_task.WorkflowTrigger"


class _TriggeredRunEnded(DagRunTriggerException):
    """Raised where the operator raised `DagRunTriggerException` before: the run it triggered is in a state that the
    loop waits for."""

    def __init__(self, next_kwargs: dict[str, Any]) -> None:
        _, event = next_kwargs["event"]
        self.dag_id: str = next_kwargs["dag_id"]
        self.state: str = event[next_kwargs["run_id"]]
        self.has_failed = self.state in next_kwargs["failed_states"]


def install() -> None:
    """Let the runner suspend instead of sleeping."""
    stock_handle = task_runner._handle_trigger_dag_run
    stock_execute = task_runner._execute_task

    def handle(drte: Any, context: Any, ti: Any, log: Any) -> Any:
        if isinstance(drte, _TriggeredRunEnded):
            return _go_on(drte, context, ti, log)
        waits_in_the_loop = drte.wait_for_completion and not drte.deferrable
        if waits_in_the_loop:
            drte.deferrable = True
        message, state = stock_handle(drte, context, ti, log)
        if waits_in_the_loop and isinstance(message, sdk.DeferTask):
            message.next_method = _RESUMED
            message.next_kwargs = {
                "dag_id": drte.trigger_dag_id,
                "run_id": drte.dag_run_id,
                "failed_states": [str(getattr(one, "value", one)) for one in drte.failed_states],
            }
        return message, state

    def execute(context: Any, ti: Any, log: Any) -> Any:
        server = ti._ti_context_from_server
        if server is not None and server.next_method == _RESUMED:
            from airflow.sdk.serde import deserialize

            next_kwargs: Any = deserialize(server.next_kwargs)
            raise _TriggeredRunEnded(next_kwargs)
        return stock_execute(context, ti, log)

    task_runner._handle_trigger_dag_run = handle
    task_runner._execute_task = execute


def _go_on(ended: _TriggeredRunEnded, context: Any, ti: Any, log: Any) -> Any:
    """The end of the loop in `_handle_trigger_dag_run`."""
    if ended.has_failed:
        log.error("DagRun finished with failed state.", dag_id=ended.dag_id, state=ended.state)
        error = AirflowException(f"{ended.dag_id} failed with failed state {ended.state}")
        comms: Any = task_runner.SUPERVISOR_COMMS
        comms.outgoing.problem = (type(error).__name__, str(error))
        return task_runner._handle_current_task_failed(ti, error, log, context)
    log.info("DagRun finished with allowed state.", dag_id=ended.dag_id, state=ended.state)
    return task_runner._handle_current_task_success(context, ti)


def prepare(dags: dict[str, Any]) -> None:
    """Let the sensors of a file that wait for runs here give their worker back between two looks."""
    for dag in dags.values():
        for task in dag.tasks:
            if isinstance(task, MappedOperator):
                if _looks_as_airflow_does(task.operator_class):
                    task.partial_kwargs.setdefault("mode", "reschedule")
                    if task.partial_kwargs["mode"] == "poke":
                        task.partial_kwargs["mode"] = "reschedule"
            elif _looks_as_airflow_does(type(task)) and task.mode == "poke":
                task.mode = "reschedule"


def _looks_as_airflow_does(operator: type) -> bool:
    """Whether this is Airflow's sensor for runs. Of a subclass with a `poke` of its own nothing is known: what it sets
    may have to live from one look to the next."""
    sensor: Any = next((parent for parent in operator.__mro__ if parent.__name__ == "ExternalTaskSensor"), None)
    if sensor is None or sensor.__module__ != _SENSORS:
        return False
    if not hasattr(sensor.execute, "_dagcall_stock"):
        _extend(sensor)
    return getattr(operator, "poke", None) is sensor.poke


def _extend(sensor: Any) -> None:
    """`ExternalTaskSensor.execute`, once in a process."""
    stock = sensor.execute

    def execute(self: Any, context: Any) -> Any:
        _check_is_served(self.external_dag_id, context["ti"])
        try:
            return stock(self, context)
        except AirflowRescheduleException:
            if type(self).poke is sensor.poke:
                comms: Any = task_runner.SUPERVISOR_COMMS
                comms.outgoing.wakes = _WORKFLOW, msgspec.msgpack.encode(_waits_for(self))
            raise

    execute._dagcall_stock = stock  # type: ignore[attr-defined]
    sensor.execute = execute


def _check_is_served(dag_id: str, ti: Any) -> None:
    try:
        ti.get_dag(dag_id)
    except AirflowRuntimeError as error:
        from airflow.providers.standard.exceptions import ExternalDagNotFoundError

        raise ExternalDagNotFoundError(f"The external DAG {dag_id} does not exist here.") from error


def _waits_for(sensor: Any) -> dict[str, Any]:
    """As kwargs of a `WorkflowTrigger`, from what it has just looked for."""
    dates = [datetime.fromisoformat(text).timestamp() for text in sensor.external_dates_filter.split(",")]
    return {
        "external_dag_id": sensor.external_dag_id,
        "external_task_ids": None if sensor.external_task_ids is None else list(sensor.external_task_ids),
        "external_task_group_id": sensor.external_task_group_id,
        "failed_states": sensor.failed_states,
        "skipped_states": sensor.skipped_states,
        "allowed_states": sensor.allowed_states,
        "logical_dates": [{"__data__": {"timestamp": date}} for date in dates],
    }
