"""The task runtime of a worker: Airflow's official `run()` and `finalize()`, with our comms.

Guarantees for each `Start`: exactly one `Ended`, sent as soon as the runner has decided and before callbacks run;
then the process is restored. User code that fails, exits or is interrupted is an outcome; only the death of the
process leaves no `Ended`, and then the coordinator says so.
"""

import contextvars
import importlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec

from dagcall.airflow_bridge import private_names, task_instance
from dagcall.airflow_bridge.ending import ended, state_after
from dagcall.deadline import set_deadline
from dagcall.emit import set_hook
from dagcall.model import bundle
from dagcall.model.bundle import Bundle, Bundles
from dagcall.workers.channel import Channel
from dagcall.workers.frames import Loaded, Notify, ProtocolError, Start

_PRELOADED = (
    "airflow.dag_processing.dagbag",
    "airflow.dag_processing.importers.python_importer",
    "airflow.dag_processing.bundles.local",
    "airflow.providers.standard.operators.bash",
    "airflow.providers.standard.operators.python",
    "airflow.providers.standard.decorators.bash",
    "airflow.sdk",
    "airflow.sdk.execution_time.task_runner",
    "airflow.sdk.execution_time.timeout",
    "airflow.sdk.serde",
    "dagcall.airflow_bridge.compile",
    "dagcall.airflow_bridge.emitting",
    "dagcall.airflow_bridge.forking",
    "dagcall.airflow_bridge.import_cost",
    "dagcall.airflow_bridge.loader",
    "dagcall.airflow_bridge.restore",
    "dagcall.airflow_bridge.supervisor_socket",
    "dagcall.airflow_bridge.suspension",
)
"""Not imported by this module's own code: by name, so that no linter takes them for unused."""
_SHORTCUTS = {"log lines": "dagcall.airflow_bridge.logline", "mapped operators": "dagcall.airflow_bridge.unmapping"}
"""As `_PRELOADED`, where this Airflow has what they need (`private_names`)."""


_OTEL_SWITCHES = ("AIRFLOW__TRACES__OTEL_ON", "AIRFLOW__METRICS__OTEL_ON")


