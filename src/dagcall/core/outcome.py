"""When a call can be answered: the result is known, or the failure is certain.

The answer waits for the *watched* tasks: the designated ones, or, with none of them or all of them skipped, the leaves
that decide the run's state.

- *Success* is told when all watched tasks have ended well; with values also when some have them and the others are
  certain to be skipped. It is told of what has happened, never ahead of it: until a task has ended, a cancel, a deadline
  or a `dagrun_timeout` may take its success away.
- *Failure* is told when it is certain: in every way in which the run may go on a result task ends failed or
  upstream_failed, or all of them are skipped and the run fails (`forecast`, `certainty`). `cause` says why.

Neither is told early: what is told is so however the run goes on. What comes from outside is not foreseen: cancels,
deadlines, `dagrun_timeout`, and XComs that are set or deleted other than by their own attempt. Neither is told late, so
at the first event after which it is certain, but for

- DAGs with too many ways to go on (`certainty.EFFORT`), where tasks hang on each other in a way that only going through
  them shows;
- instances of tasks in mapped groups, which are looked at per task and not one by one while they wait for each other;
- a branch that has not ended: what it may decide of several tasks is looked at for each of them by itself;
- what waits for its next try, or for a date, and was skipped by a branch meanwhile: the state comes when the time has;
- orders: where upstreams fail and are skipped, the one that ends first decides, and which orders exclude each other is
  not looked at;
- branches of the author's own classes, and short-circuits above teardowns, which are taken to skip whatever is
  downstream of them as long as they have not ended.

`tests/integration/certainty` compares both with all that can happen to random DAGs.
"""

from typing import Any

from dagcall.core import cause, certainty
from dagcall.core.board import Board
from dagcall.core.forecast import BAD, SKIPPED, SUCCESS, Forecast, Scene, can
from dagcall.core.graph import Graph
from dagcall.core.instance import TaskRun
from dagcall.core.results import answer_of
from dagcall.core.xcoms import RunXComs
from dagcall.model.commands import Failure, Outcome
from dagcall.model.events import RunAccepted
from dagcall.model.ids import UNMAPPED
from dagcall.model.plan import RETURN_VALUE, DagPlan
from dagcall.model.states import OutcomeKind


