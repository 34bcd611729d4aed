"""The judge of tasks in mapped task groups: expands them, and judges their instances one by one.

Which upstream instances an instance waits for: `groups`. The checks themselves are those of all other tasks: `judge`.
"""

from collections.abc import Iterable, Mapping

from dagcall.core import groups
from dagcall.core.board import Board
from dagcall.core.instance import TaskRun
from dagcall.core.judge import by_upstreams
from dagcall.core.mapping import mappings_of, shared_widths, width
from dagcall.core.trigger_rules import READY, Counts, Verdict
from dagcall.core.xcoms import RunXComs
from dagcall.model.ids import UNMAPPED
from dagcall.model.plan import DagPlan
from dagcall.model.states import TaskState


class GroupJudge:
    """Of one run."""

    def __init__(self, plan: DagPlan, board: Board, xcoms: RunXComs) -> None:
        self._plan = plan
        self._board = board
        self._xcoms = xcoms

    def verdicts(self, tasks: dict[TaskRun, None]) -> dict[TaskRun, dict[int, TaskState]]:
        """Of those of `tasks` that are in mapped groups, by map index. Expands what can be expanded, and judges what
        that allows to be judged; applies nothing else.

        Expands in topological order: as soon as one task is expanded the next one in its group can be.
        """
        for task in self._board.grouped:
            if task in tasks and task.waiting and not task.expanded:
                width = self.width(task)
                if width and self._judge(task, UNMAPPED, width_known=True) is READY:
                    self._board.expand(task, width)
                    task.shared = shared_widths(task, self._plan, self._board.tasks, self._xcoms)
                    tasks.update(self._board.dirty)
                    self._board.dirty = {}
        return {task: self._of(task) for task in self._board.grouped if task in tasks}

    def width(self, task: TaskRun) -> int | None:
        """Into how many instances a task is to be expanded, mapped groups around it counted."""
        return width(mappings_of(task.task, self._plan), self._board.tasks, self._xcoms)

    def _of(self, task: TaskRun) -> dict[int, TaskState]:
        indexes, task.to_judge = sorted(task.to_judge), set()
        width_known = bool(task.waiting and (task.expanded or self.width(task)))
        verdicts = {}
        for map_index in indexes:
            if task.instances[max(map_index, 0)].state is TaskState.NONE:
                verdict = self._judge(task, map_index, width_known=width_known)
                if verdict is not None:
                    verdicts[map_index] = verdict
        return verdicts

    def _judge(self, task: TaskRun, map_index: int, *, width_known: bool) -> Verdict:
        tasks = self._board.tasks
        relevant = Relevant(task, map_index, tasks, width_known)
        if task.task.is_teardown:
            setups, scope = Counts(), relevant.of(task.node.scope)
        else:
            setups, scope = relevant.of(task.node.setups), Counts()
        up_setups = (task_id for task_id in task.task.upstream if tasks[task_id].task.is_setup)
        return by_upstreams(task.task, setups, relevant.of(task.task.upstream), relevant.of(up_setups), scope)


class Relevant:
    """The upstream instances that one instance of a task in mapped groups waits for (`groups`)."""

    def __init__(self, task: TaskRun, map_index: int, tasks: Mapping[str, TaskRun], width_known: bool) -> None:
        self._task = task
        self._map_index = map_index
        self._tasks = tasks
        self._all_known = width_known
        self._is_fast = map_index == UNMAPPED and task.task.trigger_rule in groups.FAST

    def of(self, task_ids: Iterable[str]) -> Counts:
        counts = Counts()
        for task_id in task_ids:
            self._count(task_id, counts)
        return counts

    def _count(self, task_id: str, counts: Counts) -> None:
        task, relative = self._task, self._tasks[task_id]
        relation = task.node.relations[task_id]
        waits_for_all = self._is_fast and task_id not in task.node.expansion
        if not relation.shared or not self._all_known or waits_for_all:
            counts.include(relative.ended)
        elif not relative.expanded:
            counts.take(relative.instances[0].state)
        elif self._map_index != UNMAPPED:
            shared, width = task.shared[task_id], len(task.instances)
            for index in groups.relevant(relation.further, self._map_index, width, shared):
                if index < len(relative.instances):
                    counts.take(relative.instances[index].state)
