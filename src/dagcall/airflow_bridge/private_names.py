"""The names of Airflow that are not its public API and that dagcall uses: one table, looked at when a server starts.

Airflow may change these in any release. So each is looked up before anything is built on it, and functions that are
called or replaced are asked for their parameters:

- one without which tasks cannot be run: the server refuses to start, with the version and what is missing;
- one that only makes tasks faster: Airflow's own, slower code runs instead (`usable`). This is logged once and shown by
  `dagcall doctor`.

`python -m dagcall.airflow_bridge.private_names` prints what is missing, as JSON.
"""

import functools
import importlib
import inspect
import sys
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import msgspec

_RUNNER = "airflow.sdk.execution_time.task_runner"
_LOGGING = "airflow.sdk._shared.logging.structlog"


@dataclass(frozen=True)
class PrivateName:
    """`name`: an attribute of `module`, or of an attribute of it. `parameters`: what a function must begin with.
    `shortcut`: what goes without it; empty: nothing does."""

    module: str
    name: str
    parameters: tuple[str, ...] = ()
    shortcut: str = ""

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


def _all(module: str, names: str, shortcut: str = "") -> tuple[PrivateName, ...]:
    return tuple(PrivateName(module, name, shortcut=shortcut) for name in names.split())


NAMES: Final[tuple[PrivateName, ...]] = (
    PrivateName(_RUNNER, "run", ("ti", "context", "log")),
    PrivateName(_RUNNER, "finalize", ("ti", "state", "context", "log", "error")),
    PrivateName(_RUNNER, "_execute_task", ("context", "ti", "log")),
    PrivateName(_RUNNER, "_handle_trigger_dag_run", ("drte", "context", "ti", "log")),
    PrivateName(_RUNNER, "_push_xcom_if_needed", ("result", "ti", "log")),
    PrivateName(_RUNNER, "_handle_current_task_success", ("context", "ti")),
    PrivateName(_RUNNER, "_handle_current_task_failed", ("ti",)),
    PrivateName(_RUNNER, "_register_deserialization_allowed_classes", ("dag", "log")),
    PrivateName(_RUNNER, "_send_error_email_notification", ("task", "ti", "context", "error", "log")),
    *_all("airflow.sdk._shared.listeners.listener", "ListenerManager"),
    *_all("airflow.sdk._shared.listeners.spec", "lifecycle taskinstance"),
    *_all("airflow.sdk._shared.module_loading", "import_string"),
    *_all("airflow.sdk._shared.secrets_masker", "_secrets_masker redact"),
    *_all(
        "airflow.sdk.api.datamodels._generated",
        "AssetEventDagRunReference DagRun DagRunState DagRunType HITLDetailResponse TIRunContext "
        "TaskInstance TaskInstanceState",
    ),
    *_all("airflow.sdk.bases.operator", "BaseOperator TRIGGER_FAIL_REPR TriggerFailureReason"),
    *_all("airflow.sdk.bases.secrets_backend", "BaseSecretsBackend"),
    *_all("airflow.sdk.bases.skipmixin", "XCOM_SKIPMIXIN_FOLLOWED XCOM_SKIPMIXIN_KEY XCOM_SKIPMIXIN_SKIPPED"),
    *_all("airflow.sdk.bases.xcom", "BaseXCom"),
    *_all("airflow.sdk.configuration", "clear_secrets_backends_cache get_custom_secret_backend"),
    *_all("airflow.sdk.definitions._internal.contextmanager", "_CURRENT_CONTEXT"),
    *_all(
        "airflow.sdk.definitions._internal.expandinput",
        "DictOfListsExpandInput EXPAND_INPUT_EMPTY ListOfDictsExpandInput MappedArgument",
    ),
    *_all("airflow.sdk.definitions._internal.mixins", "ResolveMixin"),
    *_all("airflow.sdk.definitions._internal.types", "NOTSET SET_DURING_EXECUTION"),
    *_all("airflow.sdk.definitions.asset", "AssetAll AssetAny AssetNameRef AssetUriRef"),
    *_all("airflow.sdk.definitions.mappedoperator", "MappedOperator MappedOperator._get_specified_expand_input"),
    *_all("airflow.sdk.definitions.param", "Param ParamsDict"),
    *_all("airflow.sdk.definitions.taskgroup", "MappedTaskGroup"),
    *_all("airflow.sdk.definitions.xcom_arg", "ConcatXComArg MapXComArg PlainXComArg XComArg ZipXComArg"),
    *_all(
        "airflow.sdk.execution_time.comms",
        "AssetEventsResult AssetResult AssetStateStoreResult AssetsByAliasResult AwaitInputTask "
        "ClearAssetStateStoreByName ClearAssetStateStoreByUri ClearTaskStateStore ConnectionResult "
        "CreateHITLDetailPayload DRCount DagResult DagRunResult DagRunStateResult DeferTask "
        "DeleteAssetStateStoreByName DeleteAssetStateStoreByUri DeleteTaskStateStore DeleteVariable "
        "DeleteXCom ErrorResponse GetAssetByName GetAssetByUri GetAssetEventByAsset "
        "GetAssetEventByAssetAlias GetAssetStateStoreByName GetAssetStateStoreByUri GetAssetsByAlias "
        "GetConnection GetDRCount GetDag GetDagRun GetDagRunState GetHITLDetailResponse "
        "GetPrevSuccessfulDagRun GetPreviousDagRun GetPreviousTI GetTICount GetTaskBreadcrumbs "
        "GetTaskRescheduleStartDate GetTaskStateStore GetTaskStates GetVariable GetVariableKeys GetXCom "
        "GetXComCount GetXComSequenceItem GetXComSequenceSlice HITLDetailRequestResult "
        "InactiveAssetsResult MaskSecret OKResponse PrevSuccessfulDagRunResult PreviousDagRunResult "
        "PreviousTIResult PutVariable RescheduleTask ResendLoggingFD RetryTask SentFDs "
        "SetAssetStateStoreByName SetAssetStateStoreByUri SetRenderedFields SetRenderedMapIndex "
        "SetTaskStateStore SetXCom SkipDownstreamTasks SucceedTask TICount TaskBreadcrumbsResult "
        "TaskRescheduleStartDate TaskState TaskStateStoreResult TaskStatesResult ToSupervisor "
        "TriggerDagRun UpdateHITLDetail ValidateInletsAndOutlets VariableKeysResult VariableResult "
        "XComCountResponse XComResult XComSequenceIndexResult XComSequenceSliceResult _RequestFrame "
        "_ResponseFrame _new_encoder",
    ),
    *_all("airflow.sdk.execution_time.context", "_AssetRefResolutionMixin _process_connection_result_conn"),
    *_all("airflow.sdk.execution_time.supervisor", "block_orm_access"),
    *_all(_RUNNER, "RuntimeTaskInstance SUPERVISOR_COMMS log"),
    *_all("airflow.sdk.execution_time.xcom", "XCom"),
    *_all("airflow.sdk.listener", "get_listener_manager"),
    *_all("airflow.sdk.log", "configure_logging.__wrapped__ reset_logging"),
    *_all("airflow.sdk.plugins_manager", "integrate_listener_plugins"),
    *_all(_RUNNER, "TypeAdapter", shortcut="TypeAdapter"),
    *_all(_RUNNER, "get_hostname", shortcut="hostname"),
    *_all(_LOGGING, "JWT_PATTERN redact_jwt structlog_processors.cache_clear", shortcut="redact_jwt"),
    *_all("airflow.sdk.bases.decorator", "inspect", shortcut="signatures"),
    *_all("airflow.sdk.definitions.param", "ParamsDict.__deepcopy__", shortcut="copies of params"),
    *_all(_RUNNER, "detail_span._make_ctx", shortcut="spans"),
    *_all(_LOGGING, "structlog_processors", shortcut="log lines"),
    *_all("airflow.providers.standard.decorators.python", "_PythonDecoratedOperator", shortcut="mapped operators"),
    *_all("airflow.sdk.bases.decorator", "DecoratedMappedOperator.unmap", shortcut="mapped operators"),
    *_all("airflow.sdk.bases.operator", "get_merged_defaults", shortcut="mapped operators"),
    *_all(
        "airflow.sdk.definitions.mappedoperator", "MappedOperator.unmap prevent_duplicates", shortcut="mapped operators"
    ),
)


