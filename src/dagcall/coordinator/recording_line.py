"""Recording: runs that have ended are handed to Airflow's metadata database, by a process of its own.

Guarantees. No call waits for it: what happens at the end of a run is that it is put in a line. A run is handed over after
its end is durable, never before, and recorded once, whoever hands it over again. What is not recorded yet is found again
in the journal: after a crash (`recorded_until`), and when the line was too short for a database that was away for hours.
So all is recorded that the journal still has, except what is shed: when more than `record_backlog` runs wait, the oldest
of them, which is counted and told to the log. Runs that are only in memory are handed over while this server has them.

Authoritative: the journal for what ended; Airflow for what it knows. A DAG or tasks that it does not know (yet) make their
runs wait: its dag-processor parses a changed file some time after this server. After `PATIENCE` the run of a known DAG is
recorded all the same, that of an unknown DAG is given up, visibly.

States of a run here: in line -> handed over -> recorded | waiting (for Airflow to know its DAG) | given up.
"""

import asyncio
import contextlib
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import msgspec

from dagcall.coordinator.recorded_until import ALIVE, RecordedUntil, Stretch
from dagcall.coordinator.recovery import rebuild
from dagcall.core.finished import finished_run, is_in_sample
from dagcall.core.machine import RunMachine
from dagcall.errors import DagcallError, JournalAway, JournalError, JournalFenced
from dagcall.journal.base import HeadQuery, Journal, TimeRange
from dagcall.model.finished_run import HandedEvent, Receipt
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan
from dagcall.model.records import RunHead
from dagcall.model.states import OutcomeKind, RunState
from dagcall.options import Options, RecordMode
from dagcall.workers.base import AirflowRefused, AirflowSide

log = logging.getLogger("dagcall.recording")

