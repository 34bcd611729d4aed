"""Recording, as the rest of the server sees it: on or off, by `[dagcall] record`.

Off, all of this does nothing, and there is no process for it. What is recorded, and what is guaranteed, is in
`recording_line`. While it is on, DAGs that Airflow knows and that wait for assets are Airflow's to start: it is given the
asset events of every run, and two who start them would start them twice.
"""

import logging
from collections.abc import Callable

from dagcall.coordinator.assets import Assets
from dagcall.coordinator.recording_line import EndedRun, Line
from dagcall.journal.base import Journal
from dagcall.options import Options, RecordMode
from dagcall.workers.base import AirflowRefused, Workers

log = logging.getLogger("dagcall.recording")


class Recording:
    """States: off (as made), on (`begin`, if so configured), closed."""

    def __init__(self, journal: Journal, workers: Workers, assets: Assets, now: Callable[[], float]) -> None:
        self._journal = journal
        self._workers = workers
        self._assets = assets
        self._now = now
        self._line: Line | None = None

    def begin(self, options: Options, has_database: bool, epoch: int) -> None:
        """`has_database`: there is an Airflow with one."""
        mode = RecordMode.read(options.record or ("all" if has_database else "none"))
        if mode.is_off:
            return
        recorder = self._workers.recorder
        recorder.use("recording")
        self._line = Line(self._journal, recorder, self._assets.handed, self._now, options, mode, epoch)

    @property
    def trouble(self) -> str | None:
        """Why nothing can be recorded now, in words."""
        return None if self._line is None else self._line.trouble

    def ended(self, run: EndedRun) -> None:
        """Its end is durable."""
        if self._line is not None:
            self._line.ended(run)

    async def starts_elsewhere(self, dag_id: str) -> bool:
        """Whether a DAG that is due by its assets is Airflow's to start. Raises Unavailable while nobody can tell."""
        if self._line is None:
            return False
        try:
            return bool(await self._workers.recorder.ask("recording.known", {"dag_ids": [dag_id]}, list[str]))
        except AirflowRefused:
            return False

    def statistics(self) -> dict[str, int]:
        return {} if self._line is None else self._line.statistics()

    async def serve(self) -> None:
        """Go on until cancelled."""
        if self._line is not None:
            await self._line.serve()

    async def drain(self) -> None:
        """Wait for what can be recorded now."""
        if self._line is not None:
            await self._line.drain()

    async def close(self) -> None:
        """After `serve`."""
        if self._line is not None:
            await self._line.close()
