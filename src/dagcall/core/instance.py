"""The mutable side of a run: its task instances, and per task what all of its instances share.

Only the machine changes these; readers get them as projections and must not keep them across steps.
"""

from dataclasses import dataclass

from dagcall.core import groups
from dagcall.core.graph import Node
from dagcall.core.trigger_rules import Counts
from dagcall.model.commands import Await
from dagcall.model.events import ErrorInfo, RejectInfo, Resumed
from dagcall.model.ids import UNMAPPED, TaskKey
from dagcall.model.plan import TaskPlan
from dagcall.model.references import Reference
from dagcall.model.states import TaskState


@dataclass(frozen=True, slots=True)
class EndedTry:
    """A try that is over. `start_date` is None when no worker could be had for it. Times: seconds since the epoch."""

    try_number: int
    state: TaskState
    start_date: float | None
    end_date: float
    error: ErrorInfo | None


class TaskInstance:
    """One task instance, named as in Airflow. Times are seconds since the epoch."""

    __slots__ = (
        "attempt",
        "end_date",
        "epoch",
        "error",
        "first_attempt",
        "first_reschedule",
        "has_emitted",
        "hostname",
        "map_index",
        "pid",
        "plain",
        "queued_at",
        "references",
        "reject",
        "rendered_fields",
        "rendered_map_index",
        "reschedules",
        "resumed",
        "retry_due",
        "start_date",
        "state",
        "suspended",
        "task",
        "tries",
        "try_number",
        "waits_for",
    )

    def __init__(self, task: TaskPlan, map_index: int = UNMAPPED) -> None:
        self.task = task
        self.map_index = map_index
        self.state = TaskState.NONE
        self.try_number = 0
        self.attempt: int | None = None
        """The open attempt."""
        self.first_attempt: int | None = None
        """The attempt that began the latest try: what Airflow's `ti.id` is made of."""
        self.suspended: Await | None = None
        """What the try waits for, or (`resumed`) has waited for last and goes on with."""
        self.resumed: Resumed | None = None
        self.reschedules = 0
        """Of the latest try; `first_reschedule` is the date of the first of them."""
        self.first_reschedule: float | None = None
        self.epoch: int | None = None
        """With which the open attempt was started; None until it is."""
        self.queued_at: float | None = None
        self.waits_for = ""
        """Of the last time it was `scheduled`: the limit that had no room, in words."""
        self.start_date: float | None = None
        self.end_date: float | None = None
        self.retry_due: float | None = None
        """Set exactly while `up_for_retry`."""
        self.error: ErrorInfo | None = None
        self.reject: RejectInfo | None = None
        self.plain: bytes | None = None
        """The return value as plain JSON, where the worker sent it."""
        self.references: tuple[Reference, ...] = ()
        """What `plain` refers to."""
        self.rendered_map_index: str | None = None
        self.rendered_fields = b""
        self.has_emitted = False
        """The open try has handed out partial results."""
        self.hostname = ""
        self.pid = 0
        self.tries: tuple[EndedTry, ...] = ()

    @property
    def key(self) -> TaskKey:
        return TaskKey(self.task.task_id, self.map_index)

    @property
    def max_tries(self) -> int:
        """Airflow's `max_tries`: the number of *re*tries."""
        return self.task.retry.retries

    def __repr__(self) -> str:
        return f"<TaskInstance {self.key} {self.state.value} try {self.try_number}>"


class TaskRun:
    """One task within one run: its instances, how many ended how, and the same about its upstreams.

    The counts are kept up to date as instances end, so that judging a task costs the same for 2 and for 2,000
    upstream instances. All instances of a task are judged together, since Airflow's rules do not look at the map
    index, but for tasks in mapped groups (`groups`): their instances are judged one by one, and not by these counts.
    """

    __slots__ = (
        "affects",
        "affects_in_groups",
        "decides",
        "ended",
        "expanded",
        "feeds",
        "in_mapping",
        "instances",
        "node",
        "on_answer_path",
        "order",
        "scope",
        "setups",
        "shared",
        "skipped_later",
        "task",
        "to_judge",
        "unfinished",
        "up",
        "up_setups",
        "waiting",
        "watched",
    )

    def __init__(self, node: Node, order: int, width: int | None) -> None:
        self.node = node
        self.order = order
        """Topological."""
        self.task = node.task
        self.expanded = width is not None
        """Instances are numbered 0, 1, ... (False: there is one, with map index -1)."""
        indexes = (UNMAPPED,) if width is None else range(width)
        self.instances = [TaskInstance(node.task, map_index) for map_index in indexes]
        self.waiting = len(self.instances)
        """Instances in state `none`."""
        self.unfinished = self.waiting
        self.ended = Counts()
        self.up = Counts()
        """Direct upstream instances, and (`up_setups`) those of them that belong to setups."""
        self.up_setups = Counts()
        self.setups = Counts()
        """Instances of the relevant indirect setups."""
        self.scope = Counts()
        """Of a teardown: instances between its setups and itself."""
        self.feeds: list[Counts] = [self.ended]
        """The counts, here and downstream, that an instance of this task is part of."""
        self.affects: list[TaskRun] = []
        """The tasks to judge again when an instance of this one ends; and those of them in mapped groups."""
        self.affects_in_groups: list[TaskRun] = []
        self.in_mapping = False
        """Mapped over something, in a mapped group, or what either is mapped over."""
        self.skipped_later: set[int] = set()
        """Map indexes a branch upstream skipped before they existed; -1 is all of them (`NotPreviouslySkippedDep`)."""
        self.to_judge: set[int] = set()
        """Of a task in mapped groups: map indexes to judge (again)."""
        self.shared: dict[str, int] = {}
        """Of an expanded task in mapped groups: how many instances the innermost group has that it shares with a
        relative; without the relatives that share none."""
        self.watched = False
        """The answer of the call waits for this task."""
        self.on_answer_path = True
        self.decides = node.decides

    def expand(self, width: int) -> None:
        """Turn the unexpanded instance into index 0 and add the others."""
        self.expanded = True
        self.instances[0].map_index = 0
        self.instances.extend(TaskInstance(self.task, index) for index in range(1, width))
        self.waiting += width - 1
        self.unfinished += width - 1
        for counts in self.feeds:
            counts.total += width - 1

    def touch(self, relative: "TaskRun", map_index: int) -> None:
        """Of a task in mapped groups: note the instances to judge again, as an instance of `relative` changed."""
        relation = self.node.relations.get(relative.task.task_id, groups.ALL)
        if self.expanded and relation.shared and map_index != UNMAPPED:
            shared = self.shared[relative.task.task_id]
            self.to_judge.update(groups.affected(relation.further, map_index, len(self.instances), shared))
        else:
            self.to_judge.update(ti.map_index for ti in self.instances)

    def __repr__(self) -> str:
        return f"<TaskRun {self.task.task_id} {len(self.instances)} instances, {self.unfinished} unfinished>"
