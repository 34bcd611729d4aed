"""What an attempt needs, and what can never be had."""

from dagcall.core.claims import PARALLELISM, Claims, limits_of
from dagcall.core.slots import Need
from dagcall.model.events import EndKind
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan, TaskPlan
from dagcall.model.pool import Pool

KEY = RunKey("d", "r")
DEFAULT = Pool("default_pool", 128, is_binding=False)


def claims_of(*tasks: TaskPlan, pools: tuple[Pool, ...] = (), parallelism: int | None = None, **plan: int) -> Claims:
    known = {pool.name: pool for pool in (DEFAULT, *pools)}
    return Claims(DagPlan("d", "1", "d.py", "d.py", tasks, **plan), known, parallelism)  # type: ignore[arg-type]


def test_a_plan_without_limits_claims_nothing() -> None:
    claims = claims_of(TaskPlan("t"))
    assert claims.is_empty
    assert claims.needs(KEY, TaskPlan("t")) == ()


def test_each_of_airflows_limits_is_a_need() -> None:
    task = TaskPlan("t", pool="p", pool_slots=2, max_active_tis_per_dag=3, max_active_tis_per_dagrun=4)
    claims = claims_of(task, pools=(Pool("p", 5),), parallelism=6, max_active_tasks=7)
    assert not claims.is_empty
    assert claims.needs(KEY, task) == (
        Need(PARALLELISM),
        Need(("pool", "p"), 2),
        Need(("tasks of run", KEY), limit=7),
        Need(("task", "d", "t"), limit=3),
        Need(("task of run", KEY, "t"), limit=4),
    )
    assert limits_of({"p": Pool("p", 5), "any": Pool("any", -1), "default_pool": DEFAULT}, 6) == {
        ("pool", "p"): 5,
        PARALLELISM: 6,
    }


def test_the_default_pool_binds_once_somebody_has_written_it() -> None:
    assert claims_of(TaskPlan("t"), pools=(Pool("default_pool", 128),)).needs(KEY, TaskPlan("t")) == (
        Need(("pool", "default_pool")),
    )


def test_what_can_never_run_is_said_before_it_begins() -> None:
    tasks = (
        TaskPlan("nowhere", pool="missing"),
        TaskPlan("too_big", pool="p", pool_slots=3),
        TaskPlan("fits", pool="p", pool_slots=2),
        TaskPlan("anything_fits", pool="endless", pool_slots=1000),
        TaskPlan("takes_no_slot", pool="missing", is_empty=True),
    )
    claims = claims_of(*tasks, pools=(Pool("p", 2), Pool("endless", -1)))
    assert [(refusal.task_id, refusal.feature) for refusal in claims.obstacles] == [
        ("nowhere", "pool"),
        ("too_big", "pool"),
    ]
    assert "there is no pool 'missing'" in str(claims.obstacles[0])
    assert "it takes 3 slots, and pool 'p' has 2" in str(claims.obstacles[1])
    assert claims.obstacle("fits") is None


def test_a_suspended_task_keeps_what_airflow_lets_it_keep() -> None:
    task = TaskPlan("t", pool="p", max_active_tis_per_dag=1)
    of_task = Need(("task", "d", "t"), limit=1)
    for include_deferred, pool_needs in ((False, ()), (True, (Need(("pool", "p")),))):
        claims = claims_of(task, pools=(Pool("p", 5, include_deferred=include_deferred),), max_active_tasks=1)
        assert claims.needs_while_suspended(KEY, task, EndKind.DEFERRED) == (*pool_needs, of_task)
        assert claims.needs_while_suspended(KEY, task, EndKind.AWAITING_INPUT) == (of_task,)
        assert claims.needs_while_suspended(KEY, task, EndKind.RESCHEDULED) == ()


def test_a_limit_without_room_is_named() -> None:
    task = TaskPlan("t", pool="p", pool_slots=2, max_active_tis_per_dag=3, max_active_tis_per_dagrun=4)
    claims = claims_of(task, pools=(Pool("p", 5),), parallelism=6, max_active_tasks=7)
    assert [claims.words(need, 4) for need in claims.needs(KEY, task)] == [
        "[core] parallelism",
        "pool 'p': 4 of 5 slots are taken, 2 needed",
        "max_active_tasks=7 of the DAG",
        "max_active_tis_per_dag=3 of task 't'",
        "max_active_tis_per_dagrun=4 of task 't'",
    ]
