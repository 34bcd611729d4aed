"""Tasks inside mapped task groups: when one of them is expanded, and which upstream instances each instance waits for.

Everywhere else all instances of a task share one verdict over all upstream instances. Here instance 2 of a task
waits for instance 2 of its upstreams in the same group, and is judged by itself; what is upstream of the group, or in
another one, counts with all of its instances.

Authoritative: `_get_relevant_map_indexes` (airflow/models/taskinstance.py) and `_is_relevant_upstream`,
`_iter_upstream_conditions` (airflow/ti_deps/deps/trigger_rule_dep.py). Three things surprise, and are done as there:

- A task is expanded as soon as the length of its groups is known and what is upstream *outside* of them allows it:
  upstreams inside, once they are expanded, have no row that an unexpanded instance would wait for.
- Under a rule that some of the upstreams can meet (`FAST`) the unexpanded instance waits for all of them instead, and
  may take a final state for the whole task.
- A task waiting for one that is mapped further inside their common group looks at a range of it whose size comes from
  the number of its *own* instances.
"""

from dataclasses import dataclass

from dagcall.model.plan import TaskPlan
from dagcall.model.states import TriggerRule

FAST = frozenset(
    {
        TriggerRule.ONE_SUCCESS,
        TriggerRule.ONE_FAILED,
        TriggerRule.ONE_DONE,
        TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS,
    }
)


@dataclass(frozen=True, slots=True)
class Relation:
    """How the instances of a task in mapped groups relate to those of one of its relatives."""

    shared: tuple[str, ...]
    """The innermost mapped group around both and those around it; empty: all instances of the relative count."""
    further: bool
    """The relative is mapped further inside that group."""


ALL = Relation((), False)


def relation(task: TaskPlan, relative: TaskPlan) -> Relation:
    for depth, group_id in enumerate(relative.mapped_groups):
        if group_id in task.mapped_groups:
            return Relation(relative.mapped_groups[depth:], depth > 0)
    return ALL


def relevant(further: bool, map_index: int, width: int, shared: int) -> range:
    """Which instances of a relative instance `map_index` waits for. `width`: how many instances its own task has;
    `shared`: how many the innermost shared group has. None of them for an instance that is not expanded (-1)."""
    ancestor = map_index * shared // width
    if not further:
        return range(ancestor, ancestor + 1)
    each = width // shared
    return range(ancestor * each, ancestor * each + each)


def affected(further: bool, map_index: int, width: int, shared: int) -> range:
    """The inverse: which of `width` instances wait for instance `map_index` of a relative."""
    each = width // shared
    ancestor = map_index // each if further else map_index
    return range(ancestor * each, min(ancestor * each + each, width))
