"""Why a call failed: which task is to blame, and the way from there to what the answer waits for.

The failure names the earliest failed task among those that it can be blamed on. The chain goes from it, each link
directly upstream of the next (or a setup that the next one needs), to a result task, or to a leaf of the DAG where the
run's own state is the answer. Links that have not ended yet are part of it: what they will end in is certain.
"""

from collections.abc import Callable

from dagcall.core import mapping
from dagcall.core.forecast import BAD, Forecast, Scene, can
from dagcall.core.instance import TaskInstance, TaskRun
from dagcall.model.commands import CauseLink, Failure
from dagcall.model.events import ErrorInfo
from dagcall.model.states import TaskState


def explain(target: TaskRun, scene: Scene, forecast: Forecast) -> Failure:
    """Why `target` fails: the earliest failure among those it can be blamed on, and the way from there."""
    blame = _Blame(target, scene, lambda task: task.ended.bad > 0 or forecast.is_doomed(task))
    if blame.root is None:
        # Certain by cases only, in each of which it may be another task that is doomed.
        blame = _Blame(target, scene, lambda task: task.ended.bad > 0 or can(forecast.ends[task.task.task_id], BAD))
    root = blame.root or target
    worst = _worst(root)
    links: list[CauseLink] = []
    step: TaskRun | None = root
    while step is not None:
        instance = _worst(step)
        links.append(CauseLink(*instance.key, instance.state))
        step = blame.towards[step.task.task_id]
    error = worst.error or blame.without_failure(root)
    return Failure(
        error=error or ErrorInfo("UpstreamFailed", f"task {worst.key} could not run: see the tasks upstream of it"),
        failed_task=root.task.task_id,
        map_index=worst.map_index,
        try_number=worst.try_number,
        cause=tuple(links),
        reject=worst.reject,
    )


class _Blame:
    """The search upstream of a task for what failed."""

    def __init__(self, target: TaskRun, scene: Scene, is_to_blame: Callable[[TaskRun], bool]) -> None:
        self._scene = scene
        self.towards: dict[str, TaskRun | None] = {target.task.task_id: None}
        """By task that was looked at: the next one on the way to the target."""
        pending, failed, others = [target], [], []
        for task in pending:
            if task.ended.failed:
                failed.append(task)  # it ran: what is upstream of it is not to blame
                continue
            if self.without_failure(task) is not None:
                others.append(task)
                continue
            upstream = (scene.tasks[task_id] for task_id in (*task.task.upstream, *task.node.setups))
            blamed = [up for up in upstream if up.task.task_id not in self.towards and is_to_blame(up)]
            self.towards.update((up.task.task_id, task) for up in blamed)
            pending.extend(blamed)
        self.root = min(failed, key=lambda task: _worst(task).end_date or 0.0, default=others[-1] if others else None)
        """What failed first; else what cannot be expanded; None when there is neither."""

    def without_failure(self, task: TaskRun) -> ErrorInfo | None:
        """Why it fails though nothing upstream of it did: it cannot be expanded."""
        if task.expanded or not task.task.needs_expansion or task.ended.skipped:
            return None
        if task.ended.upstream_failed:
            return _worst(task).error
        width = self._scene.possible_widths(task)
        return None if width.none or width.some else mapping.not_expanded(task.task, None)[1]


def _worst(task: TaskRun) -> TaskInstance:
    """The instance that stands for a doomed task: the one that failed first, else upstream_failed, else any."""
    for state in (TaskState.FAILED, TaskState.UPSTREAM_FAILED):
        bad = [ti for ti in task.instances if ti.state is state]
        if bad:
            return min(bad, key=lambda ti: ti.end_date or 0.0)
    return task.instances[0]
