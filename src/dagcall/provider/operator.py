"""`CallDagOperator`: a task of an Airflow DAG that calls a DAG at a dagcall server, and has its result as its own.

Guarantees:
- No more runs than tries, and none twice: a try that was lost after it had called (its worker died, it was deferred and
  came back, the server was replaced) attaches to the run that it had started. A try after one whose run has failed
  starts another; clearing the task starts afresh.
- The task ends as the run's outcome says, at the moment that it is certain.
- Killed, it takes its run with it, unless `cancel_on_kill` is False.

The server is authoritative on runs: which keys it has seen decides, nothing is kept in Airflow for it.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar, NoReturn

from airflow.sdk import BaseOperator, Context
from airflow.sdk.configuration import conf as airflow_conf
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from dagcall.client import Client, OptionChanges, RunHandle
from dagcall.errors import (
    BadRequest,
    DagcallError,
    NotAllowed,
    NotFinished,
    NotFound,
    NotSupported,
    Rejected,
    RunFailed,
    UsageError,
)
from dagcall.provider.hook import DagcallHook
from dagcall.provider.link import CalledRunLink
from dagcall.provider.trigger import CallDagTrigger

_FINAL = (Rejected, BadRequest, NotAllowed, NotFound, NotSupported, UsageError)
"""What another try cannot mend: the call itself is refused, or the author of the DAG says no."""


class CallDagOperator(BaseOperator):
    """Call a DAG at a dagcall server; its result is this task's.

        answer = CallDagOperator(task_id="ask", call_dag_id="ask_astro", conf={"question": "What is a {{ params.term }}?"})

    `call_dag_id`: the DAG to call; `conf`: its params; `result`: ids of its tasks whose values are wanted instead of
    the author's; all templated. A result by reference is returned as the server tells it: `{"reference": {...}}`.

    `timeout`: seconds, or a `timedelta`, after which the server ends the run; default: `execution_timeout`.
    `deferrable`: wait in the triggerer, not on a worker (default: `[operators] default_deferrable`), for what takes
    longer than `defer_after` seconds; most calls are over sooner than a task is deferred. `dagcall_conn_id`: see
    `DagcallHook`. `idempotency_key` (templated): equal calls with it are one run; default: one for each try that needs
    its own. `cancel_on_kill`: whether the run ends with a task that is killed.

    Fails with the failed task, its error, the run id and its address. What was refused (bad params, an unknown DAG) or
    rejected by the DAG's author is not tried again. The XCom `dagcall_run_id` tells the run.
    """

    template_fields: Sequence[str] = ("call_dag_id", "conf", "result", "idempotency_key")
    template_fields_renderers: ClassVar[dict[str, str]] = {"conf": "json"}
    operator_extra_links = (CalledRunLink(),)
    ui_color = "#e8f1ff"

    def __init__(
        self,
        *,
        call_dag_id: str,
        conf: dict[str, Any] | None = None,
        result: str | Sequence[str] | None = None,
        timeout: float | timedelta | None = None,
        deferrable: bool | None = None,
        defer_after: float = 1.0,
        dagcall_conn_id: str = DagcallHook.default_conn_name,
        idempotency_key: str | None = None,
        cancel_on_kill: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.call_dag_id = call_dag_id
        self.conf = conf
        self.result = result
        self.timeout = timeout
        if deferrable is None:
            deferrable = airflow_conf.getboolean("operators", "default_deferrable", fallback=False)
        self.deferrable = deferrable
        self.defer_after = defer_after
        self.dagcall_conn_id = dagcall_conn_id
        self.idempotency_key = idempotency_key
        self.cancel_on_kill = cancel_on_kill
        self.called_run_url: str | None = None
        self._run_id: str | None = None

    @property
    def hook(self) -> DagcallHook:
        return DagcallHook(self.dagcall_conn_id)

    def execute(self, context: Context) -> Any:
        with self.hook.get_conn() as client:
            try:
                run = self._call(client, context)
                self._know(run)
                context["ti"].xcom_push("dagcall_run_id", run.id)
                self.log.info("Called DAG %r: run %r, %s", run.dag_id, run.id, self.called_run_url)
                return run.result(timeout=self.defer_after if self.deferrable else None)
            except NotFinished:
                self._defer(run)
            except DagcallError as error:
                self._fail(error)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """After the trigger has fired."""
        with self.hook.get_conn() as client:
            run = client.run(event["call_dag_id"], event["run_id"])
            self._know(run)
            try:
                return run.result()
            except DagcallError as error:
                self._fail(error)

    def on_kill(self) -> None:
        if self.cancel_on_kill and self._run_id is not None:
            with self.hook.get_conn() as client:
                client.run(self.call_dag_id, self._run_id).cancel()

    def _call(self, client: Client, context: Context) -> RunHandle:
        """The run of this try: one that a lost try has left, or a new one."""
        ti = context["ti"]
        options: OptionChanges = {"timeout": self._deadline()}
        if self.result:
            options["result"] = self.result
        if self.idempotency_key is not None:
            options["key"] = self.idempotency_key
            return client.with_options(**options).submit(self.call_dag_id, self.conf or {})
        # Clearing a task adds its tries to those that it may have: what is beyond its `retries` was cleared away.
        cleared = max(0, ti.max_tries - (self.retries or 0))
        tries = max(1, ti.try_number - cleared)
        identity = [ti.dag_id, ti.run_id, ti.task_id, ti.map_index if ti.map_index is not None else -1, cleared]
        for number in range(1, tries + 1):
            options["key"] = _key(*identity, number)
            run = client.with_options(**options).submit(self.call_dag_id, self.conf or {})
            if number == tries or not _has_failed(run):
                break
        return run

    def _defer(self, run: RunHandle) -> NoReturn:
        self.defer(
            trigger=CallDagTrigger(self.call_dag_id, run.id, self.dagcall_conn_id, self.cancel_on_kill),
            method_name="execute_complete",
            timeout=self.execution_timeout,
        )

    def _deadline(self) -> float | None:
        limit = self.timeout if self.timeout is not None else self.execution_timeout
        return limit.total_seconds() if isinstance(limit, timedelta) else limit

    def _know(self, run: RunHandle) -> None:
        self._run_id, self.called_run_url = run.id, run.url

    def _fail(self, error: DagcallError) -> NoReturn:
        words = [str(error)]
        if repr(self._run_id or self.call_dag_id) not in words[0]:
            run = "" if self._run_id is None else f", run {self._run_id!r}"
            words.insert(0, f"DAG {self.call_dag_id!r}{run}:")
        if self.called_run_url is not None:
            words.append(self.called_run_url)
        kind = AirflowFailException if isinstance(error, _FINAL) else AirflowException
        raise kind(" ".join(words)) from error


def _has_failed(run: RunHandle) -> bool:
    try:
        run.result(timeout=0)
    except RunFailed:
        return True
    except NotFinished:
        return False
    return False


def _key(*identity: Any) -> str:
    """One for each try of a task instance that starts a run; short, and printable whatever the ids are."""
    return f"airflow-{hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:40]}"
