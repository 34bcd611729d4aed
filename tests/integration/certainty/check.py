"""Whether a run tells its outcome neither before it is certain nor after, in every state that a case can reach."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from continuations import BAD, FAILED, SUCCESS, Answer, Case, Explorer, all_below, direct_below, is_cut_short

from dagcall.core.machine import RunMachine
from dagcall.model.commands import Failure
from dagcall.model.events import Event
from dagcall.model.ids import UNMAPPED
from dagcall.model.states import OutcomeKind, TaskState


@dataclass
class Findings:
    """Of one case. The numbers are of states; those that were told something have not ended."""

    states: int = 0
    told_failed: int = 0
    told_success: int = 0
    early: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    excused: Counter[str] = field(default_factory=Counter)
    """Told late for a reason that is known."""

    def violations(self) -> list[str]:
        return [*self.early, *self.late, *self.wrong]


def check(case: Case, most: int) -> Findings:
    """Raises `TooLarge` when there are more than `most` states."""
    found = Findings()

    def visit(machine: RunMachine, answers: frozenset[Answer], events: Sequence[Event]) -> None:
        certain = certain_now(machine, answers, case.designated)
        told = machine.outcome.kind if machine.outcome is not None else None
        if told is None and certain is not None:
            if is_cut_short(machine):
                return
            if (reason := known_reason(machine, case)) is not None:
                found.excused[reason] += 1
                return
            found.late.append(f"{certain.value} is not told: {_where(machine, answers, events)}")
        elif told is not None and certain is not told:
            found.early.append(f"{told.value} is told: {_where(machine, answers, events)}")
        elif machine.outcome is not None:
            if not machine.state.is_final:
                found.told_failed += told is OutcomeKind.FAILED
                found.told_success += told is OutcomeKind.SUCCESS
            if wrong := wrong_with(machine, case):
                found.wrong.append(f"{wrong}: {_where(machine, answers, events)}")

    explorer = Explorer(case, most, visit)
    explorer.explore(case.accepted())
    found.states = explorer.states
    return found


def _where(machine: RunMachine, answers: frozenset[Answer], events: Sequence[Event]) -> str:
    instances = ", ".join(f"{ti.key} {ti.state.value}" for ti in machine.instances())
    return f"{instances}\n  can end in {sorted(answers)}\n  after\n    " + "\n    ".join(map(str, events))


def known_reason(machine: RunMachine, case: Case) -> str | None:
    """Why something may be told late (`dagcall.core.outcome`)."""
    tasks = machine._board.tasks
    open_branches = [task_id for task_id in case.branches if tasks[task_id].unfinished]
    for task_id, task in tasks.items():
        if task.waiting and any(relation.shared for relation in task.node.relations.values()):
            return "instances in a mapped group wait for each other"
        if task_id in open_branches and len(direct_below(case.plan, task_id)) > 1:
            return "a branch decides on several tasks at once"
        if task.task.is_teardown and any(task_id in all_below(case.plan, branch) for branch in open_branches):
            return "a short-circuit skips no teardown"
        for ti in task.instances:
            waits = ti.state in (TaskState.UP_FOR_RETRY, TaskState.UP_FOR_RESCHEDULE)
            if waits and task.skipped_later & {UNMAPPED, ti.map_index}:
                return "a branch has skipped what waits to go on"
    return None


def certain_now(machine: RunMachine, answers: frozenset[Answer], designated: tuple[str, ...]) -> OutcomeKind | None:
    """The outcome that is certain in this state, which can lead to `answers` only.

    A success is certain when what it consists of has ended, not before: until then a cancel, a deadline or a
    `dagrun_timeout` may take it away.
    """
    if len(answers) != 1:
        return None
    (answer,) = answers
    if answer == FAILED:
        return OutcomeKind.FAILED
    tasks = machine._board.tasks
    if answer == SUCCESS:
        watched = {*designated, *machine._graph.leaves}
        return None if any(tasks[task_id].unfinished for task_id in watched) else OutcomeKind.SUCCESS
    ended = Counter(
        (ti.task.task_id, "success")
        for ti in machine.instances()
        if ti.task.task_id in designated and ti.state is TaskState.SUCCESS
    )
    known = all(ended[instance] == count for instance, count in answer[1:] if instance[1] == "success")
    return OutcomeKind.SUCCESS if known else None


def wrong_with(machine: RunMachine, case: Case) -> str | None:
    """What the outcome says that is not so."""
    outcome = machine.outcome
    assert outcome is not None
    tasks = machine._board.tasks
    all_skipped = all(ti.state is TaskState.SKIPPED for name in case.designated for ti in tasks[name].instances)
    if outcome.designated != case.designated and not (all_skipped and not outcome.designated):
        return f"answered with {outcome.designated}"
    if outcome.failure is None:
        values = {task_id for task_id in case.designated if tasks[task_id].ended.success}
        return None if set(outcome.results) == values else f"values {outcome.results}"
    return wrong_chain(outcome.failure, machine, case)


def wrong_chain(failure: Failure, machine: RunMachine, case: Case) -> str | None:
    """The chain begins at the failed task, each link is upstream of the next, and the last one is what was asked for."""
    tasks = machine._board.tasks
    if failure.failed_task is None:
        return None if failure.error.type == "Deadlock" else f"no task failed: {failure.error}"
    chain = [link.task_id for link in failure.cause]
    if not chain or chain[0] != failure.failed_task:
        return f"{failure.failed_task} does not begin {chain}"
    failed = any(ti.state in BAD for ti in tasks[chain[0]].instances)
    if not failed and failure.error.type != "NotFullyPopulated":
        return f"{chain[0]} did not fail"
    if not failure.error.message:
        return "no message"
    for link, following in pairwise(chain):
        node = tasks[following].node
        if link not in (*node.task.upstream, *node.setups, *node.sources):
            return f"{link} is not upstream of {following}"
    if chain[-1] not in (*case.designated, *machine._graph.leaves):
        return f"nobody asked for {chain[-1]}"
    return None