class AirflowChanged(SystemExit):
    """This Airflow lacks what tasks cannot be run without. Its text is the last that the process says."""


def missing() -> list[PrivateName]:
    """Those that this Airflow does not have, or has otherwise."""
    return [one for one in NAMES if not _is_there(one)]


@functools.cache
def unusable() -> Collection[str]:
    """The shortcuts that this Airflow leaves no room for. Raises AirflowChanged when more than shortcuts is missing."""
    lost = missing()
    needed = [str(one) for one in lost if not one.shortcut]
    if needed:
        raise AirflowChanged(refusal(needed))
    return frozenset(one.shortcut for one in lost)


def usable(shortcut: str) -> bool:
    return shortcut not in unusable()


def refusal(names: Collection[str]) -> str:
    from importlib.metadata import version

    return (
        f"dagcall: Airflow {version('apache-airflow')} (Task SDK {version('apache-airflow-task-sdk')}) does not have, or "
        f"has changed, what dagcall runs tasks with: {', '.join(sorted(names))}. Install a version that "
        "docs/versions.md names, or a newer dagcall."
    )


def _is_there(one: PrivateName) -> bool:
    try:
        found = importlib.import_module(one.module)
        for part in one.name.split("."):
            if part not in getattr(found, "__annotations__", ()):  # declared, and set by whoever runs a task
                found = getattr(found, part)
    except (ImportError, AttributeError):
        return False
    if not one.parameters:
        return True
    try:
        parameters = tuple(inspect.signature(found).parameters)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return parameters[: len(one.parameters)] == one.parameters


def main() -> int:
    lost = missing()
    document = {
        "checked": len(NAMES),
        "missing": [str(one) for one in lost if not one.shortcut],
        "slower": sorted({one.shortcut for one in lost if one.shortcut}),
    }
    sys.stdout.buffer.write(msgspec.json.encode(document) + b"\n")
    return 1 if document["missing"] else 0


if __name__ == "__main__":
    sys.exit(main())
