"""Many runs: admission, readers, cancel, start and stop of the whole.

Authoritative for which runs are active on this server; the journal is authoritative for everything that has
happened. An ended run is kept in memory for a while, since it is usually read right after its answer, then read
from the journal and replayed.
"""

import asyncio
import logging
import socket
from typing import Any

from dagcall.coordinator import stored_questions
from dagcall.coordinator.acceptance import check_journal, decided
from dagcall.coordinator.admission import Admission, Ticket
from dagcall.coordinator.airflow_data import AirflowData
from dagcall.coordinator.amending import Amending
from dagcall.coordinator.answering import Answers
from dagcall.coordinator.api import CallRequest, Shared
from dagcall.coordinator.asset_runs import AssetRuns
from dagcall.coordinator.assets import Assets
from dagcall.coordinator.awaits import Awaits
from dagcall.coordinator.background import in_background
from dagcall.coordinator.beginning import beginning_of, run_after_of
from dagcall.coordinator.bundles import FollowedBundles
from dagcall.coordinator.catalog import Catalog, Served
from dagcall.coordinator.cipher import Cipher
from dagcall.coordinator.clock import Clock, SystemClock
from dagcall.coordinator.codes import CodesInUse
from dagcall.coordinator.draining import drain
from dagcall.coordinator.driver import Driver, Surroundings
from dagcall.coordinator.exposure import Exposure
from dagcall.coordinator.fencing import farewell, fenced
from dagcall.coordinator.inputs import Inputs
from dagcall.coordinator.kept import NOT_YET, keep
from dagcall.coordinator.limits import Limits
from dagcall.coordinator.log_paths import log_path
from dagcall.coordinator.nested import NestedRuns
from dagcall.coordinator.notices import LIMIT, Notices, Users
from dagcall.coordinator.observation import Observation
from dagcall.coordinator.obstacles import obstacles
from dagcall.coordinator.pools import Pools
from dagcall.coordinator.post.changes import READ_WHILE_PARSING, everywhere, exchange
from dagcall.coordinator.post.elsewhere import Elsewhere
from dagcall.coordinator.recent import Recent
from dagcall.coordinator.recording import Recording
from dagcall.coordinator.recovery import rebuild
from dagcall.coordinator.retaking import Retaking
from dagcall.coordinator.retention import forget, forget_old_runs
from dagcall.coordinator.run import Run
from dagcall.coordinator.run_questions import RunQuestions
from dagcall.coordinator.run_turns import RunTurns
from dagcall.coordinator.run_waiter import RunWaiter
from dagcall.coordinator.screening import Screening
from dagcall.coordinator.second_looks import SecondLooks
from dagcall.coordinator.settings import CoordinatorSettings as CoordinatorSettings
from dagcall.coordinator.sharing import Sharing
from dagcall.coordinator.stored_values import StoredValues
from dagcall.coordinator.succession import Succession
from dagcall.coordinator.survival import Survival
from dagcall.coordinator.telemetry import Open, nothing
from dagcall.coordinator.triggers import Triggers
from dagcall.coordinator.xcom_questions import XComQuestions
from dagcall.core.machine import RunMachine
from dagcall.crashpoints import reached
from dagcall.errors import DagcallError, RunExists, RunNotFound, ShuttingDown
from dagcall.journal.base import HeadQuery, Journal
from dagcall.model import bundle
from dagcall.model.commands import Await, StartAttempt
from dagcall.model.events import CancelRequested, RunAccepted
from dagcall.model.ids import RunKey
from dagcall.model.records import RunHead
from dagcall.options import Options
from dagcall.workers.base import AirflowSide, Code, Workers

log = logging.getLogger("dagcall.coordinator")


