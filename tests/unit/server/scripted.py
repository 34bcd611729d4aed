"""A coordinator without processes: real machine and journal, and workers that do what a test wrote down."""

import asyncio
import dataclasses
import itertools
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from dagcall.coordinator.api import Attending, CallRequest, ImportErrorInfo, Shared, Timing
from dagcall.coordinator.assets import Assets
from dagcall.coordinator.cipher import Cipher
from dagcall.coordinator.inputs import Inputs
from dagcall.coordinator.kept import keep
from dagcall.coordinator.limits import Limits
from dagcall.coordinator.metrics import Metrics
from dagcall.coordinator.pools import Pools
from dagcall.coordinator.readers import Readers
from dagcall.coordinator.stored_values import StoredValues
from dagcall.core.machine import RunMachine
from dagcall.error_details import UnsupportedFeature
from dagcall.errors import DagBroken, DagcallError, DagNotFound, DagUnsupported, Loading, Problem, RunNotFound
from dagcall.journal.base import HeadQuery
from dagcall.journal.memory import MemoryJournal
from dagcall.model.commands import Command, Outcome, Record, StartAttempt
from dagcall.model.events import (
    AttemptEnded,
    AttemptStarted,
    CancelRequested,
    EndKind,
    ErrorInfo,
    Event,
    RejectInfo,
    RunAccepted,
    RunTimedOut,
    XComItem,
)
from dagcall.model.ids import RunKey, TaskKey
from dagcall.model.plan import RETURN_VALUE, DagPlan
from dagcall.model.records import Batch, JournalRecord, RunHead
from dagcall.model.states import OutcomeKind
from dagcall.options import Options

EPOCH = 1
START = 1_767_225_600.0
"""2026-01-01T00:00:00Z: when the first thing happens; each further one a second later."""

Work = Callable[[dict[str, Any], int], Any]
"""(params, map index) -> the task's value; raises `Skip`, `Hold`, `Refuse` or anything else to fail."""


class Hold(Exception):
    """The task does not end until it is released."""


class Skip(Exception):
    pass


def hold(params: object, index: int) -> None:
    """Work of a task, for `ScriptedCoordinator.work`."""
    raise Hold


def fail(params: object, index: int) -> None:
    raise ValueError("no")


class Refuse(Exception):
    """`dagcall.Reject`: (status, detail)."""


