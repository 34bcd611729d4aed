"""Runs of one DAG in a real journal, made by real machines."""

from dagcall.coordinator.run import Run
from dagcall.coordinator.run_questions import RunQuestions
from dagcall.core.machine import RunMachine
from dagcall.errors import DagNotFound, RunNotFound
from dagcall.journal.memory import MemoryJournal
from dagcall.model.commands import Record
from dagcall.model.events import AttemptEnded, AttemptStarted, EndKind, Event, RunAccepted
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan, TaskPlan
from dagcall.model.records import Batch, JournalRecord, RunHead
from dagcall.model.states import RunState

PLAN = DagPlan(
    "d",
    "v",
    "/d.py",
    "d.py",
    (
        TaskPlan("first", "Python", downstream=("g.inner.second",), task_groups=("g",)),
        TaskPlan("g.inner.second", "Bash", upstream=("first",), task_groups=("g.inner", "g")),
    ),
    owners=("ann", "bea"),
    tags=("z", "a"),
)


class Catalog:
    is_loaded = True

    def find(self, dag_id: str) -> DagPlan:
        if dag_id != "d":
            raise DagNotFound(dag_id=dag_id)
        return PLAN

    def is_paused(self, dag_id: str) -> bool:
        return False


class Here:
    """Runs of one DAG in a journal; `replayed` counts how often one was looked at."""

    def __init__(self) -> None:
        self.journal = MemoryJournal()
        self.runs: dict[RunKey, Run] = {}
        self.looked_at: list[str] = []
        self.ask = RunQuestions(self.journal, Catalog(), self.find)  # type: ignore[arg-type]

    async def find(self, key: RunKey) -> Run:
        self.looked_at.append(key.run_id)
        if key not in self.runs:
            raise RunNotFound(dag_id=key.dag_id, run_id=key.run_id)
        return self.runs[key]

    async def add(self, run_id: str, date: float | None = None, *ends: EndKind) -> Run:
        """A run in which the tasks, one after the other, end so. Times are 0.0, 1.0, ..."""
        key = RunKey("d", run_id)
        run = Run(key, PLAN, RunMachine(PLAN, key), _head(key, date))
        self.runs[key] = run
        await self._step(run, RunAccepted("d", run_id, "v", b'{"n": 1}', logical_date=date))
        for kind in ends:
            await self.end(run, kind)
        return run

    async def end(self, run: Run, kind: EndKind) -> None:
        """The task whose turn it is runs and ends."""
        (attempt, *_), *_ = run.machine.open_attempts()
        await self._step(run, AttemptStarted(attempt, 1))
        await self._step(run, AttemptEnded(attempt, 1, kind))

    async def _step(self, run: Run, event: Event) -> None:
        machine, last, now = run.machine, run.head.last_record, float(len(run.records) and run.records[-1].time + 1)
        records = [one for one in machine.step(event, now) if isinstance(one, Record)]
        entries = tuple(
            JournalRecord(last + place, now, one.kind, one.data, one.event) for place, one in enumerate(records, 1)
        )
        head = run.head.advanced(
            state=machine.state,
            start_date=machine.start_date,
            end_date=machine.end_date,
            outcome="running",
            last_record=last + len(entries),
        )
        await self.journal.append(Batch(head, entries))
        run.publish(entries, head)


def _head(key: RunKey, date: float | None) -> RunHead:
    return RunHead(
        key, RunState.QUEUED, "v", queued_at=0.0, run_after=0.5, logical_date=date, conf=b'{"n": 1}', last_record=0
    )


OK = EndKind.SUCCESS
BAD = EndKind.FAILED
