"""What follows from the edges of a plan alone: the same for every run of it, so computed once a plan.

Sets of tasks are bit masks over the topological order: ancestors of all tasks cost one pass.
"""

import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dagcall.core.groups import Relation, relation
from dagcall.model.plan import DagPlan, TaskPlan
from dagcall.model.states import TriggerRule


@dataclass(frozen=True, slots=True)
class Node:
    """One task, its relatives by task id."""

    task: TaskPlan
    setups: tuple[str, ...]
    """Setups that must succeed first though they are no direct upstreams (`get_upstreams_only_setups`)."""
    scope: tuple[str, ...]
    """Of a teardown: the tasks between its setups and itself, done before it (`_evaluate_teardown_scope`)."""
    sources: tuple[str, ...]
    """Tasks whose output it, or the innermost mapped group around it, is mapped over (`MappedTaskUpstreamDep`)."""
    relations: Mapping[str, Relation]
    """Of a task in mapped groups: to each of the relatives that it waits for. Of all others: empty."""
    expansion: frozenset[str]
    """Of a task in mapped groups: whose output any of these groups is mapped over."""
    decides: bool
    """Its success, too, can make a failure certain."""


class Graph:
    """The static side of a run."""

    def __init__(self, plan: DagPlan) -> None:
        self._order = {task.task_id: index for index, task in enumerate(plan.tasks)}
        tasks = plan.tasks
        downstream: list[list[int]] = [[] for _ in tasks]
        self._ancestors: list[int] = []
        for index, task in enumerate(tasks):
            mask = 0
            for task_id in task.upstream:
                up = self._order[task_id]
                if up >= index:
                    raise ValueError(f"dag {plan.dag_id!r}: the plan is not in topological order at {task.task_id!r}")
                downstream[up].append(index)
                mask |= self._ancestors[up] | 1 << up
            self._ancestors.append(mask)
        self._tasks = tasks
        self._downstream = downstream
        self._descendants = [0] * len(tasks)
        for index in reversed(range(len(tasks))):
            for down in downstream[index]:
                self._descendants[index] |= self._descendants[down] | 1 << down
        self._setups = _mask(index for index, task in enumerate(tasks) if task.is_setup)
        self._teardowns = _mask(index for index, task in enumerate(tasks) if task.is_teardown)
        sources = _mapped_over(plan)
        self.sources = tuple(task.task_id for task in tasks if task.task_id in sources and not task.needs_expansion)
        """The tasks whose value gives others their length; but for those that are mapped: theirs is never unknown."""
        self.has_empty_source = any(plan.by_id[source].is_empty for source in self.sources)
        """Some task is mapped over one that never returns anything: certain from the beginning to have no length."""
        self._deciding = _deciding(plan, sources)
        self.nodes: tuple[Node, ...] = tuple(self._node(plan, index, task) for index, task in enumerate(tasks))
        self.leaves: tuple[str, ...] = self._effective_leaves()
        """The tasks whose instances decide the run's state (`DagRun._tis_for_dagrun_state`)."""

    def with_ancestors(self, task_ids: Iterable[str]) -> frozenset[str]:
        """The tasks named and all that are upstream of them."""
        mask = 0
        for task_id in task_ids:
            index = self._order[task_id]
            mask |= self._ancestors[index] | 1 << index
        return frozenset(self._ids(mask))

    def _node(self, plan: DagPlan, index: int, task: TaskPlan) -> Node:
        setups, scope = self._ids(self._indirect_setups(index)), self._ids(self._teardown_scope(index))
        relatives = (*task.upstream, *setups, *scope) if task.mapped_groups else ()
        return Node(
            task,
            setups,
            scope,
            sources=mapping.upstreams if (mapping := plan.innermost_mapping(task)) is not None else (),
            relations={task_id: relation(task, plan.by_id[task_id]) for task_id in relatives},
            expansion=frozenset(up for group in task.mapped_groups for up in plan.mappings[group].upstreams),
            decides=task.task_id in self._deciding,
        )

    def _indirect_setups(self, index: int) -> int:
        task = self._tasks[index]
        found = self._ancestors[index] & self._setups
        if task.is_teardown or not found:
            return 0
        relevant = 0
        for setup in _bits(found):
            teardowns = _mask(self._downstream[setup]) & self._teardowns
            if not teardowns or teardowns & self._descendants[index]:
                relevant |= 1 << setup
        return relevant & ~self._direct(task)

    def _teardown_scope(self, index: int) -> int:
        task = self._tasks[index]
        if not task.is_teardown:
            return 0
        direct = self._direct(task)
        below_setups = 0
        for setup in _bits(direct & self._setups):
            below_setups |= self._descendants[setup]
        return self._ancestors[index] & ~direct & below_setups

    def _effective_leaves(self) -> tuple[str, ...]:
        def counts(index: int) -> bool:
            task = self._tasks[index]
            return not task.is_teardown or task.on_failure_fail_dagrun

        indexes = range(len(self._tasks))
        leaves = [i for i in indexes if counts(i) and not any(counts(down) for down in self._downstream[i])]
        if not leaves:  # nothing but teardowns
            leaves = [i for i in indexes if not self._downstream[i]]
        return tuple(self._tasks[i].task_id for i in leaves)

    def _direct(self, task: TaskPlan) -> int:
        return _mask(self._order[task_id] for task_id in task.upstream)

    def _ids(self, mask: int) -> tuple[str, ...]:
        return tuple(self._tasks[index].task_id for index in _bits(mask))


def _mapped_over(plan: DagPlan) -> frozenset[str]:
    mappings = [*plan.mappings.values(), *(task.mapping for task in plan.tasks if task.mapping is not None)]
    return frozenset(source for mapping in mappings for source in mapping.upstreams)


def _deciding(plan: DagPlan, sources: frozenset[str]) -> frozenset[str]:
    """A branch that skips no more; what others are mapped over, by its length. Under rules by which a task is skipped
    because of successes, but not at the first of them: all."""
    if any(task.trigger_rule in (TriggerRule.ONE_FAILED, TriggerRule.ONE_DONE) for task in plan.tasks):
        return frozenset(plan.by_id)
    return sources.union(task.task_id for task in plan.tasks if task.can_skip_downstream)


def _mask(indexes: Iterable[int]) -> int:
    mask = 0
    for index in indexes:
        mask |= 1 << index
    return mask


def _bits(mask: int) -> Iterable[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


_graphs: dict[int, tuple[weakref.ref[DagPlan], Graph]] = {}


def graph_of(plan: DagPlan) -> Graph:
    """The graph of a plan, kept for as long as the plan is. (Plans hold dicts and cannot be keys themselves.)"""
    key = id(plan)
    known = _graphs.get(key)
    if known is not None and known[0]() is plan:
        return known[1]
    graph = Graph(plan)
    _graphs[key] = weakref.ref(plan, lambda _: _graphs.pop(key, None)), graph
    return graph