class Watch:
    """What the answer of one run waits for."""

    def __init__(self, plan: DagPlan, graph: Graph, board: Board, xcoms: RunXComs) -> None:
        self._graph = graph
        self._board = board
        self._scene = Scene(plan, board.tasks, xcoms)
        self._designated: tuple[TaskRun, ...] = ()
        self._watched: tuple[TaskRun, ...] = ()
        self._accepted: RunAccepted
        """From `begin` on."""
        self._has_parts = False
        """More than one instance makes up the value: some may have succeeded while others wait."""

    def begin(self, accepted: RunAccepted, designated: tuple[str, ...]) -> None:
        """The run was accepted and is answered with these tasks; with its own state when there are none."""
        self._accepted = accepted
        tasks = self._board.tasks
        on_path = self._graph.with_ancestors(designated) if designated else tasks.keys()
        for task_id, task in tasks.items():
            task.on_answer_path = task_id in on_path
        self._designated = tuple(tasks[task_id] for task_id in designated)
        self._has_parts = len(designated) > 1 or (bool(designated) and self._designated[0].task.needs_expansion)
        for task in self._watched:
            task.watched = False
        self._watched = self._designated or self._leaves()
        for task in self._watched:
            task.watched = True
        self._board.setback = self._graph.has_empty_source
        self._board.watched_open = sum(task.unfinished for task in self._watched)

    def decide(self) -> Outcome | None:
        """The outcome if it is certain now. To be asked at the end of each step until it is."""
        board = self._board
        if not board.watched_open and not any(task.ended.bad for task in self._watched):
            values = self._values()
            if values or not self._designated:
                return Outcome(OutcomeKind.SUCCESS, values, self._names())
            self.begin(self._accepted, ())  # all results were skipped: the run's own final state is the answer
            board.setback = True
            return self.decide()
        if self._has_parts and self._waits_for_skips_only():
            return Outcome(OutcomeKind.SUCCESS, self._values(skips_follow=True), self._names())
        # A failure needs a bad end, or a length that is not known; and an ordinary success never completes one.
        if not (board.setback or not board.unfinished) or not (board.any_bad or self._lacks_length()):
            return None
        return self._certain_failure()

    def _lacks_length(self) -> bool:
        """Whether a task that others are mapped over has succeeded without a value that has a length, or will."""
        if self._graph.has_empty_source:
            return True
        for task_id in self._graph.sources:
            if self._board.tasks[task_id].ended.success:
                item = self._scene.xcoms.get(task_id, UNMAPPED, RETURN_VALUE)
                if item is None or item.mapped_length is None:
                    return True
        return False

    def _waits_for_skips_only(self) -> bool:
        """The value is known: some results have succeeded, and the others are certain to be skipped."""
        some = False
        for task in self._designated:
            if task.unfinished != task.waiting or task.ended.bad:
                return False
            some = some or task.ended.success > 0
        return some and certainty.is_certain(self._scene, self._path(), self._only_skips)

    def _only_skips(self, forecast: Forecast) -> bool:
        return all(forecast.open[task.task.task_id] == SKIPPED for task in self._designated if task.unfinished)

    def _certain_failure(self) -> Outcome | None:
        if self._may_go_well():
            return None
        forecast = Forecast(self._scene, self._path())
        doomed = next((task for task in self._watched if forecast.is_doomed(task)), None)
        if doomed is None:
            path = list(self._board.tasks)
            if not certainty.is_certain(self._scene, path, self._fails):
                return None
            forecast = Forecast(self._scene, path)
            candidates = (*self._designated, *self._leaves())
            doomed = next((task for task in candidates if forecast.is_doomed(task)), None)
            if doomed is None:
                doomed = next(task for task in candidates if can(forecast.ends[task.task.task_id], BAD))
        return self.failed(OutcomeKind.FAILED, cause.explain(doomed, self._scene, forecast))

    def _may_go_well(self) -> bool:
        """Whether the call is answered with success if all goes well from now on: the quick way to see that no failure
        is certain."""
        smooth = Forecast(self._scene, self._path(), smooth=True)
        ends = [mask for task in self._watched for mask in smooth.ends[task.task.task_id]]
        if not all(mask in (SUCCESS, SKIPPED) for mask in ends):
            return False
        return not self._designated or SUCCESS in ends

    def _fails(self, forecast: Forecast) -> bool:
        if any(forecast.is_doomed(task) for task in self._watched):
            return True
        if any(can(forecast.ends[task.task.task_id], SUCCESS) for task in self._designated):
            return False
        return any(forecast.is_doomed(task) for task in self._leaves())

    def failed(self, kind: OutcomeKind, failure: Failure) -> Outcome:
        """An outcome without a result, with the values that are known nevertheless."""
        return Outcome(kind, self._values(), self._names(), failure)

    def _path(self) -> list[str]:
        return [task_id for task_id, task in self._board.tasks.items() if task.on_answer_path]

    def _leaves(self) -> tuple[TaskRun, ...]:
        return tuple([self._board.tasks[task_id] for task_id in self._graph.leaves])

    def _names(self) -> tuple[str, ...]:
        return tuple(task.task.task_id for task in self._designated)

    def _values(self, *, skips_follow: bool = False) -> dict[str, bytes]:
        """Plain JSON by task; tasks that did not end, failed or were skipped are left out. `skips_follow`: whatever is
        unfinished will be skipped."""
        return {
            task.task.task_id: answer_of(task, self._scene.xcoms, self._accepted)
            for task in self._designated
            if (skips_follow or not task.unfinished) and not task.ended.bad and task.ended.success
        }


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
