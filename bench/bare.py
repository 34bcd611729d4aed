"""The yardstick: the unmodified Task SDK runner, doing the same tasks one after the other in one warm process.

Nothing of dagcall is imported. Each task is a `RuntimeTaskInstance`, run by Airflow's own `run()` and `finalize()`;
what the runner asks its supervisor is answered from a dict in this process. No HTTP, no other process, no journal, no
retries, nothing restored between tasks. Logs are on, as they are in dagcall: Airflow's JSON lines, a file for each
try in Airflow's layout.

Reads lines `{"dag": id, "seconds": s}` or `{"dag": id, "times": n}`, answers each with `{"ms": [...], "value": ...}`.
"""

import importlib.util
import json
import os
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "client"

from airflow.dag_processing.bundles.local import LocalDagBundle
from airflow.sdk import DAG
from airflow.sdk.api.datamodels._generated import (
    DagRun,
    DagRunState,
    DagRunType,
    TaskInstanceState,
    TIRunContext,
)
from airflow.sdk.definitions._internal.contextmanager import DagContext
from airflow.sdk.definitions._internal.expandinput import DictOfListsExpandInput
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.definitions.xcom_arg import PlainXComArg
from airflow.sdk.execution_time import comms, task_runner
from airflow.sdk.log import configure_logging
from structlog.contextvars import bound_contextvars

VERSION = uuid.UUID(int=0)


class LogFile:
    """What structlog writes to: the file of the current try."""

    def __init__(self) -> None:
        self._fd = -1

    def open(self, path: str) -> None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o664)

    def close(self) -> None:
        os.close(self._fd)

    def write(self, data: bytes) -> int:
        return os.write(self._fd, data)

    def flush(self) -> None:
        pass


class Answers:
    """`SUPERVISOR_COMMS` of one run: the XComs by task and map index."""

    def __init__(self) -> None:
        self.xcoms: dict[tuple[str, int], Any] = {}
        self.terminal: Any = None

    def send(self, msg: Any) -> Any:
        match msg:
            case comms.SetRenderedFields() | comms.SetRenderedMapIndex() | comms.MaskSecret():
                return None
            case comms.SetXCom():
                self.xcoms[msg.task_id, _index(msg.map_index)] = msg.value
                return None
            case comms.GetXCom():
                return comms.XComResult(key=msg.key, value=self.xcoms.get((msg.task_id, _index(msg.map_index))))
            case comms.GetXComCount():
                return comms.XComCountResponse(len=len(self.of(msg.task_id)))
            case comms.GetXComSequenceItem():
                return comms.XComSequenceIndexResult(root=self.of(msg.task_id)[msg.offset])
            case comms.GetXComSequenceSlice():
                return comms.XComSequenceSliceResult(root=self.of(msg.task_id)[msg.start : msg.stop : msg.step])
            case comms.SucceedTask() | comms.TaskState() | comms.RetryTask():
                self.terminal = msg
                return None
            case _:
                raise NotImplementedError(f"the benchmark's tasks do not send {type(msg).__name__}")

    def of(self, task_id: str) -> list[Any]:
        """Values of a mapped task, by ascending map index."""
        return [value for (_, _), value in sorted((k, v) for k, v in self.xcoms.items() if k[0] == task_id)]


def _index(map_index: int | None) -> int:
    return -1 if map_index is None else map_index


