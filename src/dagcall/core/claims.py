"""What the limits on a DAG's tasks are: the slots that an attempt needs before it may have a worker.

Airflow's four: the task's pool, `max_active_tasks` of the DAG (which counts within one run), `max_active_tis_per_dag`,
`max_active_tis_per_dagrun`; and `parallelism`, of all tasks together. Only limits that somebody wrote are in a plan or
among the pools given here, unless `[dagcall] inherit_airflow_limits` brings in Airflow's configured ones.

A task whose pool does not exist, or has fewer slots than it takes, is never scheduled by stock Airflow, which writes a
warning every second. Nobody waits for that here: `obstacles` says so before a run begins, `obstacle` while it runs.
"""

from collections.abc import Hashable, Mapping

from dagcall.core.slots import Need
from dagcall.model.events import EndKind
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan, Refusal, TaskPlan
from dagcall.model.pool import UNLIMITED, Pool

PARALLELISM: Hashable = ("parallelism",)


def limits_of(pools: Mapping[str, Pool], parallelism: int | None) -> dict[Hashable, int]:
    """The limits that belong to no DAG, by the names that `Claims` gives them."""
    limits = {_pool(pool.name): pool.slots for pool in pools.values() if pool.is_binding and pool.slots != UNLIMITED}
    return limits if parallelism is None else {**limits, PARALLELISM: parallelism}


class Claims:
    """The needs of one plan's tasks, as the pools are now. `is_empty`: no task of it is limited by anything."""

    def __init__(self, plan: DagPlan, pools: Mapping[str, Pool], parallelism: int | None = None) -> None:
        self._plan = plan
        self._pools = pools
        self._shared = () if parallelism is None else (Need(PARALLELISM),)
        self._in_pool = {
            task.task_id: Need(_pool(task.pool), task.pool_slots)
            for task in plan.tasks
            if (pool := pools.get(task.pool)) is not None and pool.is_binding
        }
        self._obstacles = {task.task_id: why for task in plan.tasks if (why := _obstacle(task, pools)) is not None}
        self.is_empty = not (
            self._shared
            or self._in_pool
            or self._obstacles
            or plan.max_active_tasks is not None
            or any(task.max_active_tis_per_dag or task.max_active_tis_per_dagrun for task in plan.tasks)
        )

    @property
    def obstacles(self) -> tuple[Refusal, ...]:
        """Tasks that could never run, each with the reason."""
        return tuple(Refusal(task_id, "pool", why) for task_id, why in self._obstacles.items())

    def obstacle(self, task_id: str) -> str | None:
        return self._obstacles.get(task_id)

    def needs(self, run: RunKey, task: TaskPlan) -> tuple[Need, ...]:
        """Of one attempt."""
        needs = [*self._shared]
        if task.task_id in self._in_pool:
            needs.append(self._in_pool[task.task_id])
        if self._plan.max_active_tasks is not None:
            needs.append(Need(("tasks of run", run), limit=self._plan.max_active_tasks))
        return (*needs, *_of_task(run, task))

    def needs_while_suspended(self, run: RunKey, task: TaskPlan, kind: EndKind) -> tuple[Need, ...]:
        """Of a task instance that has let go of its worker and will go on later (`dependencies_states.ACTIVE_STATES`,
        `Pool.get_occupied_states`): it counts as active for its task's limits, in a pool only if that says so."""
        if kind not in (EndKind.DEFERRED, EndKind.AWAITING_INPUT):
            return ()
        pool = self._pools.get(task.pool)
        keeps_pool = kind is EndKind.DEFERRED and pool is not None and pool.include_deferred
        in_pool = self._in_pool.get(task.task_id) if keeps_pool else None
        return ((in_pool,) if in_pool is not None else ()) + _of_task(run, task)

    def words(self, need: Need, used: int) -> str:
        """A limit that has no room, for people."""
        match need.name:
            case ("pool", name):
                slots = self._pools[str(name)].slots
                return f"pool {name!r}: {used} of {slots} slots are taken, {need.slots} needed"
            case ("tasks of run", _):
                return f"max_active_tasks={need.limit} of the DAG"
            case ("task of run", _, task_id):
                return f"max_active_tis_per_dagrun={need.limit} of task {task_id!r}"
            case ("task", _, task_id):
                return f"max_active_tis_per_dag={need.limit} of task {task_id!r}"
            case _:
                return "[core] parallelism"


def _of_task(run: RunKey, task: TaskPlan) -> tuple[Need, ...]:
    needs = []
    if task.max_active_tis_per_dag is not None:
        needs.append(Need(("task", run.dag_id, task.task_id), limit=task.max_active_tis_per_dag))
    if task.max_active_tis_per_dagrun is not None:
        needs.append(Need(("task of run", run, task.task_id), limit=task.max_active_tis_per_dagrun))
    return tuple(needs)


def _pool(name: str) -> Hashable:
    return ("pool", name)


def _obstacle(task: TaskPlan, pools: Mapping[str, Pool]) -> str | None:
    pool = pools.get(task.pool)
    if task.is_empty:
        return None  # never runs, and so never takes a slot
    if pool is None:
        return f"there is no pool {task.pool!r}; create it with POST /api/v2/pools, or correct the task's pool="
    if not pool.has_room_for(task.pool_slots):
        return f"it takes {task.pool_slots} slots, and pool {task.pool!r} has {pool.slots}: it could never run"
    return None
