"""What a task asks about runs and task instances, the runs it starts, and what it asks of people.

What Airflow's API server would refuse arrives here as a status and a reason, and is raised as the Task SDK raises it
(`ErrorType.API_SERVER_ERROR`, sdk/execution_time/supervisor.py `handle_requests`).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from airflow.sdk.api.datamodels._generated import HITLDetailResponse
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import comms as sdk
from pydantic_core import to_json

from dagcall.airflow_bridge import tracing
from dagcall.airflow_bridge.conversation import Conversation, Handler
from dagcall.airflow_bridge.logical_date import data_interval


def _trigger_dag_run(talk: Conversation, msg: sdk.TriggerDagRun) -> Any:
    answer = _ask(
        talk,
        "trigger_dag_run",
        msg.dag_id,
        msg.run_id,
        to_json(msg.conf or {}),
        _seconds(msg.logical_date),
        _seconds(msg.run_after),
        bool(msg.reset_dag_run),
        msg.note,
        *tracing.current(),  # the run is a child of the span that starts it
    )
    if answer == "exists":
        talk.outgoing.problem = ("DagRunAlreadyExists", f"DAG {msg.dag_id!r} already has a run {msg.run_id!r}")
        return sdk.ErrorResponse(error=ErrorType.DAGRUN_ALREADY_EXISTS)
    return sdk.OKResponse(ok=True)


def _ask_input(talk: Conversation, msg: sdk.CreateHITLDetailPayload) -> Any:
    _ask(talk, "ask_input", *_try(talk), msg.model_dump_json().encode())
    return sdk.HITLDetailRequestResult.from_api_response(msg)


def _input_response(talk: Conversation, msg: sdk.GetHITLDetailResponse) -> Any:
    return _response(_ask(talk, "input_response", *_try(talk)))


def _settle_input(talk: Conversation, msg: sdk.UpdateHITLDetail) -> Any:
    return _response(_ask(talk, "settle_input", *_try(talk), msg.chosen_options, to_json(msg.params_input or {})))


def _response(answer: dict[str, Any]) -> Any:
    return HITLDetailResponse(**answer | {"responded_at": _moment(answer["responded_at"])})


def _try(talk: Conversation) -> tuple[str, int, int]:
    """The try that asks: what it asked of people is all that it is told of."""
    return talk.start.task_id, talk.start.map_index, talk.start.try_number


def _dag(talk: Conversation, msg: sdk.GetDag) -> Any:
    return sdk.DagResult(**_ask(talk, "dag", msg.dag_id))


def _dag_run(talk: Conversation, msg: sdk.GetDagRun) -> Any:
    return sdk.DagRunResult(**_detail(talk, _ask(talk, "dag_run", msg.dag_id, msg.run_id)))


def _dag_run_state(talk: Conversation, msg: sdk.GetDagRunState) -> Any:
    return sdk.DagRunStateResult(state=_ask(talk, "dag_run_state", msg.dag_id, msg.run_id))


def _dr_count(talk: Conversation, msg: sdk.GetDRCount) -> Any:
    count = _ask(talk, "dr_count", msg.dag_id, _all_seconds(msg.logical_dates), msg.run_ids, _strings(msg.states))
    return sdk.DRCount(count=count)


def _ti_count(talk: Conversation, msg: sdk.GetTICount) -> Any:
    start = talk.start
    own = sdk.GetTICount(dag_id=start.dag_id, run_ids=[start.run_id], task_ids=[start.task_id])
    if msg == own:  # asked by every instance in a mapped task group, twice for each value that it reads
        return sdk.TICount(count=start.expanded_ti_count)
    count = _ask(
        talk,
        "ti_count",
        msg.dag_id,
        msg.map_index,
        msg.task_ids,
        msg.task_group_id,
        _all_seconds(msg.logical_dates),
        msg.run_ids,
        _strings(msg.states),
    )
    return sdk.TICount(count=count)


def _task_states(talk: Conversation, msg: sdk.GetTaskStates) -> Any:
    states = _ask(
        talk,
        "task_states",
        msg.dag_id,
        msg.map_index,
        msg.task_ids,
        msg.task_group_id,
        _all_seconds(msg.logical_dates),
        msg.run_ids,
    )
    return sdk.TaskStatesResult(task_states=states)


def _task_breadcrumbs(talk: Conversation, msg: sdk.GetTaskBreadcrumbs) -> Any:
    return sdk.TaskBreadcrumbsResult(breadcrumbs=_ask(talk, "task_breadcrumbs", msg.dag_id, msg.run_id))


def _first_reschedule(talk: Conversation, msg: sdk.GetTaskRescheduleStartDate) -> Any:
    """Asked by a sensor about itself only."""
    known = talk.start.continues
    return sdk.TaskRescheduleStartDate(start_date=None if known is None else _moment(known.first_reschedule))


def _previous_run(talk: Conversation, msg: sdk.GetPreviousDagRun) -> Any:
    found = _ask(talk, "previous_run", msg.dag_id, msg.logical_date.timestamp(), msg.state)
    return sdk.PreviousDagRunResult.model_validate({"dag_run": None if found is None else _detail(talk, found)})


def _previous_successful_run(talk: Conversation, msg: sdk.GetPrevSuccessfulDagRun) -> Any:
    start = talk.start
    found = None
    if start.logical_date is not None:
        found = _ask(talk, "previous_run", start.dag_id, start.logical_date, "success")
    if found is None:
        return sdk.PrevSuccessfulDagRunResult()
    run = _detail(talk, found)
    names = ("data_interval_start", "data_interval_end", "start_date", "end_date")
    return sdk.PrevSuccessfulDagRunResult(**{name: run[name] for name in names})


def _previous_ti(talk: Conversation, msg: sdk.GetPreviousTI) -> Any:
    found = _ask(
        talk, "previous_ti", msg.dag_id, msg.task_id, _seconds(msg.logical_date), msg.map_index, _text(msg.state)
    )
    if found is not None:
        found |= {name: _moment(found[name]) for name in ("logical_date", "start_date", "end_date")}
    return sdk.PreviousTIResult(task_instance=found)


HANDLERS: dict[type, Handler] = {
    sdk.GetTaskRescheduleStartDate: _first_reschedule,
    sdk.TriggerDagRun: _trigger_dag_run,
    sdk.CreateHITLDetailPayload: _ask_input,
    sdk.GetDag: _dag,
    sdk.GetDagRun: _dag_run,
    sdk.GetDagRunState: _dag_run_state,
    sdk.GetDRCount: _dr_count,
    sdk.GetTICount: _ti_count,
    sdk.GetTaskStates: _task_states,
    sdk.GetTaskBreadcrumbs: _task_breadcrumbs,
    sdk.GetPreviousDagRun: _previous_run,
    sdk.GetPrevSuccessfulDagRun: _previous_successful_run,
    sdk.GetPreviousTI: _previous_ti,
}

HANDLERS_OF_TRIGGERS: dict[type, Handler] = {
    sdk.GetHITLDetailResponse: _input_response,
    sdk.UpdateHITLDetail: _settle_input,
}
"""What only Airflow's triggerer answers (`HITLTrigger`), not the supervisor of a task."""


