"""Notices in a process of the DAG file: DAG callbacks, callbacks and e-mail of lost tasks, listeners of runs.

What stock Airflow does in its DAG processor (airflow/dag_processing/processor.py `_execute_callbacks`) with the same
contexts and log lines, in the same file under `[logging] dag_processor_child_process_log_directory`; and what its
scheduler does with listeners (airflow/models/dagrun.py `notify_dagrun_state_changed`). Each call is made, whatever
became of the ones before it; the first error is reported.
"""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

import msgspec
import structlog

from dagcall.airflow_bridge.settings import conf
from dagcall.model.events import EndKind
from dagcall.model.notice import AssetNews, Call
from dagcall.workers.channel import Channel
from dagcall.workers.frames import Ended, Notify

LISTENED = (
    Call.RUN_RUNNING,
    Call.RUN_SUCCESS,
    Call.RUN_FAILED,
    Call.TASK_FAILED,
    Call.ASSET_CHANGED,
    Call.ASSET_EVENT,
)


def log_path(fileloc: str, folder: str, bundle: str) -> str:
    """Where Airflow's DAG processor logs what it does with this file."""
    base = conf.get("logging", "dag_processor_child_process_log_directory")
    return os.path.join(base, datetime.now(UTC).strftime("%Y-%m-%d"), bundle, f"{os.path.relpath(fileloc, folder)}.log")


def listened_to() -> list[str]:
    """The hooks among `LISTENED` that a plugin's listener implements."""
    return [call.value for call in LISTENED if getattr(_listeners().hook, call.value).get_hookimpls()]


def tell(notify: Notify, dag: Any, make_instance: Callable[[], Any], runner: Any, channel: Channel) -> None:
    """Make all calls, then send the `Ended`. `make_instance`: the task instance that the notice is about."""
    from dagcall.airflow_bridge.comms import WorkerComms
    from dagcall.airflow_bridge.ending import describe

    runner.SUPERVISOR_COMMS = WorkerComms(channel, notify.start)
    log = structlog.get_logger(logger_name="processor").bind(dag_id=dag.dag_id, run_id=notify.start.run_id)
    first: tuple[str, str] | None = None
    instance = _with_state(make_instance(), notify)
    for name in notify.calls:
        for function, what in _functions(Call(name), dag, instance, notify, runner, log):
            log.info(f"Executing {what}", dag_id=dag.dag_id)
            try:
                function()
            except BaseException as error:
                log.exception("Callback failed", dag_id=dag.dag_id)
                first = first or describe(error, notify.start)
                if not isinstance(error, Exception):
                    _end(channel, notify, first)
                    raise
    _end(channel, notify, first)


def _end(channel: Channel, notify: Notify, error: tuple[str, str] | None) -> None:
    channel.send(
        Ended(
            attempt=notify.attempt,
            epoch=notify.epoch,
            kind=(EndKind.SUCCESS if error is None else EndKind.FAILED).value,
            error=error,
            reject=None,
            retry_delay=None,
            xcoms=[],
            plain=None,
            skip=[],
            rendered_map_index=None,
            rendered_fields=b"",
        )
    )