class Coordinator:
    """Implements `api.CoordinatorView`."""

    def __init__(
        self,
        settings: CoordinatorSettings,
        journal: Journal,
        workers: Workers,
        clock: Clock | None = None,
        open_telemetry: Open = nothing,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._workers = workers
        self._clock: Clock = clock or SystemClock()
        self._codes = CodesInUse(workers.close)
        self._exposure = Exposure()
        self.catalog = Catalog(
            bundle.folder(settings.folder) if settings.folder else bundle.Bundles(),
            workers,
            self._clock.now,
            self._codes.release,
            lambda: self.assets.declare(self.catalog.plans()),
            self._exposure,
        )
        self.assets = Assets(journal, self._clock, lambda: self._asset_runs.wake())
        self.recording = Recording(journal, workers, self.assets, self._clock.now)
        elsewhere = self.recording.starts_elsewhere
        self._asset_runs = AssetRuns(self.assets, self.call, self._active_runs, self._clock.new_run_id, elsewhere)
        self.settings: dict[str, Any] = {}
        self.options = Options()
        self._survival = Survival()
        self._admission = Admission(self.options, self._clock.now)
        self._run_questions = RunQuestions(journal, self.catalog, self.run)
        self._run_waiter = RunWaiter(self._run_questions)
        self.inputs = Inputs(journal.store, self._clock.now)
        self.stored = StoredValues(workers, settings.ephemeral_results)
        self.awaits = Awaits(self._clock, (self._run_waiter, self.inputs))
        self.kept = NOT_YET
        self._drivers: dict[RunKey, Driver] = {}
        self._turns = RunTurns()
        self._limits = Limits(self._clock.now)
        self._screening = Screening(
            self._limits, journal, self.run, self._drivers, self._exposure, lambda call: self._admission.check(call)
        )
        self.pools = Pools(journal.store, self._limits, self._drivers.values, self._clock.now)
        self._stop_watching = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._look_again = SecondLooks(self.catalog, self._tasks, watches=settings.watch).look
        self._bundles = FollowedBundles(workers, self.catalog, self._stop_watching, settings)
        airflow, look_again = workers.airflow, self._look_again
        self._airflow = AirflowData(airflow, settings, self.catalog, self._exposure, self.pools, look_again)
        self._notices = Notices(
            journal,
            workers,
            self._clock,
            Users(self.run, self._code_for, self._codes.use, self._codes.unuse, self._recorded),
        )
        self._recent = Recent(settings.kept_runs)
        self.elsewhere = Elsewhere(journal, self._drivers, self._recent, self.inputs, self._run_waiter, self._clock.now)
        self._sharing = Sharing(journal, self.run, self._clock.now)
        self._observed = Observation(
            self, journal, workers, self._drivers, self._clock, self._sharing.counts, open_telemetry
        )
        self.metrics, self.inspection = self._observed.metrics, self._observed.inspection
        self._known_plans: set[tuple[str, str]] = set()
        self._around: Surroundings | None = None
        self._retaking = Retaking(journal, self._take_up, self.elsewhere.owns)
        self._succession = Succession(
            journal, self._drivers, self._take_up, lambda plan: self._survival.fails_on_restart(plan), self._retaking
        )
        self._succession.others += (self._notices.resume, self.assets.reload)
        self._stopping = False
        self._closed = False
        self._resumed = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def airflow(self) -> AirflowSide:
        return self._workers.airflow

    @property
    def is_stopping(self) -> bool:
        return self._stopping

    @property
    def journal_trouble(self) -> str | None:
        return None if self._journal.trouble is None else self._journal.trouble.reason

    def obstacles(self) -> list[str]:
        loaded, full = self.catalog.is_loaded, self._admission.is_full
        return obstacles(stopping=self._stopping, loaded=loaded, full=full, trouble=self.journal_trouble)

    async def fenced(self) -> str:
        return await fenced(self._journal)

    async def start(self) -> None:
        """Open the journal, start Airflow's processes. DAG files are parsed by `load`."""
        epoch = await self._journal.open()
        reached("server.opened")
        exchange(self.elsewhere.post, assets=self.assets, pools=self.pools)
        await self.elsewhere.start(epoch)
        await self.assets.load()
        self._airflow.warm_up()
        self.settings = dict(await self._workers.start(lambda ask: stored_questions.answer_parsing(self.kept, ask)))
        self.options = Options.read(self.settings.get("options", {}))
        self._admission = Admission(self.options, self._clock.now)
        self._observed.begin(self.settings, self.options)
        for name in self.settings.get("unknown_options", ()):
            log.warning("[dagcall] has no option %r: it is ignored", name)
        if lost := self.settings.get("lost_shortcuts"):
            log.warning("this Airflow has changed: without dagcall's shortcuts, and slower: %s", ", ".join(lost))
        self._survival = Survival(
            self._settings.durability or self.options.durability, self._settings.on_restart or self.options.on_restart
        )
        self.stored.begin(self.settings)
        self.recording.begin(self.options, self._settings.database.exists, epoch)
        # Taken out at once: what is left is shown to others.
        cipher = Cipher(str(self.settings.pop("fernet_key", "")))
        look_again = everywhere(self.elsewhere.post, READ_WHILE_PARSING, self._look_again)
        self.kept = keep(self._journal.store, cipher, self._clock.now, look_again, self.assets.id_of)
        await self.kept.task_states.drop_expired()
        await self.pools.load(self.settings)
        has_backend = bool(self.settings.get("has_secrets_backend"))
        self.kept = await self._airflow.begin(self.kept, self.options, self._clock.now, has_backend=has_backend)
        self._screening.allow_run_ids(self.settings.get("allowed_run_id_pattern"))
        nested = NestedRuns(self.catalog, self.call, self.run, self._clock)
        amending = Amending(self._drivers, self.run, self._journal, self._clock, self._recorded, self.elsewhere.amend)
        xcom_questions = XComQuestions(amending, self.run, self._journal)
        answers = Answers(self.kept, self.assets, self._run_questions, xcom_questions, nested, self.inputs, self.run)
        self.awaits.add(Triggers(self._workers, epoch, answers.answer))
        self._around = Surroundings(
            journal=self._journal,
            workers=self._workers,
            limits=self._limits,
            clock=self._clock,
            awaits=self.awaits,
            epoch=epoch,
            hostname=socket.gethostname(),
            assets=self.assets,
            log_path=self._log_path_of,
            answer_question=answers.answer,
            on_published=self._run_waiter.published,
            on_begun=self._on_begun,
            on_answered=self._on_answered,
            on_ended=self._on_ended,
            amend_ended=amending.amend_ended,
            notices=self._notices,
            listeners=frozenset(self.settings.get("listeners", ())),
        )
        self._notices.begin(epoch, float(self.settings.get("callback_limit", LIMIT)), answers.answer)

    async def load(self) -> None:
        """Parse the folder, take up unfinished runs, follow changes."""
        await self._bundles.begin(self.settings)
        await self.catalog.refresh()
        if self._settings.resume:
            reached("recovery.begins")
            await self._succession.take_up_all()
            self._resumed.set()
            reached("recovery.done")
            await self._notices.resume()
            self._tasks.append(in_background(self._succession.serve(), "dagcall-succession"))
        self._tasks.append(in_background(self._asset_runs.serve(), "dagcall-asset-runs"))
        self._tasks += self._observed.tasks()
        self._tasks.append(in_background(self.recording.serve(), "dagcall-recording"))
        if (keep := self.options.keep_runs) is not None:
            forgetting = forget_old_runs(self._journal, self.stored, keep, self._clock.now, self._forgotten)
            self._tasks.append(in_background(forgetting, "dagcall-retention"))

    async def drain(self, limit: float) -> None:
        """Take no more calls; wait at most `limit` seconds for the active runs, their callbacks and their recording."""
        self._stopping = True
        await drain(limit, self._idle, self._drivers, self._notices, self.recording)

    async def stop(self) -> None:
        """Stop everything; unfinished runs stay in the journal for the next start."""
        self._stopping = self._closed = True
        self._limits.close()
        self._stop_watching.set()
        self._resumed.set()
        await self._bundles.stop()
        await self._airflow.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.recording.close()
        await self._retaking.stop()
        await self._notices.stop()
        await self.elsewhere.stop()
        for driver in list(self._drivers.values()):
            driver.stop(farewell(self._journal, driver.run.key))
        self._drivers.clear()
        await self.assets.stop()
        await self._workers.stop()
        await self._observed.close()
        await self.stored.end()
        await self.elsewhere.close()
        await self._journal.close()

    async def call(self, request: CallRequest) -> Run:
        return (await self.admit(request))[0]

    async def admit(self, request: CallRequest) -> tuple[Run, Shared]:
        try:
            nested = request.started_by is not None
            if self._closed or (self._stopping and not nested):  # a run that is to end may need one that it starts
                raise ShuttingDown(retry_after=5.0)
            if not nested:
                check_journal(self._journal)
            if request.idempotency_key is not None:
                return await self._sharing.by_key(request, lambda: self._begin(request, shared=True))
            served = await self._served(request)
            return await self._sharing.by_content(request, served.plan, lambda: self._begin(request, served))
        except DagcallError as refused:
            self.metrics.refused(refused)
            raise

    async def _begin(self, request: CallRequest, served: Served | None = None, *, shared: bool = False) -> Run:
        """A run of its own. `served`: as the call was checked. `shared`: several may wait for it, each in its own way."""
        served = served or await self._served(request)
        ticket = self._admission.enter(request)
        code = served.code
        self._codes.use(code)  # from here on, so that a reload in the meantime does not end its processes
        try:
            if not code.is_open:
                served = await self.catalog.opened(served)
                if served.code is not code:  # the file had changed
                    self._codes.use(served.code)
                    self._codes.unuse(code)
                    code = served.code
                    await self._screening.check(request, served)
            await self._screening.check_past(request, served.plan)
            run, driver, event = await self._new_run(request, served, ticket)
            accepted = driver.accept(event, request.asset_changes)
        except BaseException:
            self._codes.unuse(code)
            self._admission.leave(ticket)
            raise
        self._drivers[run.key] = driver
        self._idle.clear()
        await (asyncio.shield(accepted) if shared else decided(accepted, self._journal, run.key))
        reached("run.accepted")
        return run

    async def run(self, key: RunKey) -> Run:
        driver = self._drivers.get(key)
        if driver is not None:
            return driver.run
        recent = self._recent.find(key)
        if recent is not None:
            return recent
        run = await self.elsewhere.find(key)
        if run.head.state.is_final:
            self._recent.keep(run)
        elif not self.elsewhere.has(run) and await self._is_driven(key):
            return await self.run(key)
        return run

    async def _is_driven(self, key: RunKey) -> bool:
        """Of an unfinished run: whether somebody drives it, or was about to. Without that nobody would hear of its end."""
        if self._settings.resume and not self._resumed.is_set():
            await self._resumed.wait()
            return True
        return key in self._drivers or await self._retaking.settled(key)

    async def dag_ids(self) -> set[str]:
        return await self._journal.dag_ids()

    async def list_runs(self, query: HeadQuery) -> tuple[list[RunHead], int]:
        return await self._journal.list_heads(query)

    async def cancel(self, key: RunKey, by: str, reason: str) -> Run:
        run = await self.run(key)
        driver = self._drivers.get(key)
        if driver is not None:
            reached("cancel.asked")
            driver.feed(CancelRequested(by, reason))
        elif not run.head.state.is_final:
            await self.elsewhere.cancel(key, by, reason)
        return run

    async def delete(self, key: RunKey) -> bool:
        run = await self.run(key)
        if key in self._drivers or not run.head.state.is_final:
            return False
        await forget(self._journal, self.stored, key)
        self._forgotten(key)
        return True

    def _forgotten(self, key: RunKey) -> None:
        self._recent.forget(key)
        self.elsewhere.altered(key)

    def log_path(self, key: RunKey, task_id: str, map_index: int, try_number: int) -> str:
        return log_path(self.settings["base_log_folder"], key, task_id, map_index, try_number)

    def statistics(self) -> dict[str, int]:
        return {
            "runs": len(self._drivers),
            "waiting_for_outcome": self._admission.total,
            "queued": self._admission.queued,
            "waited_for": sum(driver.run.is_waited_for for driver in self._drivers.values()),
            "callbacks": self._notices.count,
            "taken_up": self._succession.taken,
            "dags": len(self.catalog.plans()),
            "import_errors": len(self.catalog.import_errors()),
            **self._workers.statistics(),
            **self.recording.statistics(),
            **self.elsewhere.statistics(),
        }

    async def _served(self, request: CallRequest) -> Served:
        """The DAG as it is now, once everything is checked that can be refused without work."""
        served = self.catalog.served(request.dag_id)
        await self._screening.check(request, served)
        return served

    async def _new_run(self, request: CallRequest, served: Served, ticket: Ticket) -> tuple[Run, Driver, RunAccepted]:
        plan = served.plan
        if (plan.dag_id, plan.version) not in self._known_plans:
            await self._journal.put_plan(plan)
            self._known_plans.add((plan.dag_id, plan.version))
        now = self._clock.now()
        run_id = request.run_id or self._clock.new_run_id(run_after_of(request, now), request.run_type)
        key = RunKey(plan.dag_id, run_id)
        if request.run_id is not None:
            await self._retaking.settled(key)  # it may have been kept after all: then it has a driver soon
        if key in self._drivers:
            raise RunExists(dag_id=key.dag_id, run_id=key.run_id)
        durability, inline_limit = self._survival.durability_of(request, plan), self.options.inline_limit
        event, head = beginning_of(request, key, plan.version, durability, inline_limit, now, self._observed.traces)
        run = Run(key, plan, RunMachine(plan, key), head)
        run.ticket = ticket
        assert self._around is not None
        return run, Driver(run, served.code, self._around, held=self._turns.must_wait(run)), event

    async def _take_up(self, head: RunHead) -> Driver:
        """A driver for a run of the journal that has none, ready to be resumed. Raises JournalError, and RunNotFound
        for one that has ended."""
        assert self._around is not None
        run = await rebuild(self._journal, head.key)
        if run is None or run.head.state.is_final:
            raise RunNotFound(dag_id=head.key.dag_id, run_id=head.key.run_id)
        code = await self._code_for(run)
        driver = Driver(run, code, self._around, held=self._turns.must_wait(run))
        self._drivers[head.key] = driver
        self._idle.clear()
        if run.outcome is None:
            run.ticket = self._admission.count(head.key.dag_id, head.caller)
            if run.first_start is not None:
                self._admission.begun(run.ticket)
        self._codes.use(code)
        for awaited in run.machine.pending_awaits():  # before anybody enters
            self._limits.suspend(run.plan, run.key, awaited, awaited.kind)
        self.elsewhere.appeared(head.key)
        reached("recovery.rebuilt")
        return driver

    def _recorded(self, run: Run, error: BaseException | None) -> None:
        """Something beside its driver has written to a run; with `error` it could not, and what is known of the run here
        may be more than is kept."""
        driver = self._drivers.get(run.key)
        if driver is not None and error is not None:
            driver.fail(error)
        if error is not None or not self._recent.has(run):
            self._recent.forget(run.key)
        if driver is None:
            self.elsewhere.altered(run.key)

    async def _code_for(self, run: Run) -> Code:
        """The code a resumed run goes on with: only the version that it began with."""
        try:
            served = self.catalog.served(run.key.dag_id, hidden=True)
            if not served.code.is_open:
                served = await self.catalog.opened(served)
            if served.plan.version == run.plan.version:
                return served.code
        except DagcallError as error:
            log.warning("the DAG of run %s is not served any more: %s", run.key, error)
        return self._workers.missing(run.plan.fileloc, run.plan.version)

    def _on_begun(self, run: Run) -> None:
        if run.ticket is not None:
            self._admission.begun(run.ticket)

    def _on_answered(self, run: Run) -> None:
        if run.ticket is not None:
            self._admission.leave(run.ticket)
        self._observed.answered(run)
        self._sharing.answered(run)

    def _on_ended(self, run: Run, driver: Driver) -> None:
        if self._drivers.get(run.key) is driver:
            del self._drivers[run.key]
        if run.outcome is None:
            self._on_answered(run)
        if run.head.state.is_final:
            self._recent.keep(run)
            self.recording.ended(run)
        self._codes.unuse(driver.code)
        self._observed.ended(run)
        for key in self._turns.leave(run.key):
            if key in self._drivers:
                self._drivers[key].release()
        self._limits.pass_on()
        self._asset_runs.wake()
        if not self._drivers:
            self._idle.set()
        if driver.failure is not None:
            self._retaking.begin(run.key, driver.failure, driver.appended)

    def _log_path_of(self, run: Run, command: StartAttempt | Await) -> str:
        return self.log_path(run.key, command.task_id, command.map_index, command.try_number)

    def _active_runs(self, dag_id: str) -> int:
        return sum(key.dag_id == dag_id for key in self._drivers)
