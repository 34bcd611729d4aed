"""A live DAG to its plan.

The live DAG is read, not Airflow's serialized form: the latter leaves out which task is the DAG's result.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import DAG
from airflow.sdk.bases.operator import BaseOperator
from airflow.sdk.definitions._internal.expandinput import (
    DictOfListsExpandInput,
    ListOfDictsExpandInput,
    MappedArgument,
)
from airflow.sdk.definitions._internal.mixins import ResolveMixin
from airflow.sdk.definitions._internal.types import NOTSET
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.definitions.taskgroup import MappedTaskGroup
from airflow.sdk.definitions.xcom_arg import ConcatXComArg, MapXComArg, PlainXComArg, XComArg, ZipXComArg

from dagcall.airflow_bridge import assets, notes, refusals, returns, weights
from dagcall.airflow_bridge.branches import skips_direct_only
from dagcall.airflow_bridge.empty import is_empty
from dagcall.airflow_bridge.look import look_of, schedule_description
from dagcall.airflow_bridge.settings import conf, has_custom_xcom_backend, inherits_airflow_limits
from dagcall.airflow_bridge.suspension import start_trigger
from dagcall.airflow_bridge.tags import wishes as wishes_of
from dagcall.contract.hints import hints_of
from dagcall.model.notice import Call
from dagcall.model.plan import RETURN_VALUE, DagPlan, MappedGroup, Mapping, MapSource, Retry, TaskPlan, XComRef
from dagcall.model.states import TriggerRule
from dagcall.options import Options

Operator = BaseOperator | MappedOperator
ExpandInput = DictOfListsExpandInput | ListOfDictsExpandInput


def compile_dag(dag: DAG, *, version: str, relative_fileloc: str, unforkable: Sequence[str] = ()) -> DagPlan:
    """Everything a run needs to know of `dag`, features that are refused included. `unforkable`: of its file."""
    tasks = tuple(_compile_task(task, dag.catchup) for task in dag.topological_sort())
    tags = tuple(sorted(str(tag) for tag in dag.tags))
    declared, aliases = assets.declarations_of(dag)
    result_schemas, unclear = returns.of_dag(dag)
    wishes = wishes_of(tags)
    isolated = wishes.isolation or conf.get("dagcall", "isolation", fallback=Options.isolation) == "task"
    plan = DagPlan(
        dag_id=dag.dag_id,
        version=version,
        fileloc=dag.fileloc,
        relative_fileloc=relative_fileloc,
        tasks=tasks,
        mapped_groups=tuple(_mapped_groups(dag)),
        params_schema=_params_schema(dag),
        result_schemas=result_schemas,
        description=dag.description,
        doc_md=dag.doc_md,
        display_name=dag.dag_display_name,
        tags=tags,
        owners=tuple(sorted({str(task.owner) for task in dag.tasks})),
        schedule=_schedule(dag),
        schedule_description=schedule_description(dag),
        catchup=bool(dag.catchup),
        allowed_run_types=_run_types(dag),
        asset_condition=assets.condition_of(dag),
        assets=declared,
        asset_aliases=aliases,
        max_active_tasks=_own_limit(dag.max_active_tasks, "max_active_tasks_per_dag"),
        max_active_runs=_own_limit(dag.max_active_runs, "max_active_runs_per_dag"),
        has_weights=any(weights.is_written(task) for task in dag.tasks),
        fail_fast=dag.fail_fast,
        dagrun_timeout=_seconds(dag.dagrun_timeout),
        callbacks=tuple(name for name in (Call.DAG_SUCCESS, Call.DAG_FAILURE) if getattr(dag, name.value)),
        isolation="task" if isolated else "warm",
        coalesce=wishes.coalesce,
        cache_ttl=wishes.cache_ttl,
        shares_with_everyone=wishes.shares_with_everyone,
        most_workers=wishes.most_workers,
        durability=wishes.durability,
        on_restart=wishes.on_restart,
        start_date=_timestamp(dag.start_date),
        end_date=_timestamp(dag.end_date),
        has_custom_xcom_backend=has_custom_xcom_backend(),
        refusals=tuple(refusals.of_dag(dag)),
        notes=(*notes.of_dag(dag), *unclear),
        warnings=tuple(notes.NOT_FORKED.format(cause=cause) for cause in unforkable),
    )
    return replace(plan, hints=tuple(hints_of(plan)))


def _run_types(dag: DAG) -> tuple[str, ...] | None:
    allowed = dag.allowed_run_types
    return None if allowed is None else tuple(sorted(str(getattr(one, "value", one)) for one in allowed))


def _compile_task(task: Operator, catchup: bool) -> TaskPlan:
    return TaskPlan(
        task_id=task.task_id,
        operator=task.task_type,
        upstream=tuple(sorted(task.upstream_task_ids)),
        downstream=tuple(sorted(task.downstream_task_ids)),
        trigger_rule=TriggerRule(str(getattr(task.trigger_rule, "value", task.trigger_rule))),
        mapping=_mapping(task._get_specified_expand_input()) if isinstance(task, MappedOperator) else None,
        mapped_groups=tuple(str(group.group_id) for group in task.iter_mapped_task_groups()),
        retry=Retry(
            retries=task.retries or 0,
            delay=_seconds(task.retry_delay) or 0.0,
            exponential_backoff=float(_backoff(task.retry_exponential_backoff)),
            max_delay=_seconds(task.max_retry_delay),
        ),
        execution_timeout=_seconds(task.execution_timeout),
        is_setup=task.is_setup,
        is_teardown=task.is_teardown,
        on_failure_fail_dagrun=task.on_failure_fail_dagrun,
        # With catch-up, Airflow asks the schedule's runs only, and there are none.
        depends_on_past=task.depends_on_past and not catchup,
        wait_for_downstream=task.wait_for_downstream,
        is_empty=is_empty(task),
        is_result=bool(task.returns_dag_result),
        can_skip_downstream=bool(task.inherits_from_skipmixin),
        skips_direct_only=skips_direct_only(task),
        reads=tuple(_reads(task)),
        priority_weight=task.priority_weight,
        effective_weight=weights.effective(task),
        queue=task.queue,
        pool=task.pool,
        pool_slots=task.pool_slots,
        max_active_tis_per_dag=task.max_active_tis_per_dag,
        max_active_tis_per_dagrun=task.max_active_tis_per_dagrun,
        callbacks=tuple(_callbacks(task)),
        task_display_name=task.task_display_name,
        inlets=assets.ports_of(task.inlets),
        start_trigger=start_trigger(task),
        outlets=assets.ports_of(task.outlets),
        task_groups=tuple(_groups(task)),
        look=look_of(task),
    )


def _schedule(dag: DAG) -> str | None:
    """`timetable_summary`, as Airflow shows it for assets; else what the author wrote."""
    if assets.condition_of(dag) is not None:
        return "Asset"
    return None if dag.schedule is None else str(dag.schedule)


def _groups(task: Operator) -> Iterator[str]:
    group = task.task_group
    while group is not None and group.group_id is not None:  # the DAG's own group has no id
        yield group.group_id
        group = group.parent_group


def _callbacks(task: Operator) -> Iterator[str]:
    """What would not be called if the task's process were gone."""
    if task.on_failure_callback:
        yield Call.TASK_FAILURE
    if task.on_retry_callback:
        yield Call.TASK_RETRY
    if task.email and task.email_on_failure:
        yield Call.EMAIL_FAILURE
    if task.email and task.email_on_retry:
        yield Call.EMAIL_RETRY


