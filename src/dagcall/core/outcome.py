"""When a call can be answered: the result is known, or the failure is certain.

The answer waits for the *watched* tasks: the designated ones, or, with none of them or all of them skipped, the leaves
that decide the run's state. Success is known when all watched tasks have ended well; failure is certain when one of
them can only end failed or upstream_failed (`forecast`), whatever the unfinished instances still do.
"""

from collections.abc import Mapping
from typing import Any

from dagcall.core.board import Board
from dagcall.core.forecast import Forecast
from dagcall.core.graph import Graph
from dagcall.core.instance import TaskInstance, TaskRun
from dagcall.core.xcoms import RunXComs
from dagcall.model.commands import CauseLink, Failure, Outcome
from dagcall.model.events import ErrorInfo
from dagcall.model.plan import RETURN_VALUE, DagPlan
from dagcall.model.states import OutcomeKind, TaskState


class Watch:
    """What the answer of one run waits for."""

    def __init__(self, plan: DagPlan, graph: Graph, board: Board, xcoms: RunXComs) -> None:
        self._plan = plan
        self._graph = graph
        self._board = board
        self._xcoms = xcoms
        self._designated: tuple[TaskRun, ...] = ()
        self._watched: tuple[TaskRun, ...] = ()

    def begin(self, designated: tuple[str, ...]) -> None:
        """The run was accepted and is answered with these tasks; with its own state when there are none."""
        tasks = self._board.tasks
        on_path = self._graph.with_ancestors(designated) if designated else tasks.keys()
        for task_id, task in tasks.items():
            task.on_answer_path = task_id in on_path
        self._designated = tuple(tasks[task_id] for task_id in designated)
        for task in self._watched:
            task.watched = False
        self._watched = self._designated or tuple(tasks[task_id] for task_id in self._graph.leaves)
        for task in self._watched:
            task.watched = True
        self._board.watched_open = sum(task.unfinished for task in self._watched)

    def decide(self) -> Outcome | None:
        """The outcome if it is certain now. To be asked at the end of each step until it is."""
        board = self._board
        if not board.watched_open and not any(task.ended.bad for task in self._watched):
            values = self._values()
            if values or not self._designated:
                return Outcome(OutcomeKind.SUCCESS, values, self._names())
            self.begin(())  # all results were skipped: the run's own final state is the answer
            board.setback = True
            return self.decide()
        # Only bad ends make a failure certain, and the success of an ordinary task never completes one.
        if not board.any_bad or not (board.setback or not board.unfinished):
            return None
        forecast = Forecast(board.tasks, self._plan.fail_fast)
        for task in self._watched:
            if forecast.is_doomed(task):
                return self.failed(OutcomeKind.FAILED, explain(task, board.tasks, forecast))
        return None

    def failed(self, kind: OutcomeKind, failure: Failure) -> Outcome:
        """An outcome without a result, with the values that are known nevertheless."""
        return Outcome(kind, self._values(), self._names(), failure)

    def _names(self) -> tuple[str, ...]:
        return tuple(task.task.task_id for task in self._designated)

    def _values(self) -> dict[str, bytes]:
        """Plain JSON by task; tasks that did not end, failed or were skipped are left out."""
        return {
            task.task.task_id: _value_of(task, self._xcoms)
            for task in self._designated
            if not task.unfinished and not task.ended.bad and task.ended.success
        }


def _value_of(task: TaskRun, xcoms: RunXComs) -> bytes:
    """The return value of an ended task as plain JSON; of a mapped task the list a downstream task would get."""
    if not task.expanded:
        return task.instances[0].plain or b"null"
    pushed = [task.instances[index] for index in xcoms.map_indexes(task.task.task_id, RETURN_VALUE) if index >= 0]
    return b"[" + b",".join(ti.plain or b"null" for ti in pushed) + b"]"


def explain(target: TaskRun, tasks: Mapping[str, TaskRun], forecast: Forecast) -> Failure:
    """Why `target` is doomed: the earliest failure among those it can be blamed on, and the way from there."""
    towards: dict[str, TaskRun | None] = {target.task.task_id: None}
    pending, suspects = [target], []
    for task in pending:
        if task.ended.failed:
            suspects.append(task)  # it ran: what is upstream of it is not to blame
            continue
        blamed = [
            up
            for up in (tasks[task_id] for task_id in (*task.task.upstream, *task.node.setups))
            if up.task.task_id not in towards and (up.ended.bad or forecast.is_doomed(up))
        ]
        towards.update((up.task.task_id, task) for up in blamed)
        pending.extend(blamed)
    # Without any failure there is an upstream_failed without one (an unknown map length): the farthest.
    root = min(suspects, key=lambda task: _worst(task).end_date or 0.0, default=pending[-1])
    links, step = [], towards[root.task.task_id]
    worst = _worst(root)
    links.append(CauseLink(*worst.key, worst.state))
    while step is not None:
        instance = _worst(step)
        links.append(CauseLink(*instance.key, instance.state))
        step = towards[step.task.task_id]
    error = worst.error or ErrorInfo("UpstreamFailed", f"task {worst.key} could not run: see the tasks upstream of it")
    return Failure(
        error=error,
        failed_task=root.task.task_id,
        map_index=worst.map_index,
        try_number=worst.try_number,
        cause=tuple(links),
        reject=worst.reject,
    )


def _worst(task: TaskRun) -> TaskInstance:
    """The instance that stands for a doomed task: the one that failed first, else upstream_failed, else any."""
    for state in (TaskState.FAILED, TaskState.UPSTREAM_FAILED):
        bad = [ti for ti in task.instances if ti.state is state]
        if bad:
            return min(bad, key=lambda ti: ti.end_date or 0.0)
    return task.instances[0]


def as_data(kind: OutcomeKind, failure: Failure) -> dict[str, Any]:
    """The `failure` record's public data."""
    return {
        "outcome": kind.value,
        "failed_task": failure.failed_task,
        "map_index": failure.map_index,
        "try_number": failure.try_number,
        "error": {"type": failure.error.type, "message": failure.error.message},
        "cause": [{"task_id": c.task_id, "map_index": c.map_index, "state": c.state.value} for c in failure.cause],
    }
