"""What can be refused of a call by looking at it: its DAG, params, result tasks, run id and logical date.

Guarantees that what is refused has left nothing behind: nothing is written, counted or started here. It refuses what
the DAG's plan says cannot be run as Airflow runs it; load is not its business (`admission`), which is only asked before
large params are looked at, as that is work.
"""

import re
from collections.abc import Awaitable, Callable, Container, Sequence

from dagcall.coordinator.api import CallRequest
from dagcall.coordinator.catalog import Served
from dagcall.coordinator.exposure import Exposure
from dagcall.coordinator.limits import Limits
from dagcall.coordinator.params import is_large
from dagcall.coordinator.run import Run
from dagcall.core import past
from dagcall.error_details import UnsupportedFeature
from dagcall.errors import BadRequest, DagUnsupported, RunExists, TaskNotFound
from dagcall.journal.base import HeadQuery, Journal, TimeRange
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan, Refusal

RUN_ID_LENGTH = 250
"""Airflow's `COLLATION_ARGS` limit of ids (airflow/models/base.py `StringID`)."""
_RUN_ID_PATTERN = r"^[A-Za-z0-9_.~:+-]+$"
"""Airflow's default of `[scheduler] allowed_run_id_pattern`."""


class Screening:
    """`find`: a run by its key. `active`: the keys of the runs that have not ended. `admit` refuses what load refuses."""

    def __init__(
        self,
        limits: Limits,
        journal: Journal,
        find: Callable[[RunKey], Awaitable[Run]],
        active: Container[RunKey],
        exposure: Exposure,
        admit: Callable[[CallRequest], None],
    ) -> None:
        self._limits = limits
        self._journal = journal
        self._find = find
        self._active = active
        self._exposure = exposure
        self._admit = admit
        self._run_id_pattern = re.compile(_RUN_ID_PATTERN)

    def allow_run_ids(self, pattern: object) -> None:
        """Which ids a caller may choose; None: Airflow's default."""
        self._run_id_pattern = re.compile(str(pattern or _RUN_ID_PATTERN))

    async def check(self, request: CallRequest, served: Served) -> None:
        """Raises DagPaused, Unavailable, DagUnsupported, InvalidParams, TaskNotFound, BadRequest, RunExists; what `admit`
        raises."""
        self._exposure.check(served.plan.dag_id)
        _refuse_unsupported(served.plan, served.plan.refusals)
        _refuse_unsupported(served.plan, self._limits.obstacles(served.plan))
        if not is_large(request.conf):
            served.params.check(request.conf)
        else:
            if request.started_by is None:
                self._admit(request)
            await served.params.check_aside(request.conf)
        for task_id in request.results:
            if task_id not in served.plan.by_id:
                raise TaskNotFound(dag_id=request.dag_id, task_id=task_id)
        if request.run_id is not None:
            if not self._run_id_pattern.match(request.run_id) or len(request.run_id) > RUN_ID_LENGTH:
                raise BadRequest(
                    f"The run id {request.run_id!r} does not match {self._run_id_pattern.pattern!r} "
                    f"([scheduler] allowed_run_id_pattern), or is longer than {RUN_ID_LENGTH} characters.",
                    dag_id=request.dag_id,
                )
            if request.run_id in (".", "..") or not request.run_id.isprintable():
                raise BadRequest(
                    f"The run id {request.run_id!r} cannot be part of a path: no client could attach to the run.",
                    dag_id=request.dag_id,
                )
            if RunKey(request.dag_id, request.run_id) in self._active:
                raise RunExists(dag_id=request.dag_id, run_id=request.run_id)

    async def check_past(self, request: CallRequest, plan: DagPlan) -> None:
        """`depends_on_past`, which asks for the run with the next earlier logical date. Raises DagUnsupported."""
        if request.logical_date is None or not past.depends_on_past(plan):
            return
        earlier = HeadQuery(
            dag_ids=frozenset((plan.dag_id,)),
            logical_date=TimeRange(lt=request.logical_date),
            order_by=("-logical_date",),
            limit=1,
        )
        for head in (await self._journal.list_heads(earlier))[0]:
            _refuse_unsupported(plan, past.unmet(plan, (await self._find(head.key)).machine))


def _refuse_unsupported(plan: DagPlan, refusals: Sequence[Refusal]) -> None:
    if refusals:
        features = tuple(UnsupportedFeature(one.task_id, one.feature, one.reason) for one in refusals)
        raise DagUnsupported(dag_id=plan.dag_id, features=features)