class Runner:
    def __init__(self, folder: Path, logs: Path) -> None:
        self._logs = logs
        self._log_file = LogFile()
        configure_logging(json_output=True, output=self._log_file)
        self._bundle = LocalDagBundle(path=str(folder), name="bench")
        self.dags = {dag.dag_id: dag for path in sorted(folder.glob("*.py")) for dag in _load(path)}
        self._order = {dag.dag_id: list(dag.topological_sort()) for dag in self.dags.values()}

    def call(self, dag_id: str) -> Any:
        """One run; the value of its result task."""
        run_id = f"bare__{uuid.uuid4()}"
        now = datetime.now(tz=UTC)
        answers = Answers()
        task_runner.SUPERVISOR_COMMS = answers  # type: ignore[assignment]
        last = None
        for task in self._order[dag_id]:
            for map_index in self._indexes(task, answers):
                self._run(task, dag_id, run_id, map_index, now, answers)
            last = task
        assert last is not None
        return answers.xcoms[last.task_id, -1]

    def _indexes(self, task: Any, answers: Answers) -> list[int]:
        if not isinstance(task, MappedOperator):
            return [-1]
        assert isinstance(task.op_kwargs_expand_input, DictOfListsExpandInput)  # type: ignore[attr-defined]
        (source,) = task.op_kwargs_expand_input.value.values()  # type: ignore[attr-defined]
        assert isinstance(source, PlainXComArg)
        upstream = source.operator
        length = (
            len(answers.of(upstream.task_id))
            if isinstance(upstream, MappedOperator)
            else len(answers.xcoms[upstream.task_id, -1])
        )
        return list(range(length))

    def _run(self, task: Any, dag_id: str, run_id: str, map_index: int, now: datetime, answers: Answers) -> None:
        ti_id = uuid.uuid4()
        parts = [f"dag_id={dag_id}", f"run_id={run_id}", f"task_id={task.task_id}"]
        if map_index >= 0:
            parts.append(f"map_index={map_index}")
        self._log_file.open(os.path.join(self._logs, *parts, "attempt=1.log"))
        with bound_contextvars(
            ti_id=str(ti_id),
            dag_id=dag_id,
            task_id=task.task_id,
            run_id=run_id,
            try_number=1,
            map_index=map_index,
        ):
            answers.terminal = None
            ti = task_runner.RuntimeTaskInstance.model_construct(
                id=ti_id,
                task_id=task.task_id,
                dag_id=dag_id,
                run_id=run_id,
                try_number=1,
                dag_version_id=VERSION,
                map_index=map_index,
                hostname=None,
                context_carrier=None,
                queue=task.queue,
                task=task,
                bundle_instance=self._bundle,
                _ti_context_from_server=TIRunContext.model_construct(
                    dag_run=_dag_run(dag_id, run_id, now),
                    task_reschedule_count=0,
                    max_tries=0,
                    should_retry=False,
                    xcom_keys_to_clear=[],
                ),
                max_tries=0,
                start_date=datetime.now(tz=UTC),
                state=TaskInstanceState.RUNNING,
                sentry_integration="",
            )
            context = ti.get_template_context()
            state, _, error = task_runner.run(ti, context, task_runner.log)
            context["exception"] = error
            task_runner.finalize(ti, state, context, task_runner.log, error)
        self._log_file.close()
        if not isinstance(answers.terminal, comms.SucceedTask):
            raise RuntimeError(f"{dag_id}.{task.task_id}[{map_index}] ended with {answers.terminal!r}: {error!r}")


def _dag_run(dag_id: str, run_id: str, now: datetime) -> DagRun:
    return DagRun.model_construct(
        dag_id=dag_id,
        run_id=run_id,
        logical_date=None,
        data_interval_start=None,
        data_interval_end=None,
        run_after=now,
        start_date=now,
        end_date=None,
        clear_number=0,
        run_type=DagRunType.MANUAL,
        state=DagRunState.RUNNING,
        conf={},
        triggering_user_name=None,
        consumed_asset_events=[],
        partition_key=None,
        partition_date=None,
        note=None,
        team_name=None,
    )


def _load(path: Path) -> Iterator[DAG]:
    DagContext.autoregistered_dags.clear()
    spec = importlib.util.spec_from_file_location(f"bench_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    DagContext.current_autoregister_module_name = spec.name
    spec.loader.exec_module(module)
    for dag, _ in DagContext.autoregistered_dags:
        dag.fileloc = str(path)
        yield dag


def main(folder: str, logs: str) -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing that a task prints gets among the answers
    runner = Runner(Path(folder), Path(logs))
    print(json.dumps({"dags": sorted(runner.dags)}), file=out, flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        took: list[float] = []
        value = None
        end = time.perf_counter() + order.get("seconds", 0.0)
        while len(took) < order.get("times", 1) or time.perf_counter() < end:
            start = time.perf_counter()
            value = runner.call(order["dag"])
            took.append((time.perf_counter() - start) * 1000)
        print(json.dumps({"ms": took, "value": value}), file=out, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
