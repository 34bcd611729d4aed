"""`dagcall serve`: the life of a server, from the first port to the last process.

Started, it binds first (503 until the folder is loaded), so that nothing that watches the port has to guess. On
SIGTERM or SIGINT it takes no more calls, waits for the active runs as long as the drain limit allows, answers who
still waits with 202, and leaves no process behind. A second signal ends the drain. One that shares its port listens
only when it is loaded, and no longer when it is told to stop: the others get the connections that come meanwhile.

One that another server has taken over from is of no use any more (`coordinator.fencing`): it says so, tells those who
wait, and ends with exit code 5. Whether another is started in its place is its supervisor's decision.
"""

import asyncio
import contextlib
import faulthandler
import gc
import logging
import signal
import socket
import sys

import uvicorn

from dagcall.airflow_cfg import AirflowConfig
from dagcall.compose import Settings, compose
from dagcall.coordinator.coordinator import Coordinator
from dagcall.errors import DagcallError, UsageError
from dagcall.model.survival import Durability, OnRestart
from dagcall.server import logs, systemd
from dagcall.server.access import Access
from dagcall.server.app import create_app
from dagcall.server.audit import Audit
from dagcall.server.http_protocol import BoundedHttp
from dagcall.server.listening import listen
from dagcall.server.settings import ServerSettings
from dagcall.workers import processes

log = logging.getLogger("dagcall.server")

FENCED = 5
"""The exit code, as of a server that could not have the journal to begin with."""


def serve(
    *,
    dags_folder: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8274,
    workers: int | None = None,
    journal: str | None = None,
    durability: Durability | None = None,
    on_restart: OnRestart | None = None,
    memory: int | None = None,
    share_port: bool = False,
    access: Access | None = None,
    log_format: str = "text",
) -> int:
    """Serve until a signal. Returns the exit code.

    Raises:
        ConfigError, JournalUrlError, JournalError: nothing was started.
    """
    if access is None:
        config = AirflowConfig()
        access = Access.of(config.launch(), config.home)
    access.check_address(host)
    logs.begin()
    processes.set_title("server")
    processes.limit_open_files()  # every caller that waits holds one
    # Should the side process be killed, what lived below it comes to this process, and ends with it.
    processes.become_subreaper()
    coordinator = compose(
        Settings(
            folder=dags_folder,
            workers=workers,
            journal=journal,
            durability=durability,
            on_restart=on_restart,
            memory=memory,
        )
    )
    if log_format == "json":
        logs.use_json(coordinator.inspection.trace_id)
    listener = listen(host, port, share_port=share_port)
    access.check_address(listener.getsockname()[0])
    try:
        import uvloop

        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    except ImportError:
        runner = asyncio.Runner()
    try:
        with runner, contextlib.closing(listener):
            return runner.run(_Server(coordinator, listener, host, dags_folder, share_port, access).run())
    finally:
        processes.end_descendants()


class _Server:
    def __init__(
        self,
        coordinator: Coordinator,
        listener: socket.socket,
        host: str,
        folder: str | None,
        share_port: bool,
        access: Access,
    ) -> None:
        self._coordinator = coordinator
        self._listener = listener
        self._folder = folder
        self._shares_port = share_port
        self._loaded = asyncio.Event()
        self._signals: asyncio.Queue[int] = asyncio.Queue()
        self._access = access
        self._policy = access.policy(coordinator)
        asks = not self._policy.is_open
        settings = ServerSettings(
            host=host,
            port=listener.getsockname()[1],
            allowed_hosts=access.hosts(),
            any_address=asks,
            login=access.auth == "airflow",
        )
        app = create_app(coordinator, settings, self._policy, Audit(access.audit))
        config = uvicorn.Config(
            app,
            http=BoundedHttp,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_keep_alive=75,
            server_header=False,
        )
        self._http = uvicorn.Server(config)
        # Signals are this module's: uvicorn would stop answering before the runs have ended.
        self._http.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self._signals.put_nowait, signum)
        loop.add_signal_handler(signal.SIGUSR1, self._tell_state)
        # First, and even where the loop does not come to it: where every thread stands.
        faulthandler.register(signal.SIGUSR1, sys.stderr, all_threads=True, chain=True)
        http = loop.create_task(self._answer(), name="dagcall-http")
        work = loop.create_task(self._work(), name="dagcall-work")
        signalled = loop.create_task(self._signals.get())
        alive = loop.create_task(self._keep_alive(), name="dagcall-watchdog")
        fenced = loop.create_task(self._coordinator.fenced(), name="dagcall-fence")
        code = 0
        try:
            await asyncio.wait({http, work, signalled, fenced}, return_when=asyncio.FIRST_COMPLETED)
            if work.done() and not signalled.done():
                code = self._report(work)
                if code == 0:
                    await asyncio.wait({http, signalled, fenced}, return_when=asyncio.FIRST_COMPLETED)
            if fenced.done():
                systemd.notify("STOPPING=1")
                log.error("this server ends, the other one goes on with its runs: %s", fenced.result())
                code = FENCED
            elif signalled.done():
                systemd.notify("STOPPING=1")
                if self._shares_port and self._http.started:  # the others get what comes from now on
                    for server in self._http.servers:
                        server.close()
                log.info("stopping; %d active run(s)", self._coordinator.statistics()["runs"])
                await self._drain()
        finally:
            for task in (work, alive, fenced):
                task.cancel()
            await asyncio.gather(work, alive, fenced, return_exceptions=True)
            await self._coordinator.stop()
            self._http.should_exit = True
            if not self._http.started:
                http.cancel()
            await asyncio.wait({http}, timeout=5)
        return code

    async def _answer(self) -> None:
        if self._shares_port:
            await self._loaded.wait()
        await self._http.serve(sockets=[self._listener])

    async def _keep_alive(self) -> None:
        await self._loaded.wait()  # what is not ready is not watched
        await systemd.keep_alive()

    def _tell_state(self) -> None:
        log.info("the state of this server:\n%s", self._coordinator.inspection.dump())

    async def _work(self) -> None:
        await self._coordinator.start()
        host, port = self._listener.getsockname()[:2]
        log.info("listening on http://%s:%d; loading %s", host, port, self._folder or "Airflow's DAG bundles")
        log.info("%s", self._access.announcement())
        self._policy.begin()
        await self._coordinator.load()
        # What was loaded stays: the collector need not look at it again, nor as often as for small programs.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        catalog = self._coordinator.catalog
        self._loaded.set()
        systemd.notify("READY=1", f"STATUS=serving {len(catalog.plans())} DAGs")
        log.info("serving %d DAG(s), %d import error(s)", len(catalog.plans()), len(catalog.import_errors()))

    async def _drain(self) -> None:
        second = asyncio.ensure_future(self._signals.get())
        drained = asyncio.ensure_future(self._coordinator.drain(self._coordinator.options.drain_limit))
        await asyncio.wait({second, drained}, return_when=asyncio.FIRST_COMPLETED)
        second.cancel()
        drained.cancel()
        await asyncio.gather(second, drained, return_exceptions=True)

    def _report(self, work: "asyncio.Task[None]") -> int:
        error = work.exception()
        if error is None:
            return 0
        if isinstance(error, DagcallError):
            log.error("%s", error)
        else:
            log.error("the server could not start", exc_info=error)
        return 2 if isinstance(error, UsageError) else 5
