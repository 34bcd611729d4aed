"""What a task asks about runs and task instances."""

from datetime import UTC, datetime
from typing import Any

from airflow.sdk.execution_time import comms as sdk

from dagcall.airflow_bridge.conversation import Conversation, Handler, refuse


def _ti_count(talk: Conversation, msg: sdk.GetTICount) -> Any:
    runs = _run_ids(msg)
    count = talk.ask("ti_count", msg.dag_id, runs, msg.task_ids or [], _strings(msg.states), msg.map_index)
    return sdk.TICount(count=count)


def _dag_run_state(talk: Conversation, msg: sdk.GetDagRunState) -> Any:
    return sdk.DagRunStateResult(state=talk.ask("dag_run_state", msg.dag_id, msg.run_id))


def _task_states(talk: Conversation, msg: sdk.GetTaskStates) -> Any:
    states = talk.ask("task_states", msg.dag_id, _run_ids(msg), msg.task_ids or [], msg.map_index)
    return sdk.TaskStatesResult(task_states=states)


def _first_reschedule(talk: Conversation, msg: sdk.GetTaskRescheduleStartDate) -> Any:
    """Asked by a sensor about itself only."""
    known = talk.start.continues
    first = None if known is None else known.first_reschedule
    return sdk.TaskRescheduleStartDate(start_date=None if first is None else datetime.fromtimestamp(first, tz=UTC))


def _previous_run(talk: Conversation, msg: Any) -> Any:
    return sdk.PreviousDagRunResult(dag_run=None)


def _previous_successful_run(talk: Conversation, msg: Any) -> Any:
    return sdk.PrevSuccessfulDagRunResult()


def _previous_ti(talk: Conversation, msg: Any) -> Any:
    return sdk.PreviousTIResult(task_instance=None)


def _run_ids(msg: sdk.GetTICount | sdk.GetTaskStates) -> list[str]:
    if msg.task_group_id is not None or msg.logical_dates is not None or not msg.run_ids:
        refuse("dagcall counts and lists task instances by run_ids, not by logical_dates or task_group_id")
    return list(msg.run_ids or ())


def _strings(values: Any) -> list[str]:
    return [str(getattr(value, "value", value)) for value in values or []]


HANDLERS: dict[type, Handler] = {
    sdk.GetTICount: _ti_count,
    sdk.GetDagRunState: _dag_run_state,
    sdk.GetTaskStates: _task_states,
    sdk.GetTaskRescheduleStartDate: _first_reschedule,
    sdk.GetPreviousDagRun: _previous_run,
    sdk.GetPrevSuccessfulDagRun: _previous_successful_run,
    sdk.GetPreviousTI: _previous_ti,
}
