"""Runs started by runs: the `TriggerDagRun` message of a task (`TriggerDagRunOperator`).

It becomes an ordinary run, accepted as a call is: the same checks, durable before the task is answered, with Airflow's
run type `operator_triggered`. The answer is what Airflow's execution API and the Task SDK's client make of it
(execution_api/routes/dag_runs.py `trigger_dag_run`, sdk/api/client.py `DagRunOperations.trigger`).

**Load.** It is never refused because of load. Whoever triggered it is a run that was admitted and may wait for it: a
server at its limit that refused would make admitted work fail, and one that made it queue for admission could wait
for ever on itself. It is counted, so new calls are refused sooner. For the same reason it is accepted while the server
drains.

**Once.** The run id is the task's. A run that is there is never begun again, also after a restart: a try that runs
anew with the same `trigger_run_id` is told that the run exists, as under Airflow.

It has no deadline of its own and outlives its parent, as under Airflow.

Refused: clearing a run that exists (`reset_dag_run`), since a run's records are not rewritten here, and `run_after` in
the future, since runs start when they are accepted.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from dagcall.coordinator.api import CallRequest, CatalogView
from dagcall.coordinator.clock import Clock
from dagcall.coordinator.run import Run
from dagcall.coordinator.run_questions import Find, Refused
from dagcall.crashpoints import reached
from dagcall.errors import (
    BadRequest,
    DagBroken,
    DagcallError,
    DagNotFound,
    DagUnsupported,
    RunExists,
    RunNotFound,
)
from dagcall.model.ids import RunKey

SOON = 1.0
"""Seconds. How far `run_after` may lie ahead and still mean now."""

STARTED = "started"
EXISTS = "exists"


class NestedRuns:
    """Starts runs for tasks."""

    def __init__(
        self, catalog: CatalogView, call: Callable[[CallRequest], Awaitable[Run]], find: Find, clock: Clock
    ) -> None:
        self._catalog = catalog
        self._call = call
        self._find = find
        self._clock = clock

    async def trigger(
        self,
        parent: Run,
        dag_id: str,
        run_id: str,
        conf: bytes,
        logical_date: float | None,
        run_after: float | None,
        reset: bool,
        note: str | None,
        traceparent: str | None = None,
        tracestate: str | None = None,
    ) -> str:
        """STARTED, or EXISTS. `traceparent`: of the span that the task was in. Raises Refused."""
        if run_after is not None and run_after > self._clock.now() + SOON:
            raise Refused(
                400,
                "value_error",
                "run_after is in the future: dagcall starts a run when it is triggered; leave it out",
            )
        accepted = parent.machine.accepted
        request = CallRequest(
            dag_id=dag_id,
            conf=_conf(conf),
            run_id=run_id,
            caller=accepted.caller,
            durability=accepted.durability,
            logical_date=logical_date,
            run_after=run_after,
            note=note,
            run_type="operator_triggered",
            triggered_by="operator",
            traceparent=traceparent or accepted.traceparent,
            tracestate=tracestate if traceparent else accepted.tracestate,
            started_by=parent.key,
        )
        try:
            allowed = self._catalog.find(dag_id).allowed_run_types
            if allowed is not None and request.run_type not in allowed:
                message = f"Dag with dag_id '{dag_id}' does not allow operator-triggered runs"
                raise Refused(400, "denied_run_type", message)
            await self._call(request)
            reached("nested.started")
        except RunExists as error:
            return await self._exists(RunKey(dag_id, run_id), reset, error)
        except DagNotFound:
            raise Refused(404, "not_found", f"Dag with dag_id: '{dag_id}' not found") from None
        except DagBroken as error:
            message = f"Dag with dag_id '{dag_id}' has import errors and cannot be triggered: {error}"
            raise Refused(400, "import_errors", message) from error
        except DagUnsupported as error:
            raise Refused(400, "unsupported", str(error)) from error
        except BadRequest as error:
            raise Refused(400, "value_error", str(error)) from error
        except DagcallError as error:
            raise Refused(500, "server_error", str(error)) from error
        return STARTED

    async def _exists(self, key: RunKey, reset: bool, error: RunExists) -> str:
        try:
            await self._find(key)
        except RunNotFound:  # it is the logical date that is taken, which Airflow's database refuses
            raise Refused(500, "unique_constraint", str(error)) from error
        if reset:
            raise Refused(
                400,
                "unsupported",
                f"run {key.run_id!r} of DAG {key.dag_id!r} exists, and dagcall does not clear runs (reset_dag_run): "
                "leave trigger_run_id out, or give each run its own",
            )
        return EXISTS


def _conf(text: bytes) -> dict[str, Any]:
    """Raises Refused when it is no JSON object."""
    conf = json.loads(text)
    if not isinstance(conf, dict):
        raise Refused(400, "value_error", "DagRun conf must be a JSON object or null")
    return conf
