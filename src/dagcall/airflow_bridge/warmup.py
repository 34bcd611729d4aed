"""Runs a few tasks in the root zygote, into nothing, for what they import and cache."""

import contextvars
import os
from typing import TYPE_CHECKING, Any

import msgspec

from dagcall.workers.frames import Frame, Shipped, Start

if TYPE_CHECKING:
    from dagcall.airflow_bridge.runtime import AirflowRuntime


class _Nobody:
    """A channel whose other end does not exist."""

    def send(self, message: Frame) -> None:
        pass

    def receive(self) -> Any:
        raise RuntimeError("a warm-up task asked for something")


def _dags() -> dict[str, Any]:
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import DAG, task

    with DAG("dagcall_warm_up", schedule=None, params={"text": "x"}) as dag:

        @task(task_id="plain")
        def plain(value: Any) -> Any:
            return {"value": value}

        @task(task_id="mapped")
        def mapped(value: Any) -> Any:
            return value

        @task(task_id="failing")
        def failing() -> None:
            raise ValueError("warm-up")

        plain("{{ params.text }}")
        mapped.expand(value=[1, 2])
        failing()
        EmptyOperator(task_id="empty")
    return {dag.dag_id: dag}


def run(runtime: "AirflowRuntime") -> None:
    """Leaves the process as it was, but warm. Does nothing where a task, even this one, would be seen by a custom XCom
    backend or a plugin's listeners."""
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.listener import get_listener_manager

    from dagcall.airflow_bridge.settings import has_custom_xcom_backend

    if has_custom_xcom_backend() or get_listener_manager().has_listeners:
        return
    comms = task_runner.SUPERVISOR_COMMS
    environment = dict(os.environ)
    runtime.keep(_dags())
    runtime.connect(_Nobody())  # type: ignore[arg-type]
    for task_id, map_index in (("plain", -1), ("mapped", 0), ("failing", -1)):
        contextvars.copy_context().run(runtime.run_task, _start(task_id, map_index))
    runtime.keep({})
    os.environ.clear()
    os.environ.update(environment)
    task_runner.SUPERVISOR_COMMS = comms


def _start(task_id: str, map_index: int) -> Start:
    return Start(
        attempt=1,
        epoch=1,
        dag_id="dagcall_warm_up",
        run_id="warm-up",
        task_id=task_id,
        map_index=map_index,
        try_number=1,
        max_tries=0,
        ti_id="00000000-0000-0000-0000-000000000000",
        conf=b"{}",
        run_type="manual",
        run_after=0.0,
        run_start=0.0,
        logical_date=None,
        triggered_by="rest_api",
        want_plain=True,
        log_path=os.devnull,
        xcoms=[Shipped("plain", "return_value", False, [msgspec.msgpack.encode(1)])],
    )
