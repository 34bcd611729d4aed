"""Runs that other servers drive, as readers here see them: replayed from the journal, and kept up while somebody waits.

Guarantees. Whoever asks for a run gets what was durable when it asked, whichever server it asked before: the journal is
read each time, from the last record on that is known here. Whoever waits is told of more as soon as the owner says
that there is more; what is shown is always read from the journal, in the order and with the ids that every other reader
sees. Nobody is told an end that the journal does not hold: while a run has no owner that answers, its readers wait.

Authoritative: the journal, for a run's records and for who owns it. What owners say only causes a look.

States of a followed run: quiet (nobody waits, nothing is said about it) -> watched -> quiet, or over. While it is
watched the owner is asked again every `RENEW` seconds, so that a watch which it has lost is set up again, and an owner
that does not answer within `ANSWER_LIMIT` is looked up anew, as is one that says it does not drive the run, each time
after a longer pause: a server that dies, a run that another takes over. Over is a run that has ended, that was deleted,
or that cannot be read.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Final
from weakref import WeakValueDictionary

from dagcall.coordinator.post.notes import Altered, Hello, Moved, News, Unwatch, Watch, keys
from dagcall.coordinator.post.office import Post
from dagcall.coordinator.recent import Recent
from dagcall.coordinator.recorder import Recorder
from dagcall.coordinator.recovery import advanced, rebuild
from dagcall.coordinator.run import Run
from dagcall.core.machine import RunMachine
from dagcall.errors import (
    DagcallError,
    InternalError,
    JournalAway,
    JournalCorrupt,
    JournalError,
    RunNotFound,
    ShuttingDown,
)
from dagcall.journal.base import Journal
from dagcall.journal.wire import EVERYBODY, Wire
from dagcall.model.commands import Outcome
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan
from dagcall.model.records import RunHead

log = logging.getLogger("dagcall.post")

RENEW: Final = 10.0
ANSWER_LIMIT: Final = 2.0
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 2.0
"""Seconds, all of them."""


KEPT_PLANS: Final = 100
IN_MEMORY: Final = (
    "No server has such a run in the journal that they share, or it is no longer kept. A run with durability=none is "
    "known to no other server than the one that took it."
)


class FollowedRun(Run):
    """A run without a driver here. Whoever waits for more of it has it watched."""

    def __init__(self, key: RunKey, plan: DagPlan, machine: RunMachine, head: RunHead) -> None:
        super().__init__(key, plan, machine, head)
        self.attend: Callable[[FollowedRun], None] = lambda run: None
        """Told when somebody begins to wait."""
        self.owner = 0
        self.reading = asyncio.Lock()
        self.told = 0
        """The last record, as its owner says."""
        self.is_answered = False
        self.is_lost = False
        """Its owner does not drive it, or may have forgotten that it is watched."""
        self._signal = asyncio.Event()
        self._waiting = 0

    @property
    def is_over(self) -> bool:
        return self.head.state.is_final or self.was_given_up

    @property
    def is_waited_for(self) -> bool:
        return self._waiting > 0 or self.is_read

    async def wait_outcome(self, timeout: float | None) -> Outcome | None:
        if self.outcome is None and (timeout is None or timeout > 0):
            self.attend(self)
        self._waiting += 1
        try:
            return await super().wait_outcome(timeout)
        finally:
            self._waiting -= 1

    def changed(self) -> asyncio.Future[None]:
        self.attend(self)
        return super().changed()

    def signal(self) -> None:
        self._signal.set()

    async def signalled(self, timeout: float) -> bool:
        """Wait for at most this long until something was said about the run."""
        try:
            async with asyncio.timeout(timeout):
                await self._signal.wait()
        except TimeoutError:
            return False
        self._signal.clear()
        return True


class Followers:
    """`recent`: ended runs. Those whose end has been read go there, those that are altered elsewhere leave it."""

    def __init__(self, journal: Journal, post: Post, recent: Recent) -> None:
        self._journal = journal
        self._post = post
        self._recent = recent
        self._plans: OrderedDict[tuple[str, str], DagPlan] = OrderedDict()
        """As the journal has them: to decode a large one takes longer than to replay a run."""
        self._known: WeakValueDictionary[RunKey, FollowedRun] = WeakValueDictionary()
        self._watched: dict[RunKey, asyncio.Task[None]] = {}
        post.read(News, self._hear_news)
        post.read(Hello, lambda note: self._lose(note.sender))
        post.read(Moved, lambda note: self._lose(None))
        post.read(Altered, self._hear_altered)
        post.on_connected(self._reconnected)

    @property
    def count(self) -> int:
        """How many runs are watched."""
        return len(self._watched)

    async def find(self, key: RunKey) -> Run:
        """A run that is not driven here, as it is in the journal now. Raises RunNotFound, JournalError."""
        wire = self._journal.wire
        if wire is None:
            found = await rebuild(self._journal, key)
        else:
            found = self._known.get(key)
            if found is None:
                found = await rebuild(self._journal, key, FollowedRun, self._plan_of)
                if isinstance(found, FollowedRun) and not found.head.state.is_final:
                    found = self._known.setdefault(key, found)
            if isinstance(found, FollowedRun) and not found.is_over:
                return await self._current(found, wire)
        if found is None:
            raise RunNotFound(IN_MEMORY if wire else "", dag_id=key.dag_id, run_id=key.run_id)
        return found

    async def _current(self, run: FollowedRun, wire: Wire) -> Run:
        run.attend = self._attend
        _, owner = await asyncio.gather(self._catch_up(run), wire.owner(run.key))
        if owner is None:
            self._forget(run.key)
            raise RunNotFound(dag_id=run.key.dag_id, run_id=run.key.run_id)
        run.owner = owner
        return run

    async def _plan_of(self, dag_id: str, version: str) -> DagPlan | None:
        plan = self._plans.get((dag_id, version)) or await self._journal.get_plan(dag_id, version)
        if plan is not None:
            self._plans[dag_id, version] = plan
            self._plans.move_to_end((dag_id, version))
            if len(self._plans) > KEPT_PLANS:
                self._plans.popitem(last=False)
        return plan

    def altered(self, key: RunKey) -> None:
        """Tell the others that a run which had ended was deleted or added to."""
        if self._post.is_shared:
            self._post.send(EVERYBODY, Altered(self._post.epoch, (key,)))

    async def stop(self) -> None:
        """Whoever waits is told that the server stops."""
        for watching in self._watched.values():
            watching.cancel()
        await asyncio.gather(*self._watched.values(), return_exceptions=True)
        for key, run in list(self._known.items()):
            if not run.is_over:
                run.give_up(ShuttingDown(dag_id=key.dag_id, run_id=key.run_id))

    def _attend(self, run: FollowedRun) -> None:
        if run.key not in self._watched and not run.is_over:
            watching = asyncio.get_running_loop().create_task(self._watch(run), name=f"dagcall-watch {run.key}")
            self._watched[run.key] = watching

    async def _watch(self, run: FollowedRun) -> None:
        """Keep up with a run until it is over, or nobody has waited for a while."""
        pause = FIRST_PAUSE
        try:
            while not run.is_over:
                try:
                    is_driven = await self._ask_owner(run)
                    await self._catch_up(run)
                    if is_driven:
                        pause = FIRST_PAUSE
                        await self._keep_up(run)
                    elif not run.is_over:
                        await run.signalled(pause)
                        pause = min(LONGEST_PAUSE, 2 * pause)
                except JournalAway as error:
                    log.warning("run %s cannot be followed now: %s", run.key, error)
                    await run.signalled(pause)
                    pause = min(LONGEST_PAUSE, 2 * pause)
                if not run.is_waited_for:
                    break
        except DagcallError as error:
            self._give_up(run, error)
        except Exception as error:
            log.exception("run %s cannot be followed", run.key)
            self._give_up(run, InternalError(f"run {run.key} cannot be followed: {error}"))
        finally:
            del self._watched[run.key]
            if run.owner and (not run.is_over or run.is_lost):  # else its owner has seen its end
                self._post.send(run.owner, Unwatch(self._post.epoch, (run.key,)))

    async def _ask_owner(self, run: FollowedRun) -> bool:
        """Have the run watched by whoever owns it; whether that server drives it. Raises RunNotFound, JournalError."""
        wire = self._journal.wire
        assert wire is not None
        owner = await wire.owner(run.key)
        if owner is None:
            raise RunNotFound(dag_id=run.key.dag_id, run_id=run.key.run_id)
        run.owner, run.is_answered, run.is_lost = owner, False, False
        self._post.send(owner, Watch(self._post.epoch, (run.key,)))
        loop = asyncio.get_running_loop()
        until = loop.time() + ANSWER_LIMIT
        while not run.is_answered and not run.is_lost:
            if not await run.signalled(until - loop.time()):
                break
        return run.is_answered and not run.is_lost

    async def _keep_up(self, run: FollowedRun) -> None:
        """While the owner says what there is."""
        loop = asyncio.get_running_loop()
        until = loop.time() + RENEW
        while not run.is_over and not run.is_lost:
            if run.told > run.head.last_record:
                await self._catch_up(run)
            elif not await run.signalled(until - loop.time()):
                return

    async def _catch_up(self, run: FollowedRun) -> None:
        """Read what there is above what is known. Raises JournalError."""
        async with run.reading:
            if run.is_over:
                return
            records = await self._journal.records(run.key, run.head.last_record)
            if not records:
                return
            machine = run.machine
            try:
                for record in records:
                    if record.event is not None:
                        machine.step(record.event, record.time)
            except InternalError as error:
                raise JournalCorrupt(f"run {run.key} is damaged: its records cannot be replayed: {error}") from error
            head = advanced(run.head, machine, records[-1].id)
            run.recorder = Recorder(machine, head)
            run.first_start = head.start_date
            # The outcome is there before anybody is woken: events are told with it.
            is_answer, run.outcome = run.outcome is None and machine.outcome is not None, machine.outcome
            run.publish(tuple(records), head)
            if is_answer and machine.outcome is not None:
                times = [record.time for record in records if record.kind in ("result", "failure")]
                run.answer(machine.outcome, times[0] if times else records[-1].time)
        if head.state.is_final:
            self._forget(run.key)
            self._recent.keep(run)

    def _give_up(self, run: FollowedRun, error: DagcallError) -> None:
        if isinstance(error, JournalError):
            log.error("run %s cannot be followed: %s", run.key, error)
        self._forget(run.key)
        run.give_up(error)

    def _forget(self, key: RunKey) -> None:
        self._known.pop(key, None)

    def _hear_news(self, note: News) -> None:
        for dag_id, run_id, last in note.runs:
            run = self._known.get(RunKey(dag_id, run_id))
            if run is None or note.sender != run.owner:
                continue
            run.is_answered = True
            if last == 0:
                run.is_lost = True
            else:
                run.told = max(run.told, last)
            run.signal()

    def _lose(self, owner: int | None) -> None:
        """This server, or any, may have forgotten what it was asked for."""
        for key in self._watched:
            run = self._known.get(key)
            if run is not None and owner in (None, run.owner):
                run.is_lost = True
                run.signal()

    def _hear_altered(self, note: Altered) -> None:
        for key in keys(note.runs):
            self._forget(key)
            self._recent.forget(key)

    def _reconnected(self) -> None:
        self._lose(None)
        self._recent.forget(None)
