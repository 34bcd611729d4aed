"""The runs that a path names: one, all of a DAG, or all (`~`)."""

from dagcall.coordinator.api import RunView
from dagcall.errors import DagcallError, DagNotFound, NotSupported, RunNotFound
from dagcall.journal.base import HeadQuery
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan
from dagcall.server.api_v2.query import AirflowQuery
from dagcall.server.context import Context
from dagcall.server.problems import AirflowError, run_not_found

ALL = "~"

MOST_RUNS = 1000
"""Over how many runs a list of task instances or XComs goes at most: each run is read as a whole."""


async def find_run(context: Context, dag_id: str, run_id: str) -> RunView:
    try:
        return await context.coordinator.run(RunKey(dag_id, run_id))
    except (RunNotFound, DagNotFound):
        raise AirflowError(404, run_not_found(dag_id, run_id)) from None


async def _check_run(context: Context, dag_id: str, run_id: str) -> None:
    """As Airflow's lists of task instances say it."""
    try:
        await context.coordinator.run(RunKey(dag_id, run_id))
    except (RunNotFound, DagNotFound):
        raise AirflowError(404, f"DagRun with dag_id: `{dag_id}` and run_id: `{run_id}` was not found") from None


def check_dag(context: Context, dag_id: str) -> None:
    """404 unless the DAG is served."""
    try:
        context.coordinator.catalog.find(dag_id)
    except DagNotFound:
        raise AirflowError(404, f"The Dag with ID: `{dag_id}` was not found") from None


async def find_runs(
    context: Context, dag_id: str, run_id: str, query: AirflowQuery, *, must_exist: bool = True
) -> list[RunView]:
    """The runs of the path that the query's filters on runs leave. Of what does not exist there are none, or 404."""
    if not must_exist:
        pass
    elif run_id != ALL:
        if dag_id == ALL:
            raise AirflowError(400, "dag_id is required when dag_run_id is specified")
        await _check_run(context, dag_id, run_id)
    elif dag_id != ALL:
        check_dag(context, dag_id)
    heads, total = await context.coordinator.list_runs(
        HeadQuery(
            dag_ids=None if dag_id == ALL else frozenset({dag_id}),
            run_id=None if run_id == ALL else run_id,
            dag_id_pattern=query.pattern("dag_id_pattern"),
            run_id_pattern=query.pattern("run_id_pattern"),
            dag_id_prefix=query.pattern("dag_id_prefix_pattern"),
            run_id_prefix=query.pattern("run_id_prefix_pattern"),
            run_after=query.time_range("run_after"),
            logical_date=query.time_range("logical_date"),
            limit=MOST_RUNS,
        )
    )
    if total > MOST_RUNS:
        raise NotSupported(
            f"This list would go over {total} runs, and dagcall reads at most {MOST_RUNS} for one: name the run, or "
            "narrow it with run_after_gte."
        )
    views = []
    for head in heads:
        try:
            views.append(await context.coordinator.run(head.key))
        except RunNotFound:
            continue  # deleted meanwhile
    return views


def display_name(context: Context, dag_id: str) -> str:
    plan = plan_of(context, dag_id)
    return dag_id if plan is None else plan.display_name or dag_id


def plan_of(context: Context, dag_id: str) -> DagPlan | None:
    """The DAG as it is served now; None where it is not any more."""
    try:
        return context.coordinator.catalog.find(dag_id)
    except DagcallError:
        return None