class ScriptedRun:
    """Implements `api.RunView`."""

    def __init__(self, plan: DagPlan, key: RunKey, coordinator: "ScriptedCoordinator") -> None:
        self.plan = plan
        self.key = key
        self.machine = RunMachine(plan, key)
        self.records: list[JournalRecord] = []
        self.timing = Timing(0.001, 0.002)
        self.gives_up: Problem | None = None
        self._coordinator = coordinator
        self._readers = Readers()

    @property
    def outcome(self) -> Outcome | None:
        return self.machine.outcome

    def durable_at(self, record: int) -> float | None:
        return None

    @property
    def was_given_up(self) -> bool:
        return self.gives_up is not None

    @property
    def head(self) -> RunHead:
        accepted = self.machine.accepted
        assert accepted is not None
        return RunHead(
            key=self.key,
            state=self.machine.state,
            plan_version=self.plan.version,
            queued_at=self.records[0].time if self.records else START,
            run_after=accepted.run_after or START,
            logical_date=accepted.logical_date,
            start_date=self.machine.start_date,
            end_date=self.machine.end_date,
            triggered_by=accepted.triggered_by,
            caller=accepted.caller,
            conf=accepted.conf,
            note=accepted.note,
            outcome=(self.outcome.kind if self.outcome else OutcomeKind.RUNNING).value,
            last_record=len(self.records),
        )

    async def wait_outcome(self, timeout: float | None) -> Outcome | None:
        loop = asyncio.get_running_loop()
        until = None if timeout is None else loop.time() + timeout
        while self.outcome is None:
            if self.gives_up is not None:
                raise self.gives_up
            left = None if until is None else until - loop.time()
            if left is not None and left <= 0:
                return None
            await asyncio.wait({self.changed()}, timeout=left)
        return self.outcome

    def changed(self) -> "asyncio.Future[None]":
        return self._readers.wait()

    def notify(self) -> None:
        self._readers.wake()

    async def feed(self, event: Event) -> None:
        """One event, and all that its workers then do."""
        pending = [event]
        while pending:
            now = self._coordinator.tick()
            commands = self.machine.step(pending.pop(0), now)
            records = [command for command in commands if isinstance(command, Record)]
            for record in records:
                entry = JournalRecord(len(self.records) + 1, now, record.kind, record.data, record.event)
                self.records.append(entry)
            if records:
                batch = Batch(self.head, tuple(self.records[-len(records) :]))
                await self._coordinator.journal.append(batch)
            pending += [done for command in commands for done in self._work(command)]
            self.notify()

    def _work(self, command: Command) -> list[Event]:
        if not isinstance(command, StartAttempt):
            return []
        started = AttemptStarted(command.attempt, EPOCH, "here", 4711)
        ended = self._end(command.attempt, TaskKey(command.task_id, command.map_index))
        return [started] if ended is None else [started, ended]

    def _end(self, attempt: int, task: TaskKey) -> AttemptEnded | None:
        assert self.machine.accepted is not None
        work = self._coordinator.work.get(task.task_id, lambda params, index: task.task_id)
        params = json.loads(self.machine.accepted.conf)
        try:
            value = work(params, task.map_index)
        except Hold:
            return None
        except Skip:
            return AttemptEnded(attempt, EPOCH, EndKind.SKIPPED)
        except Refuse as refusal:
            reject = RejectInfo(*refusal.args)
            error = ErrorInfo("Reject", reject.detail)
            return AttemptEnded(attempt, EPOCH, EndKind.FAILED, error=error, reject=reject)
        except Exception as error:
            return AttemptEnded(attempt, EPOCH, EndKind.RETRY, error=ErrorInfo(type(error).__name__, str(error)))
        return ended(attempt, value)

    async def release(self, task_id: str, value: Any = None, map_index: int = -1) -> None:
        """End a held task."""
        instance = self.machine.instance(TaskKey(task_id, map_index))
        assert instance is not None
        assert instance.attempt is not None
        await self.feed(ended(instance.attempt, value))

    async def time_out(self, event: RunTimedOut) -> None:
        await self.feed(event)


def ended(attempt: int, value: Any) -> AttemptEnded:
    length = len(value) if isinstance(value, list | dict) else None
    item = XComItem(RETURN_VALUE, msgspec.msgpack.encode(value), length)
    plain = msgspec.json.encode(value)
    fields = b'{"bash_command":"echo"}'
    xcoms = () if value is None else (item,)
    return AttemptEnded(attempt, EPOCH, EndKind.SUCCESS, xcoms=xcoms, plain=plain, rendered_fields=fields)


class StoppedClock:
    """The time before the first thing happens."""

    def now(self) -> float:
        return START - 1

    def new_run_id(self, run_after: float, run_type: str = "manual") -> str:
        raise NotImplementedError


class ScriptedCatalog:
    def __init__(self) -> None:
        self.is_loaded = True
        self.by_id: dict[str, DagPlan] = {}
        self.broken: dict[str, str] = {}
        self.paused: set[str] = set()
        self.errors: list[ImportErrorInfo] = []

    def plans(self) -> list[DagPlan]:
        return [self.by_id[dag_id] for dag_id in sorted(self.by_id)]

    def find(self, dag_id: str) -> DagPlan:
        if dag_id in self.by_id:
            return self.by_id[dag_id]
        if not self.is_loaded:
            raise Loading(retry_after=1.0)
        if dag_id in self.broken:
            raise DagBroken(self.broken[dag_id], dag_id=dag_id)
        raise DagNotFound(dag_id=dag_id)

    def is_paused(self, dag_id: str) -> bool:
        return dag_id in self.paused

    def import_errors(self) -> list[ImportErrorInfo]:
        return self.errors