LINE = 2000
"""Runs in memory that wait to be handed over."""
ENOUGH = LINE // 2
"""Runs that wait for no others."""
BATCH = 200
"""Runs, and about how many bytes, that are handed over at once."""
BATCH_BYTES = 4 << 20
PAUSE = 1.0
"""Seconds in which more runs gather, and in which callbacks may still add to the first of them. Calls that come while a batch
is written share processors with it: fewer, larger batches meet fewer of them (`bench/recording.py`, ratios at 0.25 s: 1.09
to 1.20, at 1 s: 1.00 to 1.04)."""
LIMIT = 120.0
"""Seconds for a batch."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 10.0
"""Seconds between two tries while the database is away."""
AGAIN = 15.0
"""Seconds after which it is tried again whether Airflow knows a DAG."""
PATIENCE = 600.0
_ENDED = frozenset(state for state in RunState if state.is_final)
_FAILURES = (OutcomeKind.FAILED, OutcomeKind.DEADLINE, OutcomeKind.CANCELLED)
_AT_A_TIME = 4
"""Runs that are put into words between two looks at what calls need."""
_SAVE_EVERY = 5.0
_FORGET_EVERY = 60.0
_PAGE = 1000
_TELL_EVERY = 60.0

_pack = msgspec.msgpack.Encoder().encode


def has_outlets(plan: DagPlan) -> bool:
    return any(task.outlets for task in plan.tasks)


class EndedRun(Protocol):
    """As `run.Run`."""

    @property
    def key(self) -> RunKey: ...
    @property
    def plan(self) -> DagPlan: ...
    @property
    def head(self) -> RunHead: ...
    @property
    def machine(self) -> RunMachine: ...


class _InLine(NamedTuple):
    run: EndedRun
    any_version: bool = False


@dataclass
class _Waiting:
    """Runs of a DAG that Airflow does not know as they were run."""

    since: float
    """Of the first of them."""
    reason: Receipt
    runs: dict[RunKey, float] = field(default_factory=dict)
    """With their ends."""


EventsOf = Callable[[RunKey], Awaitable[tuple[HandedEvent, ...]]]


class Line:
    """One task, `serve`; `ended` is called for each run that ended on this server."""

    def __init__(
        self,
        journal: Journal,
        recorder: AirflowSide,
        events_of: EventsOf,
        now: Callable[[], float],
        options: Options,
        mode: RecordMode,
        epoch: int,
    ) -> None:
        """`epoch` names this life of the server."""
        self._journal = journal
        self._recorder = recorder
        self._events_of = events_of
        self._now = now
        self._mode = mode
        self._backlog = options.record_backlog
        self._keep = options.record_keep
        self._marks = RecordedUntil(journal.store, str(epoch))
        self._line: deque[_InLine] = deque()
        self._in_hand: tuple[_InLine, ...] = ()
        self._waiting: dict[str, _Waiting] = {}
        self._given_up: set[str] = set()
        self._behind_since: float | None = None
        """The end of the first run that found the line full."""
        self._catching_up_from: float | None = None
        """The same, of those that are being read from the journal."""
        self._last_end = now()
        self._wake = asyncio.Event()
        self._rest = asyncio.Event()
        """There is nothing to do now, or nothing can be done."""
        self._enough = asyncio.Event()
        self._is_draining = False
        self._again = 0.0
        self._told: dict[str, float] = {}
        self.counts: Counter[str] = Counter()
        """Since the start: recorded, known, shed, refused, unknown_dag, date_taken, forgotten."""
        self.trouble: str | None = None
        """Why nothing can be recorded now, in words."""

    # What others call

    def ended(self, run: EndedRun) -> None:
        """Its end is durable."""
        if run.head.end_date is not None:
            self._last_end = run.head.end_date
        if not self._is_wanted(run.head, run.plan):
            return
        if len(self._line) >= LINE:
            if self._behind_since is None:
                self._behind_since = run.head.end_date
            return
        self._line.append(_InLine(run))
        self._rest.clear()
        self._wake.set()
        if len(self._line) >= ENOUGH:
            self._enough.set()

    def statistics(self) -> dict[str, int]:
        """For health and metrics. `recording_waiting`: runs in memory that are not recorded yet; more may be in the journal
        while `recording_behind` is 1."""
        waiting = len(self._line) + len(self._in_hand) + sum(len(one.runs) for one in self._waiting.values())
        return {
            "recorded": self.counts["recorded"],
            "recording_waiting": waiting,
            "recording_behind": int(self._is_behind),
            "recording_up": int(self.trouble is None),
            "recording_lag_seconds": int(max(0.0, self._last_end - self._until())),
            "recording_shed": self.counts["shed"],
            "recording_given_up": sum(self.counts[one] for one in ("unknown_dag", "date_taken", "refused")),
        }

    async def drain(self) -> None:
        """Wait until all that ended is recorded, or waits for Airflow: for its database, or to know a DAG. From now on no run
        waits for others."""
        self._is_draining = True
        self._enough.set()
        await self._rest.wait()

    # The one task

    async def serve(self) -> None:
        """Go on until cancelled."""
        saving = asyncio.create_task(self._save_often(), name="dagcall-recorded-until")
        try:
            await self._patiently(self._look_back)
            while True:
                if not self._line and self._behind_since is None:
                    self._rest.set()
                    await self._sleep()
                await self._gather()
                await self._patiently(self._go_on)
        finally:
            saving.cancel()
            await asyncio.gather(saving, return_exceptions=True)

    async def close(self) -> None:
        """After `serve`: remember what is recorded."""
        try:
            if self._line or self._in_hand or self._waiting or self._is_behind:
                await self._marks.write(self._until(), self._now())
            else:
                await self._marks.forget()
        except DagcallError as error:
            log.warning("up to where runs are recorded could not be kept, some are looked at again: %s", error)

    async def _sleep(self) -> None:
        try:
            async with asyncio.timeout(AGAIN if self._waiting else ALIVE):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _gather(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PAUSE):
                await self._enough.wait()
        if not self._is_draining:
            self._enough.clear()

    async def _patiently(self, work: Callable[[], Awaitable[None]]) -> None:
        """Again and again, until it is done. What an attempt had in hand is in line again."""
        pause = FIRST_PAUSE
        while True:
            try:
                await work()
            except AirflowRefused as refusal:
                self._trouble(str(refusal))
                pause = LONGEST_PAUSE
            except DagcallError as error:
                self._trouble(str(error))
            except Exception as error:  # a bug: what is recorded may stop, but not without a word and not for ever
                log.exception("recording failed, and is tried again")
                self._trouble(f"{type(error).__name__}: {error}")
            else:
                if self.trouble is not None:
                    log.warning("runs are recorded again")
                self.trouble = None
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _go_on(self) -> None:
        while self._line:
            self._in_hand = tuple(self._line.popleft() for _ in range(min(BATCH, len(self._line))))
            await self._hand_over_what_is_in_hand()
        if self._behind_since is not None:
            self._catching_up_from, self._behind_since = self._behind_since, None
            try:
                await self._record_stretch(Stretch("", self._catching_up_from, self._now()))
            except BaseException:
                self._behind_since = self._catching_up_from
                raise
            finally:
                self._catching_up_from = None
        if self._now() >= self._again:
            self._again = self._now() + (AGAIN if self._waiting else ALIVE)
            await self._try_waiting()
            for stretch in await self._marks.found(self._now(), all_of_them=False):
                await self._record_stretch(stretch)
                await self._marks.done(stretch, self._now())
            await self._forget()

    async def _hand_over_what_is_in_hand(self) -> None:
        try:
            await self._hand_over(self._in_hand)
        except BaseException:
            self._line.extendleft(reversed(self._in_hand))
            raise
        finally:
            self._in_hand = ()

    async def _hand_over(self, runs: Sequence[_InLine]) -> None:
        """Raises DagcallError, AirflowRefused: nothing is lost then."""
        packed: list[bytes] = []
        batch: list[_InLine] = []
        size = 0
        for place, one in enumerate(runs, 1):
            document = await self._packed(one)
            if document is not None:
                packed.append(document)
                batch.append(one)
                size += len(document)
            if packed and (place == len(runs) or size > BATCH_BYTES):
                answer = await self._recorder.ask("recording.write", {"runs": packed}, _Answer, limit=LIMIT)
                for sent, (done, receipt) in enumerate(zip(batch, answer.receipts, strict=True)):
                    self._received(done.run.key, done.run.head, receipt, answer.reasons.get(sent, ""))
                packed, batch, size = [], [], 0
            elif place % _AT_A_TIME == 0:
                await asyncio.sleep(0)  # calls go first

    async def _packed(self, one: _InLine) -> bytes | None:
        """None, and counted as refused, for one that cannot be put into words: it must not keep the others."""
        run = one.run
        events: tuple[HandedEvent, ...] = ()
        if has_outlets(run.plan):
            events = await self._events_of(run.key)
        rows = self._is_to_be_seen(run.head)
        try:
            return _pack(finished_run(run.machine, run.head, events, rows=rows, any_version=one.any_version))
        except (ValueError, TypeError, LookupError) as error:
            self._received(run.key, run.head, "refused", f"{type(error).__name__}: {error}")
            return None

    def _received(self, key: RunKey, head: RunHead, receipt: Receipt, reason: str) -> None:
        if receipt in ("unknown_dag", "old_version") and key.dag_id not in self._given_up:
            waiting = self._waiting.setdefault(key.dag_id, _Waiting(self._now(), receipt))
            waiting.runs[key] = head.end_date or 0.0
            return
        self.counts[receipt] += 1
        if receipt == "recorded":
            self._given_up.discard(key.dag_id)
        elif receipt == "refused":
            self._tell("refused", "run %s cannot be recorded in Airflow: %s", key, reason)
        elif receipt == "date_taken":
            self._tell("date_taken", "run %s is not recorded: Airflow has another run of its logical date", key)

    async def _try_waiting(self) -> None:
        """Whether Airflow knows by now what it did not."""
        for dag_id, waiting in list(self._waiting.items()):
            patience_is_over = self._now() - waiting.since >= PATIENCE
            if patience_is_over and waiting.reason == "unknown_dag":
                self._given_up.add(dag_id)
                self._tell(
                    f"unknown {dag_id}",
                    "Airflow does not know DAG %r (its dag-processor has no such file): its runs are not recorded",
                    dag_id,
                )
            del self._waiting[dag_id]
            todo = deque(waiting.runs.items())
            try:
                while todo:
                    await self._try_again(todo, patience_is_over)
                    now_waits = self._waiting.get(dag_id)
                    if now_waits is not None:
                        now_waits.since = waiting.since
                        break  # as it was: the others need not be asked for
            finally:
                if todo:
                    self._waiting.setdefault(dag_id, _Waiting(waiting.since, waiting.reason)).runs.update(todo)

    async def _try_again(self, todo: "deque[tuple[RunKey, float]]", any_version: bool) -> None:
        """Hand over the first of them, and take them off."""
        keys = [key for key, _ in list(todo)[: BATCH // 4]]
        runs = [run for key in keys if (run := await self._read(key)) is not None]
        await self._hand_over([_InLine(run, any_version) for run in runs])
        for _ in keys:
            todo.popleft()

    # What the journal has

    async def _look_back(self) -> None:
        """What the servers before this one have not recorded."""
        for stretch in await self._marks.found(self._now(), all_of_them=True):
            await self._record_stretch(stretch)
            await self._marks.done(stretch, self._now())

    async def _record_stretch(self, stretch: Stretch) -> None:
        """All runs that ended in it, in the order of their ends, but the oldest where there are too many."""
        begin, is_first = stretch.begin, True
        while begin <= stretch.end:
            query = HeadQuery(
                states=_ENDED, end_date=TimeRange(gte=begin, lte=stretch.end), order_by=("end_date",), limit=_PAGE
            )
            heads, total = await self._journal.list_heads(query)
            if is_first and total > self._backlog:
                self.counts["shed"] += (shed := total - self._backlog)
                self._tell(
                    "shed", "%d run(s) are not recorded: more than record_backlog (%d) wait", shed, self._backlog
                )
                heads, _ = await self._journal.list_heads(replace(query, offset=shed))
            is_first = False
            for start in range(0, len(heads), BATCH):
                await self._record_heads(heads[start : start + BATCH])
            last = heads[-1].end_date if heads else None
            if last is None or total <= _PAGE or len(heads) < _PAGE:
                return
            begin = last if last > begin else last + 1e-6  # those that ended together are looked at twice

    async def _record_heads(self, heads: Sequence[RunHead]) -> None:
        runs = []
        for head in heads:
            run = await self._read(head.key)
            if run is not None and self._is_wanted(run.head, run.plan):
                runs.append(_InLine(run))
        await self._hand_over(runs)

    async def _read(self, key: RunKey) -> EndedRun | None:
        """From the journal; None when it is not there any more, or damaged: then it is counted as refused."""
        try:
            return await rebuild(self._journal, key)
        except JournalError as error:
            if self._journal.trouble is not None or isinstance(error, JournalAway | JournalFenced):
                raise
            self.counts["refused"] += 1
            self._tell("refused", "run %s cannot be recorded in Airflow: %s", key, error)
            return None

    # What is wanted

    def _is_wanted(self, head: RunHead, plan: DagPlan) -> bool:
        """Its rows, or its asset events: those are Airflow's to act upon, whatever is recorded."""
        return self._is_to_be_seen(head) or has_outlets(plan)

    def _is_to_be_seen(self, head: RunHead) -> bool:
        if self._mode.share >= 1.0:
            return True
        if self._mode.failures and (head.state is RunState.FAILED or head.outcome in _FAILURES):
            return True
        return is_in_sample(head.key, self._mode.share)

    # What is remembered, forgotten, told

    @property
    def _is_behind(self) -> bool:
        return self._behind_since is not None or self._catching_up_from is not None

    def _until(self) -> float:
        """Each run that ended on this server before is recorded."""
        ends = [one.run.head.end_date or 0.0 for one in (*self._in_hand[:1], *list(self._line)[:1])]
        ends += [min(one.runs.values()) for one in self._waiting.values() if one.runs]
        ends += [one for one in (self._behind_since, self._catching_up_from) if one is not None]
        return min([*ends, self._last_end])

    async def _save_often(self) -> None:
        while True:
            try:
                await self._marks.write(self._until(), self._now())
            except DagcallError as error:
                self._tell("mark", "up to where runs are recorded cannot be kept now: %s", error)
            await asyncio.sleep(_SAVE_EVERY)

    async def _forget(self) -> None:
        if self._keep is None or self._now() < self._told.get("forget", 0.0) + _FORGET_EVERY:
            return
        self._told["forget"] = self._now()
        while count := await self._recorder.ask(
            "recording.forget", {"before": self._now() - self._keep}, int, limit=LIMIT
        ):
            self.counts["forgotten"] += count

    def _trouble(self, reason: str) -> None:
        if self.trouble is None:
            log.warning("runs are not recorded in Airflow now, and wait in the journal: %s", reason)
        self.trouble = reason
        self._rest.set()

    def _tell(self, about: str, message: str, *values: Any) -> None:
        """Once a minute about each thing: the counters have the rest."""
        if self._now() >= self._told.get(about, -_TELL_EVERY) + _TELL_EVERY:
            self._told[about] = self._now()
            log.warning(message, *values)


class _Answer(msgspec.Struct):
    receipts: list[Receipt]
    reasons: dict[int, str]
