"""Into how many instances a mapped task expands.

Authoritative: `get_mapped_ti_count` (airflow/serialization/definitions/mappedoperator.py), `get_task_map_length`
(.../xcom_arg.py), `TaskMap.expand_mapped_task` and `MappedTaskUpstreamDep`. A length is `None` when it is not known
at that moment; Airflow then fails the task, it does not wait (its trigger rule was already met).
"""

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Mapping as Dict
from typing import NamedTuple, assert_never

from dagcall.core.instance import TaskRun
from dagcall.core.trigger_rules import READY
from dagcall.core.xcoms import RunXComs
from dagcall.model.events import ErrorInfo
from dagcall.model.ids import UNMAPPED
from dagcall.model.plan import RETURN_VALUE, DagPlan, Mapping, MapSource, TaskPlan
from dagcall.model.states import TaskState


class Possible(NamedTuple):
    """Which lengths there may still be."""

    unknown: bool
    none: bool
    some: bool


def mappings_of(task: TaskPlan, plan: DagPlan) -> tuple[Mapping, ...]:
    """What makes a task more than one instance: its own mapping, or those of the mapped groups around it."""
    if task.mapping is not None:
        return (task.mapping,)
    return tuple(plan.mappings[group_id] for group_id in task.mapped_groups)


def literal_width(mappings: Iterable[Mapping]) -> int | None:
    """Number of instances when it is known from the file alone, else None.

    An empty literal counts as unknown: Airflow creates one unexpanded instance for it and skips that when its
    dependencies are met (`DagRun._create_tasks`).
    """
    width = 1
    for mapping in mappings:
        for source in mapping.sources:
            if source.kind != "literal":
                return None
            width *= source.length
    return width or None


def width(mappings: Iterable[Mapping], tasks: Dict[str, TaskRun], xcoms: RunXComs) -> int | None:
    """Number of instances: the product of the lengths of all sources, None when one of them is unknown."""
    product = 1
    for mapping in mappings:
        for source in mapping.sources:
            length = _length(source, tasks, xcoms)
            if length is None:
                return None
            product *= length
    return product


def possible_widths(mappings: Iterable[Mapping], tasks: Dict[str, TaskRun], xcoms: RunXComs) -> Possible:
    """What `width` may say when the turn of a task has come."""
    return _combined([_possible(source, tasks, xcoms) for mapping in mappings for source in mapping.sources], all)


def _possible(source: MapSource, tasks: Dict[str, TaskRun], xcoms: RunXComs) -> Possible:
    if source.parts:
        every = all if source.kind == "zip" and not source.longest else any
        return _combined([_possible(part, tasks, xcoms) for part in source.parts], every)
    if source.kind == "xcom" and (upstream := tasks[source.task_id]).unfinished:
        pushes = not upstream.task.is_empty
        return Possible(unknown=True, none=pushes or upstream.task.needs_expansion, some=pushes)
    length = _length(source, tasks, xcoms)
    return Possible(unknown=length is None, none=length == 0, some=bool(length))


def _combined(parts: Sequence[Possible], every: Callable[[Iterable[bool]], bool]) -> Possible:
    """Of a length that is 0 unless `every` one (any, all) of its parts is more."""
    unknown = any(part.unknown for part in parts)
    if not all(part.none or part.some for part in parts):
        return Possible(unknown, none=False, some=False)
    other = any if every is all else all
    return Possible(unknown, none=other(part.none for part in parts), some=every(part.some for part in parts))


def not_expanded(task: TaskPlan, width: int | None) -> tuple[TaskState, ErrorInfo | None]:
    """What becomes of a task whose turn to be expanded has come while its width is unknown, or 0."""
    if width is None:
        error = ErrorInfo("NotFullyPopulated", f"task {task.task_id!r}: what it expands over is not known")
        return TaskState.UPSTREAM_FAILED, error
    return TaskState.SKIPPED, None


def shared_widths(task: TaskRun, plan: DagPlan, tasks: Dict[str, TaskRun], xcoms: RunXComs) -> dict[str, int]:
    """`TaskRun.shared` of a task in mapped groups whose lengths are all known."""
    shared = {}
    for task_id, relation in task.node.relations.items():
        if relation.shared:
            known = width([plan.mappings[group_id] for group_id in relation.shared], tasks, xcoms)
            assert known
            shared[task_id] = known
    return shared


def _length(source: MapSource, tasks: Dict[str, TaskRun], xcoms: RunXComs) -> int | None:
    match source.kind:
        case "literal":
            return source.length
        case "xcom":
            upstream = tasks[source.task_id]
            if upstream.task.mapping is None:
                item = xcoms.get(source.task_id, UNMAPPED, RETURN_VALUE)
                return None if item is None else item.mapped_length
            if upstream.unfinished:
                return None
            # Instances that returned nothing pushed nothing and do not count. Neither does map index -1.
            return xcoms.count(source.task_id, RETURN_VALUE) if upstream.expanded else 0
        case "zip" | "concat":
            lengths = [_length(part, tasks, xcoms) for part in source.parts]
            known = [length for length in lengths if length is not None]
            if len(known) < len(lengths):
                return None
            if source.kind == "concat":
                return sum(known)
            return max(known) if source.longest else min(known)
    assert_never(source.kind)


def evaluate_sources(sources: Iterable[str], tasks: Dict[str, TaskRun]) -> TaskState:
    """Verdict of the tasks that are mapped over (`MappedTaskUpstreamDep`), whatever the trigger rule says.

    A source that is itself mapped and was expanded does not count: what its instances did shows in the length.
    """
    verdict: TaskState = READY
    for task_id in sources:
        source = tasks[task_id]
        if source.expanded:
            continue
        if source.ended.bad:
            return TaskState.UPSTREAM_FAILED
        if source.ended.skipped:
            verdict = TaskState.SKIPPED
    return verdict
