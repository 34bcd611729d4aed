"""The task instance that Airflow's runner is given, made from a start frame.

Airflow gets it validated from its execution API. Here the frame comes from our own coordinator, so it is constructed
without validation, which would take longer than a short task.
"""

import functools
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from dagcall.workers.frames import Start

_NO_VERSION = UUID(int=0)


def make(start: Start, dag: Any, task: Any, bundle: Any, task_runner: Any) -> Any:
    """The `RuntimeTaskInstance` of `task` in `dag`; of the run as such, where `task` is None."""
    from airflow.sdk.api.datamodels._generated import DagRun, TaskInstanceState, TIRunContext

    from dagcall.airflow_bridge.suspension import resumed_with

    run_start = _moment(start.run_start)
    logical_date = interval_start = interval_end = None
    if start.logical_date is not None:
        from dagcall.airflow_bridge.logical_date import data_interval

        logical_date = _moment(start.logical_date)
        interval_start, interval_end = data_interval(dag, logical_date, start.run_type, _moment(start.run_after))
    dag_run = _made(
        DagRun,
        dag_id=start.dag_id,
        run_id=start.run_id,
        logical_date=logical_date,
        data_interval_start=interval_start,
        data_interval_end=interval_end,
        run_after=_moment(start.run_after),
        start_date=run_start,
        end_date=None,
        clear_number=0,
        run_type=_run_type(start.run_type),
        state=_running(),
        conf=msgspec.json.decode(start.conf),
        triggering_user_name=None,
        consumed_asset_events=_asset_events(start.asset_events),
        partition_key=None,
        partition_date=None,
        note=None,
        team_name=None,
    )
    ti_context = _made(
        TIRunContext,
        dag_run=dag_run,
        max_tries=start.max_tries,
        # As Airflow's execution API decides (execution_api/routes/task_instances.py).
        should_retry=start.max_tries != 0 and start.try_number <= start.max_tries,
        xcom_keys_to_clear=[],
        **(resumed := resumed_with(start.continues)),
    )
    return task_runner.RuntimeTaskInstance.model_construct(
        id=UUID(start.ti_id),
        task_id=start.task_id,
        dag_id=start.dag_id,
        run_id=start.run_id,
        try_number=start.try_number,
        dag_version_id=_NO_VERSION,
        map_index=start.map_index,
        hostname=None,
        context_carrier=None,
        queue=task.queue if task is not None else "",
        task=task,
        bundle_instance=bundle,
        _ti_context_from_server=ti_context,
        max_tries=start.max_tries,
        start_date=resumed.get("start_date") or datetime.now(tz=UTC),
        state=TaskInstanceState.RUNNING,
        sentry_integration="",
    )


def _made(model: Any, **values: Any) -> Any:
    """`model.model_construct`, which looks at each field for an alias and a factory: a third of the time."""
    made = object.__new__(model)
    object.__setattr__(made, "__dict__", {**_fields(model), **values})
    object.__setattr__(made, "__pydantic_fields_set__", set(values))
    object.__setattr__(made, "__pydantic_extra__", None)
    object.__setattr__(made, "__pydantic_private__", None)
    return made


@functools.cache
def _fields(model: Any) -> dict[str, Any]:
    """In the model's order, with their defaults, which are all immutable."""
    return {name: field.default for name, field in model.model_fields.items()}


def _asset_events(consumed: bytes) -> list[Any]:
    if not consumed:
        return []
    from airflow.sdk.api.datamodels._generated import AssetEventDagRunReference

    return [AssetEventDagRunReference.model_validate(one) for one in msgspec.json.decode(consumed)]


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)


def _run_type(name: str) -> Any:
    from airflow.sdk.api.datamodels._generated import DagRunType

    return DagRunType(name)


def _running() -> Any:
    from airflow.sdk.api.datamodels._generated import DagRunState

    return DagRunState.RUNNING


__all__ = ["make"]
