"""Into how many instances a mapped task expands.

Authoritative: `get_mapped_ti_count` (airflow/serialization/definitions/mappedoperator.py), `get_task_map_length`
(.../xcom_arg.py), `TaskMap.expand_mapped_task` and `MappedTaskUpstreamDep`. A length is `None` when it is not known
at that moment; Airflow then fails the task, it does not wait (its trigger rule was already met).
"""

from collections.abc import Mapping as Dict
from typing import assert_never

from dagcall.core.instance import TaskRun
from dagcall.core.trigger_rules import READY, Verdict
from dagcall.core.xcoms import RunXComs
from dagcall.model.ids import UNMAPPED
from dagcall.model.plan import RETURN_VALUE, Mapping, MapSource
from dagcall.model.states import TaskState


def literal_width(mapping: Mapping) -> int | None:
    """Number of instances when it is known from the file alone, else None.

    An empty literal counts as unknown: Airflow creates one unexpanded instance for it and skips that when its
    dependencies are met (`DagRun._create_tasks`).
    """
    width = 1
    for source in mapping.sources:
        if source.kind != "literal":
            return None
        width *= source.length
    return width or None


def width(mapping: Mapping, tasks: Dict[str, TaskRun], xcoms: RunXComs) -> int | None:
    """Number of instances: the product of the lengths of all sources, None when one of them is unknown."""
    product = 1
    for source in mapping.sources:
        length = _length(source, tasks, xcoms)
        if length is None:
            return None
        product *= length
    return product


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


def evaluate_sources(mapping: Mapping, tasks: Dict[str, TaskRun]) -> Verdict:
    """Verdict of the tasks that are mapped over (`MappedTaskUpstreamDep`), whatever the trigger rule says.

    A source that is itself mapped and was expanded does not count: what its instances did shows in the length.
    """
    verdict: TaskState = READY
    for task_id in mapping.upstreams:
        source = tasks[task_id]
        if source.expanded:
            continue
        if source.ended.bad:
            return TaskState.UPSTREAM_FAILED
        if source.ended.skipped:
            verdict = TaskState.SKIPPED
    return verdict
