"""Random DAGs as plans, from a generator of chance numbers: rules, mapping, retries, limits, setups, branches."""

import random
from dataclasses import replace

from dagcall.model.notice import Call
from dagcall.model.plan import DagPlan, Mapping, MapSource, Retry, StartTrigger, TaskPlan
from dagcall.model.pool import Pool
from dagcall.model.states import TriggerRule

POOLS = (Pool("narrow", 1), Pool("two", 2, include_deferred=True))
FROM_TRIGGER = StartTrigger("t.T", b"", "resume", b"", timeout=20.0)


def random_plan(chance: random.Random, dag_id: str) -> DagPlan:
    tasks: list[TaskPlan] = []
    for number in range(chance.choice([1, 2, 3, 3, 4, 5, 6])):
        tasks.append(_task(chance, number, tasks))
    if not any(task.is_result for task in tasks) and chance.random() < 0.7:
        last = chance.randrange(len(tasks))
        tasks[last] = replace(tasks[last], is_result=True)
    downstream = {task.task_id: tuple(t.task_id for t in tasks if task.task_id in t.upstream) for task in tasks}
    shares = chance.random() < 0.15
    return DagPlan(
        dag_id,
        "v1",
        f"/dags/{dag_id}.py",
        f"{dag_id}.py",
        tuple(replace(task, downstream=downstream[task.task_id]) for task in tasks),
        fail_fast=chance.random() < 0.1,
        max_active_tasks=chance.choice([None, None, None, None, 1, 2]),
        max_active_runs=chance.choice([None, None, None, 1, 2]),
        dagrun_timeout=chance.choice([None] * 9 + [4.0]),
        callbacks=(Call.DAG_SUCCESS.value, Call.DAG_FAILURE.value) if chance.random() < 0.2 else (),
        coalesce=shares,
        cache_ttl=5.0 if shares and chance.random() < 0.5 else None,
    )


def _task(chance: random.Random, number: int, tasks: list[TaskPlan]) -> TaskPlan:
    names = [task.task_id for task in tasks]
    upstream = chance.sample(names, min(len(names), chance.choice([0, 1, 1, 2, 3])))
    setups = [task for task in tasks if task.is_setup and task.task_id in upstream]
    kind = chance.choices(["plain", "setup", "teardown", "mapped", "empty", "branch"], [50, 8, 20, 20, 5, 6])[0]
    if kind == "teardown" and not setups:
        kind = "plain"
    mapping = None
    if kind == "mapped":
        sources = [MapSource("literal", length=chance.choice([0, 1, 2, 3]))]
        plain = [task.task_id for task in tasks if task.mapping is None and task.task_id in upstream]
        if plain:
            sources += [MapSource("xcom", task_id=chance.choice(plain))] * 2
        mapping = Mapping((chance.choice(sources),))
    rule = TriggerRule.ALL_SUCCESS if chance.random() < 0.6 else chance.choice(list(TriggerRule))
    if kind == "teardown":
        rule = TriggerRule.ALL_DONE_SETUP_SUCCESS
    return TaskPlan(
        f"t{number}",
        operator="Simulated",
        upstream=tuple(upstream),
        trigger_rule=rule,
        mapping=mapping,
        retry=Retry(chance.choice([0, 0, 0, 1, 2]), delay=chance.choice([0.0, 0.5, 3.0])),
        execution_timeout=chance.choice([None] * 6 + [2.0]),
        is_setup=kind == "setup",
        is_teardown=kind == "teardown",
        on_failure_fail_dagrun=kind == "teardown" and chance.random() < 0.5,
        is_empty=kind == "empty",
        is_result=chance.random() < 0.15 and kind != "teardown",
        can_skip_downstream=kind == "branch",
        pool=chance.choice(["default_pool"] * 7 + ["narrow", "two"]),
        pool_slots=1,
        max_active_tis_per_dag=chance.choice([None] * 8 + [1]),
        max_active_tis_per_dagrun=chance.choice([None] * 8 + [1]),
        start_trigger=FROM_TRIGGER if kind == "plain" and chance.random() < 0.05 else None,
        callbacks=(Call.TASK_FAILURE.value, Call.TASK_RETRY.value) if chance.random() < 0.1 else (),
    )
