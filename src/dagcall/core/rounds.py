"""One round: all tasks with an upstream that ended are judged against the same counts, then all verdicts are applied.

Rounds, and not one task at a time, because that is how Airflow's scheduler sees its database: it lists once what has
ended (`DagRun._get_ready_tis`), and with mixed skips and failures the order shows. Only what a task is mapped over it
looks up at the moment it comes to that task (`MappedTaskUpstreamDep`, `expand_mapped_task`): so verdicts are applied
in topological order, and one of this round on a source reaches what is mapped over it within the round.
"""

import heapq
from collections.abc import Iterable

from dagcall.core import mapping
from dagcall.core.board import Board
from dagcall.core.group_judge import GroupJudge
from dagcall.core.instance import TaskInstance, TaskRun
from dagcall.core.judge import judge
from dagcall.core.trigger_rules import READY, Verdict
from dagcall.core.xcoms import RunXComs
from dagcall.model.events import ErrorInfo
from dagcall.model.plan import DagPlan
from dagcall.model.states import TaskState

Judged = Verdict | dict[int, TaskState]
"""The verdict on all waiting instances of a task; in mapped groups by map index, and only on those that have one."""


class Rounds:
    """Of one run. The board's dirty tasks are what a round looks at."""

    def __init__(self, plan: DagPlan, board: Board, xcoms: RunXComs) -> None:
        self._board = board
        self._xcoms = xcoms
        self.has_begun = False
        """A task has ended for which nothing had to be executed, or has begun with its trigger."""
        self._groups = GroupJudge(plan, board, xcoms)

    def play_one(self) -> None:
        board = self._board
        tasks, board.dirty = board.dirty, {}
        if not board.has_mapping or not any(task.in_mapping for task in tasks):
            verdicts = [(task, verdict) for task in tasks if task.waiting and (verdict := judge(task))]
            for task, verdict in verdicts:
                self._give_all(task, task.instances, verdict)
            return
        judged: dict[TaskRun, Judged] = dict(self._groups.verdicts(tasks))
        judged |= {task: judge(task) for task in tasks if task.waiting and not task.task.mapped_groups}
        self._apply_in_order(judged)

    def _apply_in_order(self, judged: dict[TaskRun, Judged]) -> None:
        queue = [(task.order, task) for task in judged]
        heapq.heapify(queue)
        while queue:
            _, task = heapq.heappop(queue)
            lost = task.ended.bad + task.ended.skipped
            self._apply(task, judged[task])
            if task.ended.bad + task.ended.skipped == lost:
                continue
            for follower in task.affects:
                if task.task.task_id in follower.node.sources and follower.waiting and follower not in judged:
                    judged[follower] = None
                    heapq.heappush(queue, (follower.order, follower))

    def _apply(self, task: TaskRun, verdict: Judged) -> None:
        by_sources = mapping.evaluate_sources(task.node.sources, self._board.tasks)
        if by_sources is not READY:
            for ti in task.instances:
                by_rule = verdict.get(ti.map_index) if isinstance(verdict, dict) else verdict
                if ti.state is TaskState.NONE:
                    self._give(
                        task, ti, TaskState.UPSTREAM_FAILED if by_rule is TaskState.UPSTREAM_FAILED else by_sources
                    )
        elif isinstance(verdict, dict):
            for map_index, one in verdict.items():
                self._give_all(task, (task.instances[max(map_index, 0)],), one)
        elif verdict is not None:
            self._give_all(task, task.instances, verdict)

    def _give_all(self, task: TaskRun, instances: Iterable[TaskInstance], verdict: TaskState) -> None:
        error = None
        if verdict is READY and not task.expanded and task.task.needs_expansion:
            width = self._groups.width(task)
            if width:
                self._board.expand(task, width)
            else:
                verdict, error = mapping.not_expanded(task.task, width)
        for ti in instances:
            if ti.state is TaskState.NONE:
                self._give(task, ti, verdict, error)

    def _give(self, task: TaskRun, ti: TaskInstance, verdict: TaskState, error: ErrorInfo | None = None) -> None:
        if verdict is not READY:
            self._board.change(ti, verdict, error)
        elif ti.map_index in task.skipped_later:
            self._board.change(ti, TaskState.SKIPPED)
        elif task.task.is_empty:
            ti.try_number += 1
            self.has_begun = True
            self._board.change(ti, TaskState.SUCCESS)
        else:
            if ti.task.start_trigger is not None:
                self.has_begun = True
            self._board.queue(ti)
