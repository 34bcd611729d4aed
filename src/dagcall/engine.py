"""`dagcall.Engine`: DAGs called from Python without a server.

The coordinator runs on an event loop of its own in a background thread and listens on a Unix socket in a private
folder, which this process's client is connected to: the same code path as over the network, streams included, and no
port. User code runs in worker processes here too.
"""

import asyncio
import contextlib
import os
import tempfile
import threading
from types import TracebackType
from typing import Self

import httpx
import uvicorn

from dagcall.client import Client
from dagcall.compose import Settings, compose
from dagcall.errors import Unavailable
from dagcall.server.app import create_app
from dagcall.server.settings import ServerSettings

_START_LIMIT = 180.0


class Engine(Client):
    """A `Client` whose server is in this process.

        with dagcall.Engine("examples/dags") as engine:
            engine.call("ask_astro", question="What is a Dag?")

    Args:
        dags_folder: its DAG files are loaded before the constructor returns.
        workers: the most tasks at once; default as for `dagcall serve`.
        journal: where runs are kept; default in memory, gone with the engine.
        watch: follow changes of the folder.

    Raises ConfigError, Unavailable (Airflow cannot be imported).
    """

    def __init__(
        self, dags_folder: str, *, workers: int | None = None, journal: str = "memory:", watch: bool = True
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="dagcall-engine-")
        self._path = os.path.join(self._folder.name, "http")
        self._settings = Settings(folder=dags_folder, workers=workers, journal=journal, watch=watch)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="dagcall-engine", daemon=True)
        self._thread.start()
        self._ready.wait(_START_LIMIT)
        if self._error is not None or not self._ready.is_set():
            self._folder.cleanup()
            raise self._error or Unavailable(f"the engine was not ready within {_START_LIMIT:g} s")
        super().__init__("http://127.0.0.1", transport=httpx.HTTPTransport(uds=self._path))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __enter__(self) -> Self:
        return self

    def close(self) -> None:
        """End all runs and processes. Runs that had not ended are lost, unless the journal is on disk."""
        super().close()
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
        self._folder.cleanup()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                runner.run(self._serve())
            except BaseException as error:  # handed to the thread that waits in the constructor
                self._error = error
            finally:
                self._ready.set()

    async def _serve(self) -> None:
        coordinator = compose(self._settings)
        app = create_app(coordinator, ServerSettings(host="127.0.0.1", port=80))
        http = uvicorn.Server(
            uvicorn.Config(
                app, uds=self._path, log_config=None, access_log=False, lifespan="off", timeout_keep_alive=600
            )
        )
        http.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
        try:
            await coordinator.start()
            await coordinator.load()
            serving = asyncio.ensure_future(http.serve())
            await _started(http, serving)
            self._ready.set()
            await self._stop.wait()
            http.should_exit = True
            await serving
        finally:
            await coordinator.stop()


async def _started(http: uvicorn.Server, serving: "asyncio.Future[None]") -> None:
    """uvicorn has a flag for this and nothing to wait for."""
    while not http.started and not serving.done():  # noqa: ASYNC110
        await asyncio.sleep(0.005)