def _own_limit(value: int, configured: str) -> int | None:
    """A limit that the author wrote: one that differs from Airflow's configured default. The default itself binds
    only with `[dagcall] inherit_airflow_limits`."""
    return None if value == conf.getint("core", configured) and not inherits_airflow_limits() else value


def _backoff(value: bool | float | None) -> float:
    return 2.0 if value is True else float(value or 0)


def _mapped_groups(dag: DAG) -> Iterator[MappedGroup]:
    for group_id, group in sorted(dag.task_group.get_task_group_dict().items(), key=lambda item: str(item[0])):
        if isinstance(group, MappedTaskGroup):
            yield MappedGroup(str(group_id), _mapping(group._expand_input))


def _mapping(expand: ExpandInput) -> Mapping:
    if isinstance(expand, DictOfListsExpandInput):
        return Mapping(sources=tuple(_source(value) for value in expand.value.values()))
    references: tuple[str, ...] = ()
    if not isinstance(expand.value, XComArg):
        references = tuple(dict.fromkeys(operator.task_id for operator, _ in expand.iter_references()))
    return Mapping(sources=(_source(expand.value),), references=references)


def _source(value: Any) -> MapSource:
    if isinstance(value, MapXComArg):
        return _source(value.arg)
    if isinstance(value, ZipXComArg):
        parts = tuple(_source(part) for part in value.args)
        return MapSource("zip", parts=parts, longest=value.fillvalue is not NOTSET)
    if isinstance(value, ConcatXComArg):
        return MapSource("concat", parts=tuple(_source(part) for part in value.args))
    if isinstance(value, PlainXComArg):
        return MapSource("xcom", task_id=value.operator.task_id)
    return MapSource("literal", length=len(value))