class ScriptedCoordinator:
    """Implements `api.CoordinatorView`. `work`: what the tasks do, by task id; by default they return their id."""

    def __init__(self, log_folder: str = "/nowhere") -> None:
        self.catalog = ScriptedCatalog()
        self.settings: dict[str, Any] = {
            "airflow_version": "3.3.2",
            "maximum_page_limit": 100,
            "fallback_page_limit": 50,
            "sensitive_names": ["password", "secret"],
        }
        self.options = Options(max_wait=5.0, heartbeat=0.05)
        self.is_stopping = False
        self.journal_trouble: str | None = None
        self.reasons: list[str] = []
        self.journal = MemoryJournal()
        self.kept = keep(self.journal.store, Cipher(), self.tick, lambda name: None)
        self.pools = Pools(self.journal.store, Limits(), list, self.tick)
        self.assets = Assets(self.journal, StoppedClock(), lambda: None)
        self.inputs = Inputs(self.journal.store, self.tick)
        self.stored = StoredValues(None)  # type: ignore[arg-type] # nothing is stored elsewhere
        self.work: dict[str, Work] = {}
        self.refusal: DagcallError | None = None
        self.shared: Shared = None
        self.requests: list[CallRequest] = []
        self.runs: dict[RunKey, ScriptedRun] = {}
        self.cancels: list[tuple[RunKey, str, str]] = []
        self.attending: list[Attending] = []
        self._log_folder = log_folder
        self._numbers = itertools.count(1)
        self._seconds = itertools.count()
        self._called = asyncio.Condition()

    def tick(self) -> float:
        return START + next(self._seconds)

    def serve(self, plan: DagPlan) -> None:
        self.catalog.by_id[plan.dag_id] = plan
        self.assets.declare(self.catalog.plans())

    def obstacles(self) -> list[str]:
        return self.reasons

    async def call(self, request: CallRequest) -> ScriptedRun:
        return (await self.admit(request))[0]

    async def admit(self, request: CallRequest) -> tuple[ScriptedRun, Shared]:
        self.requests.append(request)
        if self.refusal is not None:
            raise self.refusal
        plan = self.catalog.find(request.dag_id)
        if plan.refusals:
            features = tuple(UnsupportedFeature(one.task_id, one.feature, one.reason) for one in plan.refusals)
            raise DagUnsupported(dag_id=plan.dag_id, features=features)
        key = RunKey(request.dag_id, request.run_id or f"manual__{next(self._numbers)}")
        run = self.runs[key] = ScriptedRun(plan, key, self)
        shared = {one.name: getattr(request, one.name) for one in dataclasses.fields(request)}
        known = {one.name for one in dataclasses.fields(RunAccepted)} - {"conf", "run_id", "durability"}
        accepted = {name: value for name, value in shared.items() if name in known}
        conf = msgspec.json.encode(request.conf)
        await run.feed(RunAccepted(**accepted, run_id=key.run_id, plan_version=plan.version, conf=conf))
        async with self._called:
            self._called.notify_all()
        return run, self.shared

    async def called(self, dag_id: str, run_id: str) -> ScriptedRun:
        """The run, once somebody has called for it."""
        async with self._called:
            await self._called.wait_for(lambda: RunKey(dag_id, run_id) in self.runs)
        return self.runs[RunKey(dag_id, run_id)]

    async def run(self, key: RunKey) -> ScriptedRun:
        if key not in self.runs:
            raise RunNotFound(dag_id=key.dag_id, run_id=key.run_id)
        return self.runs[key]

    async def list_runs(self, query: HeadQuery) -> tuple[list[RunHead], int]:
        return await self.journal.list_heads(query)

    @property
    def elsewhere(self) -> "ScriptedCoordinator":
        """There is no other server."""
        return self

    def attend(self, attending: Attending) -> None:
        self.attending.append(attending)

    async def let_go(self, key: RunKey, reason: str) -> None:
        await self.cancel(key, "caller", reason)

    async def keep(self, key: RunKey) -> None: ...

    async def cancel(self, key: RunKey, by: str, reason: str) -> ScriptedRun:
        self.cancels.append((key, by, reason))
        run = await self.run(key)
        await run.feed(CancelRequested(by, reason))
        return run

    async def delete(self, key: RunKey) -> bool:
        if not (await self.run(key)).head.state.is_final:
            return False
        del self.runs[key]
        return await self.journal.delete(key)

    def log_path(self, key: RunKey, task_id: str, map_index: int, try_number: int) -> str:
        mapped = f"map_index={map_index}/" if map_index >= 0 else ""
        return f"{self._log_folder}/dag_id={key.dag_id}/run_id={key.run_id}/task_id={task_id}/{mapped}attempt={try_number}.log"

    @property
    def metrics(self) -> Metrics:
        return Metrics(self, self.journal, Counter())

    def statistics(self) -> dict[str, int]:
        return {}
