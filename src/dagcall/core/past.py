"""`depends_on_past` and `wait_for_downstream`, decided when a call with a logical date comes in.

As Airflow's `PrevDagrunDep` (ti_deps/deps/prev_dagrun_dep.py): a task needs itself, and with `wait_for_downstream` the
tasks directly downstream of it, to have ended well in the run with the next earlier logical date. Without such a run, or
without a logical date, it runs. Airflow waits where the need is not met; here the call is refused, since its caller waits.
"""

from dagcall.core.machine import RunMachine
from dagcall.model.plan import DagPlan, Refusal
from dagcall.model.states import TaskState

_WELL = (TaskState.SUCCESS, TaskState.SKIPPED)


def depends_on_past(plan: DagPlan) -> bool:
    return any(task.depends_on_past for task in plan.tasks)


def unmet(plan: DagPlan, earlier: RunMachine) -> list[Refusal]:
    """What stands in the way of a run after `earlier`, the run with the next earlier logical date."""
    unwell = {instance.task.task_id for instance in earlier.instances() if instance.state not in _WELL}
    known = {instance.task.task_id for instance in earlier.instances()}
    found = []
    for task in plan.tasks:
        if not task.depends_on_past:
            continue
        needed = (task.task_id, *(task.downstream if task.wait_for_downstream else ()))
        missing = [task_id for task_id in needed if task_id in unwell or task_id not in known]
        if missing:
            where = (
                f"in run {earlier.key.run_id!r}, the one with the date before, {', '.join(missing)} did not end well"
            )
            found.append(Refusal(task.task_id, "depends_on_past", f"{where}; Airflow would wait for it"))
    return found
