"""The plan: one version of a DAG as plain data, all that a run needs to know of it.

Compiled from the live DAG on the worker side, where Airflow and user code are; the coordinator never sees more.
Field names and defaults are Airflow's. Durations are seconds.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from dagcall.model.assets import AliasDeclaration, AssetCondition, AssetDeclaration, AssetRef
from dagcall.model.bundle import DAGS_FOLDER
from dagcall.model.states import TriggerRule
from dagcall.model.survival import Durability, OnRestart

RETURN_VALUE = "return_value"
"""The XCom key of a task's return value (`BaseXCom.XCOM_RETURN_KEY`)."""


@dataclass(frozen=True)
class XComRef:
    """An XCom that a task is known to ask for before it runs: shipped with its start."""

    task_id: str
    key: str = RETURN_VALUE
    whole: bool = True
    """False: only used by `expand`, where one instance needs one element and the length."""
    group: str = ""
    """Not `whole`: the mapped task group that is expanded over it; empty: the task itself is."""


@dataclass(frozen=True)
class MapSource:
    """What gives one expanded argument its length.

    `literal`: `length` is known. `xcom`: the value of `task_id` (a list, a dict, or the collected values of a
    mapped task). `zip` and `concat` combine `parts` (`zip` with a fill value is as long as the longest part);
    `.map()` does not change a length and is left out.
    """

    kind: Literal["literal", "xcom", "zip", "concat"]
    length: int = 0
    task_id: str = ""
    parts: tuple["MapSource", ...] = ()
    longest: bool = False


@dataclass(frozen=True)
class Mapping:
    """How a task is expanded: `expand` (instances = product of the sources) or `expand_kwargs` (one source)."""

    sources: tuple[MapSource, ...]
    references: tuple[str, ...] = ()
    """Task ids whose outputs are elements of a literal list given to `expand_kwargs`."""

    @cached_property
    def upstreams(self) -> tuple[str, ...]:
        """Task ids whose output is used by the expansion, each once (`iter_mapped_dependencies`)."""
        found: dict[str, None] = dict.fromkeys(self.references)
        pending = list(self.sources)
        while pending:
            source = pending.pop(0)
            if source.kind == "xcom":
                found[source.task_id] = None
            pending.extend(source.parts)
        return tuple(found)


@dataclass(frozen=True)
class MappedGroup:
    """A task group that is expanded as a whole: each task in it has an instance for each element."""

    group_id: str
    mapping: Mapping


@dataclass(frozen=True)
class Retry:
    """When a failed attempt is tried again. Airflow: `retries`, `retry_delay`, `retry_exponential_backoff`, ..."""

    retries: int = 0
    delay: float = 300.0
    exponential_backoff: float = 0.0
    """0: constant delay; otherwise the multiplier (Airflow's `True` is 2.0)."""
    max_delay: float | None = None


@dataclass(frozen=True)
class StartTrigger:
    """With `start_from_trigger`, the trigger that a try begins with, and how it goes on then (`StartTriggerArgs`).
    Kwargs are MessagePack of what Airflow's serde made of them."""

    classpath: str
    kwargs: bytes
    next_method: str
    next_kwargs: bytes
    timeout: float | None = None


@dataclass(frozen=True)
class TaskLook:
    """What Airflow's API shows of a task, and nothing else depends on."""

    operator_name: str = ""
    module: str | None = None
    owner: str = ""
    weight_rule: str | None = None
    ui_color: str | None = None
    ui_fgcolor: str | None = None
    template_fields: tuple[str, ...] = ()
    doc_md: str | None = None
    start_date: float | None = None
    end_date: float | None = None
    params: bytes = b"{}"
    """JSON: each as Airflow's `Param.dump()` shows it."""


@dataclass(frozen=True)
class TaskPlan:
    """One task of a DAG."""

    task_id: str
    operator: str = "EmptyOperator"
    upstream: tuple[str, ...] = ()
    downstream: tuple[str, ...] = ()
    trigger_rule: TriggerRule = TriggerRule.ALL_SUCCESS
    mapping: Mapping | None = None
    mapped_groups: tuple[str, ...] = ()
    """The mapped task groups around it, innermost first. Airflow allows no mapped task in a mapped group."""
    retry: Retry = field(default_factory=Retry)
    execution_timeout: float | None = None
    is_setup: bool = False
    is_teardown: bool = False
    on_failure_fail_dagrun: bool = False
    depends_on_past: bool = False
    wait_for_downstream: bool = False
    is_empty: bool = False
    """An `EmptyOperator` without callbacks, inlets or outlets: succeeds without a worker, as in Airflow."""
    can_skip_downstream: bool = False
    """It may decide to skip tasks downstream of it: Airflow's `inherits_from_skipmixin` (branching, short-circuit)."""
    skips_direct_only: bool = False
    """... and then only those directly downstream: all but a short-circuit that ignores their trigger rules."""
    is_result: bool = False
    """Designated by `@result`, `dag.add_result` or by returning it from the `@dag` function."""
    reads: tuple[XComRef, ...] = ()
    priority_weight: int = 1
    effective_weight: int = 1
    """`priority_weight` under the task's weight rule: what Airflow shows for, and orders, its instances by."""
    queue: str = "default"
    pool: str = "default_pool"
    pool_slots: int = 1
    max_active_tis_per_dag: int | None = None
    max_active_tis_per_dagrun: int | None = None
    callbacks: tuple[str, ...] = ()
    """What to call when its process is gone: names of `notice.Call`. Otherwise the task's process does it itself."""
    task_display_name: str = ""
    inlets: tuple[AssetRef, ...] = ()
    outlets: tuple[AssetRef, ...] = ()
    start_trigger: StartTrigger | None = None
    task_groups: tuple[str, ...] = ()
    """Ids of the task groups around it, the innermost first."""
    look: TaskLook = TaskLook()

    @property
    def needs_expansion(self) -> bool:
        """Mapped itself, or in a mapped task group (`get_needs_expansion`)."""
        return self.mapping is not None or bool(self.mapped_groups)