def _ask(talk: Conversation, what: str, *args: Any) -> Any:
    """Raises AirflowRuntimeError."""
    answer = talk.ask(what, *args)
    if isinstance(answer, dict) and "refused" in answer:
        status, reason, message = answer["refused"]
        detail = {
            "status_code": status,
            "message": f"Server returned error: {message}",
            "detail": {"detail": {"reason": reason, "message": message}},
        }
        raise AirflowRuntimeError(sdk.ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail))
    return answer


def _detail(talk: Conversation, answer: dict[str, Any]) -> dict[str, Any]:
    """The fields of the Task SDK's `DagRun`. The data interval is known of runs of the task's own DAG only."""
    run = answer | {name: _moment(answer[name]) for name in ("logical_date", "run_after", "start_date", "end_date")}
    interval: tuple[datetime | None, datetime | None] = (None, None)
    if run["logical_date"] is not None and run["dag_id"] == talk.start.dag_id:
        interval = data_interval(talk.dag, run["logical_date"], run["run_type"], run["run_after"])
    return run | {
        "conf": msgspec.json.decode(answer["conf"]),
        "data_interval_start": interval[0],
        "data_interval_end": interval[1],
        "consumed_asset_events": [],
        "partition_key": None,
    }


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, tz=UTC)


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _all_seconds(moments: Sequence[datetime] | None) -> list[float] | None:
    return None if moments is None else [moment.timestamp() for moment in moments]


def _strings(values: Sequence[Any] | None) -> list[str] | None:
    return None if values is None else [str(getattr(value, "value", value)) for value in values]


def _text(value: Any) -> str | None:
    return None if value is None else str(getattr(value, "value", value))