class AirflowRuntime:
    """Implements `dagcall.workers.runtime.TaskRuntime` for Airflow."""

    def __init__(self) -> None:
        self._bundles = Bundles()
        self._bundle: Any = None
        self._dags: dict[str, Any] = {}
        self._channel: Channel | None = None
        self._tracing: Any = None
        """`airflow_bridge.tracing`, where that is switched on."""

    def preload(self, folder: str) -> dict[str, Any]:
        """Import Airflow and what every task needs, so that forked processes find it in memory."""
        os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
        os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "client"
        with postponed():
            lost = private_names.unusable()
            for name in (*_PRELOADED, *(name for shortcut, name in _SHORTCUTS.items() if shortcut not in lost)):
                importlib.import_module(name)
        from airflow.sdk.execution_time import task_runner

        from dagcall.airflow_bridge import backend_stand_in, memo, run_waits, tasklog, virtualenv
        from dagcall.airflow_bridge.answers import xcoms
        from dagcall.airflow_bridge.comms import ParseTimeComms
        from dagcall.airflow_bridge.forgetting import forget_secrets
        from dagcall.airflow_bridge.settings import for_coordinator

        self._bundles = bundle.folder(folder) if folder else Bundles()
        config = for_coordinator()
        config["memoised"] = memo.install()
        config["lost_shortcuts"] = sorted(lost)
        if config["otel_traces"]:
            self._tracing = importlib.import_module("dagcall.airflow_bridge.tracing")
            self._tracing.install()
        virtualenv.install()
        backend_stand_in.install()
        task_runner.SUPERVISOR_COMMS = ParseTimeComms()  # type: ignore[assignment]
        xcoms.mark_expanding()
        xcoms.keep_returned_value()
        run_waits.install()
        _block_orm()
        forget_secrets()
        tasklog.silence()
        self._warm_up()
        return config

    def _warm_up(self) -> None:
        """Run one task of each kind here, so that what Airflow imports lazily is in memory before the first fork.

        Measured: the first task of a process that was not warmed up takes 22 ms longer.
        """
        from dagcall.airflow_bridge import warmup

        warmup.run(self)

    def serve(self, bundles: Iterable[Bundle]) -> None:
        self._bundles = Bundles(bundles)

    def list_files(self) -> list[str]:
        from airflow.dag_processing.importers import get_importer_registry
        from airflow.sdk.configuration import conf

        safe_mode = conf.getboolean("core", "dag_discovery_safe_mode", fallback=True)
        registry = get_importer_registry()
        folders = [one.path for one in self._bundles if os.path.isdir(one.path)]
        return sorted({path for folder in folders for path in registry.list_dag_files(folder, safe_mode=safe_mode)})

    def load(self, ident: int, path: str, *, keep: bool, channel: Channel, alone: bool = False) -> Loaded:
        from airflow.sdk.execution_time import task_runner

        from dagcall.airflow_bridge.comms import ParseTimeComms
        from dagcall.airflow_bridge.compile import compile_dag
        from dagcall.airflow_bridge.forking import ForkWatch
        from dagcall.airflow_bridge.import_cost import ImportCost
        from dagcall.airflow_bridge.loader import parse_file

        comms = ParseTimeComms(channel)
        task_runner.SUPERVISOR_COMMS = comms  # type: ignore[assignment]
        here = self._bundle_of(path)
        with ImportCost(here.path) as cost, ForkWatch() as watch:
            parsed = parse_file(here.path, path, comms.seen, keep=keep, bundle=here.name)
        unforkable = watch.causes(by_trial=not alone)
        relative = os.path.relpath(path, here.path)
        plans: list[bytes] = []
        errors = list(parsed.errors)
        for dag in parsed.dags.values():
            try:
                plan = compile_dag(dag, version=parsed.version, relative_fileloc=relative, unforkable=unforkable)
                plan = replace(plan, bundle_name=here.name, bundle_version=here.version)
                plans.append(msgspec.msgpack.encode(plan, enc_hook=_encode_unknown))
            except Exception as error:
                errors.append((relative, f"DAG {dag.dag_id!r} could not be compiled: {type(error).__name__}: {error}"))
        if keep:
            self._settle(parsed.dags, here)
        return Loaded(
            ident,
            path,
            parsed.version,
            plans,
            errors,
            parsed.dependencies,
            parsed.seconds,
            unforkable,
            cost.dearest(),
        )

    def _bundle_of(self, path: str) -> Bundle:
        """A bundle that is not served any more has files that are still being looked at, for a moment."""
        return self._bundles.of(path) or Bundle(bundle.DAGS_FOLDER, os.path.dirname(path))

    def keep(self, dags: dict[str, Any], here: Bundle | None = None) -> None:
        """Make these the DAGs whose tasks this process, and those forked from it, can run. `here`: where they are."""
        from airflow.dag_processing.bundles.local import LocalDagBundle
        from airflow.sdk.execution_time import task_runner

        from dagcall.airflow_bridge import memo, run_waits
        from dagcall.airflow_bridge.restore import Pristine

        self._dags = dags
        run_waits.prepare(dags)
        self._pristine = Pristine(dags)
        if memo.is_wanted() and private_names.usable("mapped operators"):
            from dagcall.airflow_bridge.unmapping import Unmapper

            Unmapper(self._pristine.changing_attributes).install()
        here = here or next(iter(self._bundles), Bundle(bundle.DAGS_FOLDER, os.getcwd()))
        self._bundle = LocalDagBundle(path=here.path, name=here.name, version=here.version)
        for dag in dags.values():
            task_runner._register_deserialization_allowed_classes(dag, task_runner.log)

    def _settle(self, dags: dict[str, Any], here: Bundle) -> None:
        """Do here, once, what each worker forked from this process would do: 2 ms and some 300 page faults each."""
        import faulthandler
        import signal

        from dagcall.airflow_bridge import supervisor_socket, tags, tasklog
        from dagcall.airflow_bridge.restore import Baseline

        sys.excepthook = sys.__excepthook__
        # Airflow's importer leaves a Python handler, which cannot end a real segmentation fault.
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        faulthandler.enable(file=2)
        self._log_file = tasklog.configure()
        supervisor_socket.install(self._log_file.write)
        self._stdout, self._stderr = tasklog.streams()
        self._warm_up()  # again: this time its log records are written, if into nothing
        self.keep(dags, here)
        keeps_open = any(tags.KEEP_OPEN in dag.tags for dag in dags.values())
        self._baseline = Baseline((sys.stdin, self._stdout, self._stderr), keeps_open=keeps_open)

    def prepare(self, channel: Channel) -> None:
        self.connect(channel)
        self._log_file.close()
        sys.stdout, sys.stderr = self._stdout, self._stderr
        if "numpy.random" in sys.modules:  # unlike `random`, it does not reseed itself after a fork
            sys.modules["numpy.random"].seed()
        self._baseline.begin()

    def serve_store(self, channel: Channel) -> None:
        from dagcall.airflow_bridge import store_access

        store_access.serve(channel)

    def run_triggers(self, channel: Channel) -> None:
        """The life of a triggerer; `prepare` is for workers only."""
        from dagcall.airflow_bridge import triggerer

        sys.stdout, sys.stderr = self._stdout, self._stderr
        self.connect(channel)
        triggerer.run(channel, self._task_instance, self._log_file)

    def connect(self, channel: Channel) -> None:
        """Where the ends of attempts and the questions of tasks go."""
        from airflow.sdk.execution_time import task_runner
        from airflow.sdk.listener import get_listener_manager

        self._channel = channel
        self._task_runner = task_runner
        self._announces = bool(get_listener_manager().hook.on_starting.get_hookimpls())

    def run(self, start: Start) -> str | None:
        if self._tracing is None:
            return self._run_alone(start.log_path, lambda: self.run_task(start))
        return self._run_alone(start.log_path, lambda: self._run_traced(start))

    def _run_traced(self, start: Start) -> None:
        with self._tracing.task_span(start):
            self.run_task(start)

    def notify(self, notify: Notify) -> str | None:
        from dagcall.airflow_bridge import notices, tracing

        start, dag = notify.start, self._dags[notify.start.dag_id]
        make, channel = partial(self._task_instance, start), self._channel
        assert channel is not None
        path = notices.log_path(dag.fileloc, str(self._bundle.path), self._bundle.name)

        def work() -> None:
            with tracing.within_run(start):
                notices.tell(notify, dag, make, self._task_runner, channel)

        return self._run_alone(path, work)

    def _run_alone(self, log_path: str, work: Callable[[], None]) -> str | None:
        """Work in a context of its own, restore, and say whether the process can be used again."""
        self._log_file.open(log_path)
        failure: str | None = None
        try:
            contextvars.copy_context().run(work)
        except BaseException as error:
            # The runner has its own handlers; what arrives here came from callbacks or listeners, after `Ended`.
            failure = f"{type(error).__name__} escaped from callbacks"
        if self._tracing is not None:
            self._tracing.hand_over(self._channel, self._task_runner.log)
        self._stdout.end_line()
        self._stderr.end_line()
        self._baseline.restore()
        self._log_file.close()
        return failure or self._baseline.unfit()

    def run_task(self, start: Start) -> None:
        """Airflow's `run()`, the `Ended` frame, Airflow's `finalize()`."""
        from airflow.sdk.definitions._internal.contextmanager import _CURRENT_CONTEXT
        from structlog.contextvars import bind_contextvars

        from dagcall.airflow_bridge.comms import WorkerComms
        from dagcall.airflow_bridge.conversation import Outgoing
        from dagcall.airflow_bridge.emitting import Emitter

        assert self._channel is not None
        runner = self._task_runner
        comms = WorkerComms(self._channel, start)
        runner.SUPERVISOR_COMMS = comms  # type: ignore[attr-defined]
        bind_contextvars(
            ti_id=start.ti_id,
            dag_id=start.dag_id,
            task_id=start.task_id,
            run_id=start.run_id,
            try_number=start.try_number,
            map_index=start.map_index,
        )
        emitter = Emitter(self._channel, start)
        log = runner.log
        log.info("::group::Pre Execute")
        depth = len(_CURRENT_CONTEXT)
        ti = context = None
        error: BaseException | None = None
        try:
            ti = self._task_instance(start)
            comms.dag = ti.task.dag
            comms.downstream = ti.task.downstream_task_ids if ti.task.is_mapped else None
            context = ti.get_template_context()
            set_hook(emitter)
            set_deadline(start.deadline)
            if self._announces:
                self._announce(log)
            state, _, error = runner.run(ti, context, log)
        except BaseException as early:
            # Outside `run()`: params that do not validate, or a task that is gone. Airflow's supervisor sees such a
            # process exit with status 1 and retries the task if it may.
            emitter.close()
            self._channel.send(ended(start, comms, early))
            log.exception("Task failed before it could run")
            return
        finally:
            set_hook(None)
            set_deadline(None)
            del _CURRENT_CONTEXT[depth:]
        emitter.close()
        end = ended(start, comms, error)
        try:
            self._channel.send(end)
        except ProtocolError as too_large:  # and so nothing was sent
            comms.outgoing = Outgoing()
            self._channel.send(ended(start, comms, too_large))
        comms.end()
        context["exception"] = error
        try:
            with suppress(SystemExit):
                runner.finalize(ti, state_after(end, state), context, log, error)
        finally:
            comms.amend()

    def _announce(self, log: Any) -> None:
        """To listeners, what the Task SDK's `startup` tells them; `finalize` tells the end."""
        from airflow.sdk.listener import get_listener_manager

        try:
            get_listener_manager().hook.on_starting(component=self._task_runner.TaskRunnerMarker())
        except Exception:
            log.exception("error calling listener")

    def _task_instance(self, start: Start) -> Any:
        # Of a run as such, nothing but the run is asked for.
        task = self._pristine.task(start.dag_id, start.task_id) if start.task_id else None
        return task_instance.make(start, self._dags[start.dag_id], task, self._bundle, self._task_runner)


@contextmanager
def postponed() -> Iterator[None]:
    """While Airflow is imported, which would begin to export traces and metrics, in threads: zygotes are forked."""
    told = {name: os.environ.get(name) for name in _OTEL_SWITCHES}
    os.environ.update(dict.fromkeys(_OTEL_SWITCHES, "False"))
    try:
        yield
    finally:
        for name, value in told.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value


def _encode_unknown(value: Any) -> Any:
    """Param defaults may be anything that `json` takes; what MessagePack does not take becomes text."""
    from dagcall.airflow_bridge.plain import plain

    return plain(value)


def _block_orm() -> None:
    """As Airflow's supervisor does for its task processes: no metadata database from DAG code."""
    from airflow.sdk.execution_time.supervisor import block_orm_access

    block_orm_access()


__all__ = ["AirflowRuntime"]
