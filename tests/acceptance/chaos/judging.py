"""What chaos must not have done, beyond what `dagcall.testing.promises` judges: for DAGs of which it is known what they do.

- Each call has one run, and there is no other run.
- A task fails only when its code does, or a process was killed that it needed; and only with its last try.
- What is recorded as a success has run.
- A lost attempt is explained by a kill while it ran. The death of one worker explains one; the death of the database none.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from dagcall.testing.promises import BY_KILLS, Effect, Entry, StoredRun

from .callers import Call

LATE: Final = 1.0
"""Seconds: starts that were under way when a process was killed may be recorded until its death is noticed."""


@dataclass(frozen=True)
class Killed:
    when: float
    victim: str


@dataclass(frozen=True)
class Loss:
    """An attempt that was lost, from its start to when that was recorded."""

    run: StoredRun
    began: float
    end: Entry

    def __str__(self) -> str:
        task, number = self.end.data["task_id"], self.end.data["try_number"]
        return f"{self.run}: try {number} of task {task}: {self.end.data['error']}"


def violations(
    runs: Sequence[StoredRun], calls: Iterable[Call], effects: Iterable[Effect], kills: Sequence[Killed]
) -> Iterator[str]:
    yield from _of_calls(runs, calls)
    ran = {(one.run_id, one.task_id, one.map_index, one.try_number) for one in effects}
    for run in runs:
        yield from _of_failures(run)
        for entry in run.entries:
            if entry.event == "attempt_ended" and entry.data["state"] == "success":
                task = tuple(entry.data[name] for name in ("task_id", "map_index", "try_number"))
                if (run.run_id, *task) not in ran:
                    yield f"P2: {run}: a success of {task} is recorded, and it never ran"
    yield from _unexplained([loss for run in runs for loss in losses(run)], kills)


def losses(run: StoredRun) -> Iterator[Loss]:
    started: dict[int, float] = {}
    for entry in run.entries:
        if entry.event == "attempt_started":
            started[entry.fields["attempt"]] = entry.time
        elif entry.event == "attempt_ended" and (entry.data.get("error") or {}).get("type") in BY_KILLS:
            yield Loss(run, started.get(entry.fields["attempt"], run.entries[0].time), entry)


def _of_calls(runs: Sequence[StoredRun], calls: Iterable[Call]) -> Iterator[str]:
    keys = Counter(run.key for run in runs)
    for call in calls:
        if (count := keys.pop(call.key, 0)) != 1:
            yield f"P5: {call} has {count} runs"
    yield from (f"P5: {count} runs of the key {key}, which nobody used" for key, count in keys.items())


def _of_failures(run: StoredRun) -> Iterator[str]:
    for entry in run.entries:
        error = entry.data.get("error") or {}
        if error and error["type"] not in BY_KILLS and not _fails_by_itself(run, error["type"]):
            yield f"{run}: its {entry.kind} has an error that nothing explains: {error}"
        if entry.kind == "task" and entry.data["state"] == "failed":
            task_id, number = entry.data["task_id"], entry.data["try_number"]
            if number < (tries := run.retries[task_id] + 1):
                yield f"P3: {run}: task {task_id} failed with try {number} of {tries}: {error}"


def _fails_by_itself(run: StoredRun, type: str) -> bool:
    return (type == "ValueError" and run.dag_id.endswith("_failing")) or (
        type == "RuntimeError" and run.dag_id == "again_chain"
    )


def _unexplained(lost: Iterable[Loss], kills: Sequence[Killed]) -> Iterator[str]:
    used: set[Killed] = set()
    for loss in sorted(lost, key=lambda one: one.end.time):
        near = [one for one in kills if loss.began - LATE <= one.when <= loss.end.time and one not in used]
        widest = [one for one in near if one.victim not in ("worker", "database")]
        workers = [one for one in near if one.victim == "worker"]
        if not widest and workers:
            used.add(workers[0])
        elif not widest:
            yield f"P3: {loss}: no kill explains it"