def _reads(task: Operator) -> Iterator[XComRef]:
    """XComs the task asks for while its arguments are rendered, each once.

    One that several expanded arguments share is read whole: each of them needs an element of its own.
    """
    whole: dict[tuple[str, str], None] = {}
    sparse: dict[tuple[str, str], str] = {}

    def add_expanded(expand: ExpandInput, group: str) -> None:
        values = list(expand.value.values()) if isinstance(expand, DictOfListsExpandInput) else [expand.value]
        for value in values:
            is_plain = isinstance(value, PlainXComArg) and value.key == RETURN_VALUE
            for operator, key in XComArg.iter_xcom_references(value):
                name = (operator.task_id, key)
                if is_plain and name not in sparse:
                    sparse[name] = group
                else:
                    whole[name] = None

    if isinstance(task, MappedOperator):
        add_expanded(task._get_specified_expand_input(), "")
        arguments: Any = task.partial_kwargs
    else:
        arguments = [getattr(task, name, None) for name in task.template_fields]
    expanded_groups = {}
    for argument in _arguments(arguments):
        if isinstance(argument, MappedArgument):
            expanded_groups[id(argument._input)] = argument._input
        else:
            whole |= {(operator.task_id, key): None for operator, key in argument.iter_references()}
    for group in task.iter_mapped_task_groups():
        if (expand := expanded_groups.get(id(group._expand_input))) is not None:
            add_expanded(expand, str(group.group_id))
    for task_id, key in whole:
        yield XComRef(task_id, key)
    for (task_id, key), group_id in sparse.items():
        if (task_id, key) not in whole:
            yield XComRef(task_id, key, whole=False, group=group_id)


def _arguments(value: Any) -> Iterator[Any]:
    """What is resolved when a task runs, in any value (`XComArg.iter_xcom_references`)."""
    if isinstance(value, ResolveMixin):
        yield value
    elif isinstance(value, (tuple, set, list)):
        for item in value:
            yield from _arguments(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _arguments(item)
    elif isinstance(value, BaseOperator | MappedOperator):
        for name in value.template_fields:
            yield from _arguments(getattr(value, name, None))


def _params_schema(dag: DAG) -> dict[str, Any]:
    """JSON Schema of a conf: one property a param. Further keys are allowed, as `dag_run.conf` allows them."""
    properties: dict[str, Any] = {}
    required: list[str] = []
    for name, param in dag.params.items():
        schema = dict(param.schema)
        if param.description and "description" not in schema:
            schema["description"] = param.description
        if param.value is NOTSET:
            required.append(name)
        else:
            schema["default"] = param.value
        properties[name] = schema
    result: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        result["required"] = required
    return result


def _seconds(delta: timedelta | float | None) -> float | None:
    if isinstance(delta, timedelta):
        return delta.total_seconds()
    return None if delta is None else float(delta)


def _timestamp(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