@dataclass(frozen=True)
class Refusal:
    """A feature of a DAG that would not be run as Airflow runs it."""

    task_id: str | None
    feature: str
    reason: str

    def __str__(self) -> str:
        where = f"task {self.task_id!r}: " if self.task_id else ""
        return f"{where}{self.feature}: {self.reason}"


@dataclass(frozen=True)
class Note:
    """What a DAG, or one of its tasks, asks for and a call does not do, or does only under a condition."""

    task_id: str | None
    feature: str
    text: str

    def __str__(self) -> str:
        where = f"task {self.task_id!r}: " if self.task_id else ""
        return f"{where}{self.feature} {self.text}"


@dataclass(frozen=True)
class DagPlan:
    """One version of one DAG. `tasks` is in topological order."""

    dag_id: str
    version: str
    """Names the content of the file, its helper modules and its template files: equal text, equal version."""
    fileloc: str
    relative_fileloc: str
    """Below the folder of its bundle."""
    tasks: tuple[TaskPlan, ...]
    mapped_groups: tuple[MappedGroup, ...] = ()
    params_schema: dict[str, Any] = field(default_factory=dict)
    """JSON Schema (object) of the conf a caller may send, defaults included."""
    result_schemas: dict[str, dict[str, Any]] = field(default_factory=dict)
    """JSON Schema of the value of each result task whose author has annotated it (`airflow_bridge/returns.py`)."""
    description: str | None = None
    doc_md: str | None = None
    display_name: str = ""
    tags: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    schedule: str | None = None
    """Airflow's `timetable_summary`; of it only `asset_condition` is acted upon."""
    schedule_description: str | None = None
    """Airflow's `timetable_description`."""
    catchup: bool = False
    allowed_run_types: tuple[str, ...] | None = None
    """What may start it, as its author says (Airflow's `DagRunType`); None: anything."""
    asset_condition: AssetCondition | None = None
    """The DAG is started when it is met."""
    assets: tuple[AssetDeclaration, ...] = ()
    """All that the schedule and the tasks' inlets and outlets name."""
    asset_aliases: tuple[AliasDeclaration, ...] = ()
    max_active_tasks: int | None = None
    max_active_runs: int | None = None
    has_weights: bool = False
    """The author wrote a priority weight, or a weight rule, for some task."""
    fail_fast: bool = False
    dagrun_timeout: float | None = None
    callbacks: tuple[str, ...] = ()
    """What to call when a run has ended: names of `notice.Call`."""
    isolation: Literal["warm", "task"] = "warm"
    coalesce: bool = False
    """Identical calls in flight share one run."""
    cache_ttl: float | None = None
    """Seconds for which identical calls are answered with a run that has succeeded."""
    shares_with_everyone: bool = False
    """Both among all callers, not only among those of one."""
    most_workers: int | None = None
    """Of its file, at once."""
    durability: Durability | None = None
    """What its runs survive, unless their calls say otherwise; None: what the server's do."""
    on_restart: OnRestart | None = None
    """What becomes of its runs that a restart interrupted; None: what becomes of the server's."""
    start_date: float | None = None
    end_date: float | None = None
    bundle_name: str = DAGS_FOLDER
    bundle_version: str | None = None
    """Of the bundle's content, where it has versions, when the file was parsed."""
    has_custom_xcom_backend: bool = False
    """XCom values here are references made by a custom backend: opaque, never taken apart by the coordinator."""
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[Note, ...] = ()
    hints: tuple[Note, ...] = ()
    """What its author could still tell its callers (`contract/hints.py`)."""
    warnings: tuple[str, ...] = ()
    """What makes this file slower to serve than it could be, and what causes it."""

    @cached_property
    def by_id(self) -> dict[str, TaskPlan]:
        return {task.task_id: task for task in self.tasks}

    @cached_property
    def mappings(self) -> dict[str, Mapping]:
        """Of the mapped task groups, by group id."""
        return {group.group_id: group.mapping for group in self.mapped_groups}

    def innermost_mapping(self, task: TaskPlan) -> Mapping | None:
        """Of the task itself, or of the innermost mapped group around it."""
        if task.mapping is None and task.mapped_groups:
            return self.mappings[task.mapped_groups[0]]
        return task.mapping

    @cached_property
    def result_tasks(self) -> tuple[str, ...]:
        """The tasks designated by the author, in topological order."""
        return tuple(task.task_id for task in self.tasks if task.is_result)
