"""Random small DAGs of all shapes that Airflow allows, and random calls of them. The same seed gives the same case."""

import random
from collections.abc import Sequence
from dataclasses import replace

from continuations import Case

from dagcall.model.events import EndKind
from dagcall.model.plan import DagPlan, MappedGroup, Mapping, MapSource, Retry, StartTrigger, TaskPlan
from dagcall.model.states import TriggerRule

MOST_TASKS = 6
RULES = [rule for rule in TriggerRule if rule is not TriggerRule.ALL_SUCCESS]
FROM_TRIGGER = StartTrigger("t.T", b"", "resume", b"")
SUSPENSIONS = (EndKind.DEFERRED, EndKind.RESCHEDULED, EndKind.AWAITING_INPUT)


def random_case(seed: int) -> Case:
    return _Drawing(random.Random(seed)).case()


class _Drawing:
    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._tasks: list[TaskPlan] = []
        self._branches: dict[str, str] = {}
        self._suspends: dict[str, EndKind] = {}
        self._groups: dict[str, MappedGroup] = {}
        self._fail_fast = rng.random() < 0.1
        shapes = [
            ("grouped", 0.0 if self._fail_fast else 0.3),
            ("mapped", 0.4),
            ("branch", 0.35),
            ("setup", 0.35),
            ("suspends", 0.3),
        ]
        with_shapes = [shape for shape, chance in shapes if rng.random() < chance]
        self._kinds = ["plain"] * 4 + ["empty"] + with_shapes * 2
        """Drawn from for each task."""

    def case(self) -> Case:
        rng = self._rng
        for number in range(rng.choice([2, 3, 3, 4, 4, 5, 5, MOST_TASKS])):
            self._add(f"t{number}")
        names = [task.task_id for task in self._tasks]
        results: tuple[str, ...] = ()
        if rng.random() < 0.7:
            some = rng.sample(names[len(names) // 2 :], k=1) + rng.sample(names, k=rng.choice([0, 0, 1, 2]))
            chosen = set(some)
            if rng.random() < 0.2:
                results = tuple(name for name in names if name in chosen)
            else:
                self._tasks = [replace(task, is_result=task.task_id in chosen) for task in self._tasks]
        plan = DagPlan(
            "d",
            "1",
            "d.py",
            "d.py",
            tuple(self._tasks),
            mapped_groups=tuple(self._groups.values()),
            fail_fast=self._fail_fast,
        )
        return Case(plan, results, self._branches, self._suspends)

    def _add(self, task_id: str) -> None:
        rng = self._rng
        names = [task.task_id for task in self._tasks]
        upstream = set(rng.sample(names, k=min(len(names), rng.choice([0, 1, 1, 2, 2, 3]))))
        mapping = None
        inside: tuple[str, ...] = ()
        setups = [task.task_id for task in self._tasks if task.is_setup]
        kind = "teardown" if setups and rng.random() < 0.3 else rng.choice(self._kinds)
        kinds = {kind}
        if kind == "teardown":
            setup = rng.choice(setups)
            upstream.add(setup)
            inside = rng.choice([(), self._groups_around(setup)])
        if kind == "branch" and "mapped" in self._kinds and rng.random() < 0.3:
            kinds.add("mapped")
        if kind == "grouped":
            kinds |= set(rng.sample(["empty", "setup", "branch"], k=rng.choice([0, 0, 0, 1])))
        if "mapped" in kinds:
            mapping = self._mapping(sorted(upstream))
            upstream |= set(mapping.upstreams)
        if kind == "grouped":
            inside = self._group(sorted(upstream))
        for group in inside:  # what it is mapped over is upstream of its roots
            if not any(group in up.mapped_groups for up in self._tasks if up.task_id in upstream):
                upstream |= set(self._groups[group].mapping.upstreams)
        if "branch" in kinds:
            self._branches[task_id] = rng.choice(["branch", "branch", "short_circuit", "short_circuit_direct"])
        self._tasks.append(
            TaskPlan(
                task_id,
                operator="Scripted",
                upstream=tuple(name for name in names if name in upstream),
                trigger_rule=self._rule(kind, upstream, bool(inside)),
                mapping=mapping,
                mapped_groups=inside,
                retry=Retry(rng.choice([0, 0, 0, 1]), delay=1.0),
                is_setup="setup" in kinds,
                is_teardown=kind == "teardown",
                on_failure_fail_dagrun=kind == "teardown" and rng.random() < 0.5,
                is_empty="empty" in kinds,
                can_skip_downstream="branch" in kinds,
                skips_direct_only=self._branches.get(task_id) in ("branch", "short_circuit_direct"),
                start_trigger=FROM_TRIGGER if kind == "suspends" and rng.random() < 0.3 else None,
            )
        )
        if self._fail_fast:  # a failure that the trigger reports stops nothing: any task may defer
            self._suspends[task_id] = EndKind.DEFERRED
        elif kind == "suspends" and self._tasks[-1].start_trigger is None:
            self._suspends[task_id] = rng.choice(SUSPENSIONS)

    def _groups_around(self, task_id: str) -> tuple[str, ...]:
        return next(task.mapped_groups for task in self._tasks if task.task_id == task_id)

    def _rule(self, kind: str, upstream: set[str], inside: bool) -> TriggerRule:
        rng = self._rng
        if kind == "teardown":
            return TriggerRule.ALL_DONE_SETUP_SUCCESS
        # Airflow: a fail_fast DAG, and what follows a setup, have no other rule.
        after_setup = any(task.is_setup for task in self._tasks if task.task_id in upstream)
        if self._fail_fast or after_setup or rng.random() < 0.3:
            return TriggerRule.ALL_SUCCESS
        rule = rng.choice(RULES)
        return TriggerRule.ALL_DONE if inside and rule is TriggerRule.ALWAYS else rule

    def _sources(self, upstream: Sequence[str]) -> list[str]:
        """What a task may be mapped over: no task in a mapped group."""
        return [task.task_id for task in self._tasks if task.task_id in upstream and not task.mapped_groups]

    def _source(self, upstream: Sequence[str]) -> MapSource:
        rng = self._rng
        sources = self._sources(upstream) or self._sources([task.task_id for task in self._tasks])
        if sources and rng.random() < 0.7:
            return MapSource("xcom", task_id=rng.choice(sources))
        return MapSource("literal", length=rng.choice([0, 1, 2, 2]))

    def _mapping(self, upstream: Sequence[str]) -> Mapping:
        rng = self._rng
        first = self._source(upstream)
        form = rng.choice(["expand"] * 5 + ["product", "zip", "zip_longest", "concat", "kwargs"])
        if form == "expand":
            return Mapping((first,))
        if form == "product":
            return Mapping((first, MapSource("literal", length=rng.choice([1, 2]))))
        if form == "kwargs":  # a literal list, elements of which are outputs of tasks
            return Mapping((MapSource("literal", length=2),), references=tuple(self._sources(upstream)[:1]))
        parts = (first, self._source(upstream))
        return Mapping(
            (MapSource("concat" if form == "concat" else "zip", parts=parts, longest=form == "zip_longest"),)
        )

    def _group(self, upstream: Sequence[str]) -> tuple[str, ...]:
        """One that is there, or a new one."""
        rng = self._rng
        if self._groups and rng.random() < 0.7:
            known = [task.mapped_groups for task in self._tasks if task.mapped_groups]
            return rng.choice(known)
        group_id = f"g{len(self._groups)}"
        self._groups[group_id] = MappedGroup(group_id, Mapping((self._source(upstream),)))
        around = rng.choice(list(self._groups)[:1]) if len(self._groups) > 1 and rng.random() < 0.5 else None
        return (group_id,) if around is None else (group_id, around)
