"""What a zygote and its workers need to run tasks, kept apart from the processes themselves.

The processes get an implementation by its dotted name, so that nothing in this folder imports Airflow. The one
that runs DAGs is `dagcall.airflow_bridge.runtime:AirflowRuntime`.
"""

import importlib
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from dagcall.model.bundle import Bundle
from dagcall.workers.channel import Channel
from dagcall.workers.frames import Loaded, Notify, Start


class TaskRuntime(Protocol):
    """Life: `preload` once in the root zygote; `load` once in each forked loader or file zygote; `prepare` once
    in each worker; then `run` for every task. A triggerer is forked like a worker, and runs triggers instead."""

    def preload(self, folder: str) -> dict[str, Any]:
        """Import what every DAG needs. Returns the configuration for the coordinator, as plain data. `folder`: the one
        to serve; empty: those that `serve` will name."""

    def serve(self, bundles: Iterable[Bundle]) -> None:
        """Called in the root zygote: serve these folders from now on."""

    def list_files(self) -> list[str]:
        """Absolute paths of the files of all folders that may hold DAGs."""

    def load(self, ident: int, path: str, *, keep: bool, channel: Channel, alone: bool = False) -> Loaded:
        """Parse one file. With `keep`, get ready to run its tasks and, unless `alone`, to be forked. Never raises for
        what the file does: its errors are in the answer. What the file asks for meanwhile is asked through `channel`."""

    def prepare(self, channel: Channel) -> None:
        """Called in a freshly forked worker."""

    def run(self, start: Start) -> str | None:
        """Run one try, send its `Ended`, run its callbacks, restore the process.

        Returns why this process must not run another task, or None.
        """

    def notify(self, notify: Notify) -> str | None:
        """Make the calls of a notice, send `Ended`, restore the process. Returns like `run`."""

    def serve_store(self, channel: Channel) -> None:
        """Called in a process forked from the root zygote: read and delete what it is told to, until the connection is
        lost."""

    def run_triggers(self, channel: Channel) -> None:
        """Called in a freshly forked triggerer: run the triggers it is sent, until the connection is lost."""


def load_runtime(name: str) -> TaskRuntime:
    """Import `package.module:Class` and make one."""
    module, _, attribute = name.partition(":")
    factory: Callable[[], TaskRuntime] = getattr(importlib.import_module(module), attribute)
    return factory()