def _functions(
    call: Call, dag: Any, instance: Any, notify: Notify, runner: Any, log: Any
) -> Iterator[tuple[Callable[[], Any], str]]:
    """What one call comes to, each with its words for the log."""
    dag_run = instance._ti_context_from_server.dag_run
    match call:
        case Call.RUN_RUNNING | Call.RUN_SUCCESS | Call.RUN_FAILED:
            hook = getattr(_listeners().hook, call.value)
            yield partial(hook, dag_run=dag_run, msg=notify.reason), f"listeners of {call.value}"
        case Call.TASK_FAILED:
            hook = _listeners().hook.on_task_instance_failed
            told = {"previous_state": _running(), "task_instance": instance, "error": RuntimeError(notify.reason)}
            yield partial(hook, **told), f"listeners of {call.value}"
        case Call.ASSET_CHANGED:
            for _, asset in _news(notify):
                yield partial(_listeners().hook.on_asset_changed, asset=asset), f"listeners of {call.value}"
        case Call.ASSET_EVENT:
            for event, _ in _news(notify):
                yield partial(_listeners().hook.on_asset_event_emitted, asset_event=event), f"listeners of {call.value}"
        case Call.DAG_SUCCESS | Call.DAG_FAILURE:
            for callback in _listed(getattr(dag, call.value)):
                what = f"{call.value.removesuffix('_callback')} dag callback"
                yield partial(_with_context, callback, lambda: _dag_context(dag, instance, notify)), what
        case Call.TASK_FAILURE | Call.TASK_RETRY:
            name = call.value.removeprefix("task.")
            for callback in _listed(getattr(instance.task, name)):
                yield partial(_with_context, callback, instance.get_template_context), f"{name} of {instance.task_id}"
        case Call.EMAIL_FAILURE | Call.EMAIL_RETRY:
            send = partial(runner._send_error_email_notification, instance.task, instance)
            error = Exception(notify.reason)
            what = f"{call.value.removeprefix('task.')} of {instance.task_id}"
            yield partial(_with_context, lambda context: send(context, error, log), instance.get_template_context), what


def _news(notify: Notify) -> Iterator[tuple[Any, Any]]:
    """Asset events and their assets, as Airflow's asset manager hands them to listeners (airflow/assets/manager.py)."""
    from airflow.listeners.types import AssetEvent
    from airflow.serialization.definitions.assets import SerializedAsset, SerializedAssetAlias

    for one in msgspec.msgpack.decode(notify.assets, type=list[AssetNews]):
        extra = msgspec.json.decode(one.asset_extra)
        asset = SerializedAsset(name=one.name, uri=one.uri, group=one.group, extra=extra, watchers=[])
        event = AssetEvent(
            asset=asset,
            extra=msgspec.json.decode(one.extra),
            source_dag_id=notify.start.dag_id,
            source_task_id=one.task_id,
            source_run_id=notify.start.run_id,
            source_map_index=one.map_index,
            source_aliases=[SerializedAssetAlias(name=name, group="asset") for name in one.aliases],
            partition_key=one.partition_key,
        )
        yield event, asset


def _with_context(function: Callable[[Any], Any], make_context: Callable[[], Any]) -> Any:
    return function(make_context())


def _listed(callbacks: Any) -> list[Any]:
    return list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]


def _dag_context(dag: Any, instance: Any, notify: Notify) -> Any:
    if instance.task_id:
        context = instance.get_template_context()
        context["reason"] = notify.reason
        return context
    return {"dag": dag, "run_id": notify.start.run_id, "reason": notify.reason}


def _with_state(instance: Any, notify: Notify) -> Any:
    """The task instance and its run as they were when the notice was given."""
    from airflow.sdk.api.datamodels._generated import DagRunState, TaskInstanceState

    dag_run = instance._ti_context_from_server.dag_run
    dag_run.state = DagRunState(notify.run_state)
    dag_run.end_date = _moment(notify.run_end)
    instance.state = TaskInstanceState(notify.state) if notify.state else None
    instance.start_date, instance.end_date = _moment(notify.start_date), _moment(notify.end_date)
    return instance


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, tz=UTC)


def _running() -> Any:
    from airflow.sdk.api.datamodels._generated import TaskInstanceState

    return TaskInstanceState.RUNNING


@cache
def _listeners() -> Any:
    """The listeners of all plugins, with the hooks of runs too: the Task SDK's own manager knows those of tasks only."""
    from airflow.listeners.spec import asset, dagrun
    from airflow.sdk._shared.listeners.listener import ListenerManager
    from airflow.sdk._shared.listeners.spec import lifecycle, taskinstance
    from airflow.sdk.plugins_manager import integrate_listener_plugins

    manager = ListenerManager()
    for spec in (lifecycle, taskinstance, dagrun, asset):
        manager.add_hookspecs(spec)
    integrate_listener_plugins(manager)
    return manager
