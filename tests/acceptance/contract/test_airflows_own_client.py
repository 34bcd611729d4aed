"""`apache-airflow-client`, as it is, against every endpoint of `/api/v2` that is supported. The docstrings are the promises.

What the server sends is looked at twice: by the client's generated models, and, field by field, against Airflow's own
OpenAPI document.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import airflow_client.client as airflow
import pytest
from airflow_client.client.api import (
    AssetApi,
    ConnectionApi,
    DAGApi,
    DagRunApi,
    ImportErrorApi,
    MonitorApi,
    PoolApi,
    TaskApi,
    TaskInstanceApi,
    VariableApi,
    VersionApi,
    XComApi,
)
from airflow_client.client.exceptions import ApiException, BadRequestException, ConflictException, NotFoundException

from dagcall.server.routes import TABLE

from ..serving import Server, eventually
from .airflow_document import Operation, airflow_document

PAGE = (Path(__file__).parents[3] / "docs" / "api-compatibility.md").read_text()

pytestmark = pytest.mark.timeout(120)


@dataclass
class Heard:
    """What the client asked, and what was wrong with the answers to it."""

    answered: set[Operation] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    fields: dict[str, list[Any]] = field(default_factory=dict)
    """Every value of every field of every answer."""

    def note(self, body: Any) -> None:
        if isinstance(body, dict):
            for name, value in body.items():
                self.fields.setdefault(name, []).append(value)
                self.note(value)
        elif isinstance(body, list):
            for one in body:
                self.note(one)


@pytest.fixture(scope="module")
def heard() -> Heard:
    return Heard()


@pytest.fixture(scope="module")
def listening(shared: Server, heard: Heard) -> Iterator[airflow.ApiClient]:
    """The client; its connection is listened to."""
    document = airflow_document()
    with airflow.ApiClient(airflow.Configuration(host=shared.url)) as client:
        pool = client.rest_client.pool_manager
        stock = pool.request

        def request(method: str, url: str, *args: Any, **options: Any) -> Any:
            response = stock(method, url, *args, **options)
            operation = document.operation(method, url.removeprefix(shared.url).partition("?")[0])
            if response.status < 300:
                heard.answered.add(operation)
            text = response.data.decode()
            # A stream, and a log asked for as text, are no JSON document.
            if response.headers.get("Content-Type") == "application/json":
                heard.note(json.loads(text))
                faults = document.faults(operation, response.status, json.loads(text))
                heard.faults += [f"{' '.join(operation)} {response.status} {fault}" for fault in faults]
            return response

        pool.request = request
        yield client
        pool.clear()


@pytest.fixture
def api(listening: airflow.ApiClient, heard: Heard) -> Iterator[airflow.ApiClient]:
    heard.faults.clear()
    yield listening
    # 501 is what dagcall adds to the document.
    assert [fault for fault in heard.faults if "does not answer 501" not in fault] == []


def trigger(api: airflow.ApiClient, dag_id: str, **conf: object) -> str:
    body = airflow.TriggerDAGRunPostBody(conf=conf, logical_date=None)
    return str(DagRunApi(api).trigger_dag_run(dag_id, body).dag_run_id)


def ended(api: airflow.ApiClient, dag_id: str, **conf: object) -> str:
    """A run, once it has ended."""
    run_id = trigger(api, dag_id, **conf)
    DagRunApi(api).wait_dag_run_until_finished(dag_id, run_id, interval=1)
    return run_id


def status_of(error: pytest.ExceptionInfo[ApiException]) -> tuple[int | None, str]:
    return error.value.status, str(error.value.body)


def test_a_run_from_its_trigger_to_its_deletion(api: airflow.ApiClient) -> None:
    """Trigger, wait, read, delete: what scripts do."""
    runs = DagRunApi(api)
    run_id = trigger(api, "echo", question="why")
    waited = runs.wait_dag_run_until_finished("echo", run_id, interval=1, result=["t"])
    assert "success" in str(waited)  # the last line's object, or all lines as text where there were several
    run = runs.get_dag_run("echo", run_id)
    assert (run.state, run.conf, run.logical_date) == ("success", {"question": "why"}, None)
    listed = runs.get_dag_runs("~", dag_id_pattern="echo", state=["success"], order_by=["-run_after"], limit=1)
    assert listed.dag_runs[0].dag_run_id == run_id
    tasks = TaskInstanceApi(api)
    assert [one.task_id for one in tasks.get_task_instances("echo", run_id).task_instances] == ["t"]
    assert tasks.get_task_instance("echo", run_id, "t").state == "success"
    assert tasks.get_log("echo", run_id, "t", 1).content is not None
    entry = XComApi(api).get_xcom_entry("echo", "t", run_id, "return_value")
    assert entry.actual_instance.value == {"question": "why", "top_k": 3}
    assert XComApi(api).get_xcom_entries("echo", run_id, "t").total_entries == 3
    runs.delete_dag_run("echo", run_id)
    with pytest.raises(NotFoundException):
        runs.get_dag_run("echo", run_id)


def test_filters_of_runs(api: airflow.ApiClient) -> None:
    """Dates, duration, states, patterns, prefixes, version, order: each leaves what Airflow would leave."""
    runs, before = DagRunApi(api), datetime.now(UTC)
    ids = [ended(api, "echo", question=str(n)) for n in range(2)]
    mine = {"dag_id": "echo", "run_after_gte": before, "order_by": ["start_date"]}
    assert [one.dag_run_id for one in runs.get_dag_runs(**mine).dag_runs] == ids
    assert [one.dag_run_id for one in runs.get_dag_runs(**mine | {"order_by": ["-start_date"]}).dag_runs] == ids[::-1]
    page = runs.get_dag_runs(**mine, limit=1, offset=1)
    assert ([one.dag_run_id for one in page.dag_runs], page.total_entries) == (ids[1:], 2)
    version = page.dag_runs[0].bundle_version

    def total(**filters: Any) -> Any:
        return runs.get_dag_runs(**mine, **filters).total_entries

    assert total(start_date_gte=before, end_date_lte=datetime.now(UTC), duration_gte=0, duration_lt=60) == 2
    assert total(run_after_lt=before) == total(end_date_lt=before) == total(duration_gt=3600) == 0
    assert total(logical_date_gte=before) == 0  # these runs have none
    assert total(run_id_pattern=ids[0][3:]) == total(run_id_prefix_pattern=ids[0]) == 1
    assert total(dag_id_prefix_pattern="ec") == 2
    assert total(dag_id_prefix_pattern="ch") == total(dag_id_prefix_pattern="EC") == 0
    assert total(state=["success", "queued"], run_type=["manual"]) == 2
    assert total(state=["failed"]) == total(run_type=["asset_triggered"]) == 0
    assert (total(bundle_version=version), total(bundle_version="another")) == (2, 0)
    assert total(triggering_user_name_pattern="%") == 0  # nobody was asked who he is
    assert total(partition_key_pattern="a") == 0


def test_changes_of_a_run(api: airflow.ApiClient) -> None:
    """Setting a run to failed cancels it; a note is kept, and may be emptied; success cannot be set."""
    runs, dag_id = DagRunApi(api), "ends_with_its_file"
    run_id = trigger(api, dag_id, file="/nowhere/at/all")
    noted = runs.patch_dag_run(dag_id, run_id, airflow.DAGRunPatchBody(note="seen"))
    assert (noted.note, noted.state) == ("seen", "running")
    masked = airflow.DAGRunPatchBody(note="again", state="failed")
    assert runs.patch_dag_run(dag_id, run_id, masked, update_mask=["note"]).state == "running"
    assert runs.get_dag_run(dag_id, run_id).note == "again"
    listed = runs.get_dag_runs(dag_id, run_id_pattern=run_id).dag_runs
    assert [one.note for one in listed] == ["again"]
    with pytest.raises(ApiException) as refused:
        runs.patch_dag_run(dag_id, run_id, airflow.DAGRunPatchBody(state="success"))
    assert refused.value.status == 501
    runs.patch_dag_run(dag_id, run_id, airflow.DAGRunPatchBody(state="failed"))
    eventually(lambda: runs.get_dag_run(dag_id, run_id).state == "failed")
    assert runs.patch_dag_run(dag_id, run_id, airflow.DAGRunPatchBody(note="")).note == ""
    assert runs.get_dag_run(dag_id, run_id).note == ""


def test_mapped_task_instances(api: airflow.ApiClient) -> None:
    """Listed, filtered, read one by one, noted on: one instance, or all of the task."""
    tasks, run_id = TaskInstanceApi(api), ended(api, "squares", n=2)
    where = ("squares", run_id, "square")
    mapped = tasks.get_mapped_task_instances(*where, order_by=["-map_index"])
    assert [one.map_index for one in mapped.task_instances] == [1, 0]
    one = tasks.get_mapped_task_instance(*where, 1)
    assert (one.rendered_map_index, one.state) == ("1", "success")
    with pytest.raises(NotFoundException, match="map_index"):
        tasks.get_task_instance(*where)
    everywhere = {"dag_id": "squares", "dag_run_id": "~", "run_id_pattern": run_id}
    assert tasks.get_task_instances(**everywhere).total_entries == 4

    def total(**filters: Any) -> Any:
        return tasks.get_task_instances("squares", run_id, **filters).total_entries

    assert total(task_id="square") == total(rendered_map_index_pattern="%") == total(map_index=[0, 1]) == 2
    assert total(task_display_name_prefix_pattern="square") == 2
    assert total(pool=["default_pool"]) == total(pool_name_pattern="default") == total(queue_name_pattern="%") == 4
    assert total(operator_name_prefix_pattern="@task") == total(duration_gte=0, state=["success"]) == 4
    assert total(executor=["LocalExecutor"]) == total(duration_gt=3600) == total(try_number=[2]) == 0
    with pytest.raises(NotFoundException, match="no_such_group"):
        total(task_group_id="no_such_group")
    body = airflow.PatchTaskInstanceBody(note="odd")
    assert [each.note for each in tasks.patch_task_instance_by_map_index(*where, 1, body).task_instances] == ["odd"]
    assert [each.note for each in tasks.get_mapped_task_instances(*where).task_instances] == [None, "odd"]
    all_of_it = tasks.patch_task_instance(*where, airflow.PatchTaskInstanceBody(note="both"))
    assert [each.note for each in all_of_it.task_instances] == ["both", "both"]
    assert tasks.get_mapped_task_instance(*where, 0).note == "both"
    with pytest.raises(ApiException) as refused:
        tasks.patch_task_instance(*where, airflow.PatchTaskInstanceBody(new_state="success"))
    assert status_of(refused)[0] == 501
    tries = tasks.get_mapped_task_instance_tries(*where, 1).task_instances
    assert [(each.try_number, each.state, each.map_index) for each in tries] == [(1, "success", 1)]
    assert tasks.get_mapped_task_instance_try_details(*where, 1, 1).state == "success"


def test_tries(api: airflow.ApiClient, tmp_path: Path) -> None:
    """Of a task that was tried twice: both, the first as it failed."""
    tasks, file = TaskInstanceApi(api), tmp_path / "go"
    file.touch()
    run_id = ended(api, "tried_again", file=str(file))
    tries = tasks.get_task_instance_tries("tried_again", run_id, "t")
    assert [(one.try_number, one.state) for one in tries.task_instances] == [(1, "failed"), (2, "success")]
    assert tasks.get_task_instance_try_details("tried_again", run_id, "t", 1).state == "failed"
    with pytest.raises(NotFoundException, match="try_number"):
        tasks.get_task_instance_try_details("tried_again", run_id, "t", 3)


def test_a_deferred_task_shows_its_trigger(api: airflow.ApiClient, tmp_path: Path) -> None:
    """By class path, without its arguments, as in Airflow."""
    tasks, file = TaskInstanceApi(api), tmp_path / "go"
    run_id = trigger(api, "deferred_until_file", file=str(file))
    where = ("deferred_until_file", run_id, "until")
    eventually(lambda: tasks.get_task_instance(*where).state == "deferred")
    shown = tasks.get_task_instance(*where).trigger
    assert shown is not None
    assert (shown.classpath, shown.kwargs) == ("airflow.providers.standard.triggers.file.FileTrigger", "{}")
    assert abs(datetime.now(UTC) - shown.created_date) < timedelta(minutes=2)
    file.write_text("x")
    DagRunApi(api).wait_dag_run_until_finished("deferred_until_file", run_id, interval=1)
    assert tasks.get_task_instance(*where).trigger is None


def test_what_a_task_asks_of_people(api: airflow.ApiClient) -> None:
    """Listed, read, answered once; read again by try."""
    tasks, run_id = TaskInstanceApi(api), trigger(api, "asks_for_approval")
    where = ("asks_for_approval", run_id, "approve", -1)
    eventually(lambda: tasks.get_task_instance(*where[:3]).state == "awaiting_input")
    asked = tasks.get_hitl_details("~", "~", dag_id_prefix_pattern="asks", response_received=False)
    assert [one.subject for one in asked.hitl_details if one.task_instance.dag_run_id == run_id] == ["Ship it?"]
    answer = airflow.UpdateHITLDetailPayload(chosen_options=["Approve"])
    assert tasks.update_hitl_detail(*where, answer).chosen_options == ["Approve"]
    with pytest.raises(ConflictException):
        tasks.update_hitl_detail(*where, answer)
    assert tasks.get_hitl_detail(*where).response_received
    assert tasks.get_hitl_detail_try_detail(*where, 1).chosen_options == ["Approve"]
    with pytest.raises(NotFoundException):
        tasks.get_hitl_detail_try_detail(*where, 2)


def test_dags_and_their_tasks(api: airflow.ApiClient) -> None:
    dags = DAGApi(api)
    assert VersionApi(api).get_version().version.startswith("3.3.")
    assert MonitorApi(api).get_health().scheduler.status == "healthy"
    assert len(dags.get_dags(limit=5, order_by=["dag_id"]).dags) == 5
    assert dags.get_dag("echo").is_paused is False
    assert "question" in dags.get_dag_details("echo").params

    def found(**filters: Any) -> list[str]:
        return [one.dag_id for one in dags.get_dags(limit=100, **filters).dags]

    assert found(dag_id_prefix_pattern="ships|joins") == ["joins", "ships_orders"]
    assert found(dag_id_prefix_pattern="SHIPS") == found(is_favorite=True) == found(bundle_name="another") == []
    assert found(has_asset_schedule=True, asset_dependency="ORD") == ["ships_orders"]
    assert "echo" in found(has_asset_schedule=False, dag_display_name_prefix_pattern="echo")
    tasks = TaskApi(api)
    assert {one.task_id for one in tasks.get_tasks("chain_of_causes").tasks} == {"each", "between", "last"}
    assert tasks.get_task("chain_of_causes", "each").is_mapped
    errors = ImportErrorApi(api)
    broken = errors.get_import_errors(filename_prefix_pattern="bad").import_errors
    assert broken
    assert errors.get_import_errors(filename=broken[0].filename).import_errors == broken[:1]
    assert errors.get_import_error(broken[0].import_error_id).stack_trace == broken[0].stack_trace
    assert errors.get_import_errors(bundle_name="another").total_entries == 0


def test_assets_and_their_events(api: airflow.ApiClient) -> None:
    """Read; an event from outside is queued for a DAG that waits for two, and forgotten; what makes an asset is run."""
    assets = AssetApi(api)
    by_name = {one.name: one for one in assets.get_assets(limit=100).assets}
    left, orders = by_name["left"], by_name["orders"]
    assert assets.get_asset(orders.id).uri == orders.uri
    alias = assets.get_asset_aliases(name_pattern="invoices").asset_aliases[0]
    assert assets.get_asset_alias(alias.id)["name"] == "invoices"  # the document has no model for it
    ended(api, "writes_through_an_alias")
    run = assets.materialize_asset(orders.id, airflow.MaterializeAssetBody(dag_run_id=None))
    DagRunApi(api).wait_dag_run_until_finished(run.dag_id, run.dag_run_id, interval=1)
    made = assets.get_asset_events(asset_id=orders.id, source_run_id=run.dag_run_id).asset_events
    assert [event.source_dag_id for event in made] == ["takes_order"]
    started = eventually(
        lambda: (
            assets.get_asset_events(asset_id=orders.id, source_run_id=run.dag_run_id).asset_events[0].created_dagruns
        )
    )
    upstream = DagRunApi(api).get_upstream_asset_events(started[0].dag_id, started[0].run_id)
    assert run.dag_run_id in [event.source_run_id for event in upstream.asset_events]

    def update() -> None:
        assets.create_asset_event(airflow.CreateAssetEventsBody(asset_id=left.id, extra={}))

    update()
    assert assets.get_asset_queued_events(left.id).total_entries == 1
    assert assets.get_dag_asset_queued_events("joins").total_entries == 1
    assert assets.get_dag_asset_queued_event("joins", left.id).asset_id == left.id
    assets.delete_dag_asset_queued_event("joins", left.id)
    update()
    assets.delete_dag_asset_queued_events("joins")
    update()
    assets.delete_asset_queued_events(left.id)
    with pytest.raises(NotFoundException):
        assets.get_dag_asset_queued_event("joins", left.id)


def test_pools_variables_and_connections(api: airflow.ApiClient) -> None:
    """Created, refused when they exist, listed, read, changed, removed."""
    pools = PoolApi(api)
    pools.post_pool(airflow.PoolBody(name="client_pool", slots=3))
    with pytest.raises(ConflictException):
        pools.post_pool(airflow.PoolBody(name="client_pool", slots=3))
    assert pools.get_pools(pool_name_prefix_pattern="client").total_entries == 1
    changed = airflow.PoolPatchBody(pool="client_pool", slots=4, include_deferred=True)
    assert pools.patch_pool("client_pool", changed).slots == 4
    assert pools.get_pool("client_pool").open_slots == 4
    pools.delete_pool("client_pool")
    variables = VariableApi(api)
    body = airflow.VariableBody(key="client_variable", value="1")
    variables.post_variable(body)
    with pytest.raises(ConflictException):
        variables.post_variable(body)
    assert variables.get_variables(variable_key_prefix_pattern="client").total_entries == 1
    variables.patch_variable("client_variable", airflow.VariableBody(key="client_variable", value="2"))
    assert variables.get_variable("client_variable").value == "2"
    variables.delete_variable("client_variable")
    connections = ConnectionApi(api)
    http = airflow.ConnectionBody(connection_id="client_connection", conn_type="http", password="geheim")
    connections.post_connection(http)
    with pytest.raises(ConflictException):
        connections.post_connection(http)
    assert connections.get_connections(connection_id_prefix_pattern="client").total_entries == 1
    elsewhere = airflow.ConnectionBody(connection_id="client_connection", conn_type="http", host="example")
    connections.patch_connection("client_connection", elsewhere)
    shown = connections.get_connection("client_connection")
    assert (shown.host, shown.password) == ("example", "***")
    connections.delete_connection("client_connection")


def test_what_is_refused(api: airflow.ApiClient) -> None:
    """As the client's own exceptions, with the status, and Airflow's `detail`."""
    with pytest.raises(ApiException) as refused:
        DAGApi(api).patch_dag("echo", airflow.DAGPatchBody(is_paused=True))
    assert refused.value.status == 501
    with pytest.raises(BadRequestException, match="top_k"):
        trigger(api, "echo", top_k="many")
    with pytest.raises(NotFoundException, match="was not found"):
        DagRunApi(api).get_dag_run("echo", "no-such-run")
    with pytest.raises(BadRequestException, match="Ordering"):
        DagRunApi(api).get_dag_runs("echo", order_by=["no_such_column"])
    with pytest.raises(ApiException) as cleared:
        TaskInstanceApi(api).post_clear_task_instances("echo", airflow.ClearTaskInstancesBody())
    status, body = status_of(cleared)
    assert (status, "Airflow's UI" in body) == (501, True)
    with pytest.raises(ApiException) as cursor:
        DagRunApi(api).get_dag_runs("echo", cursor="")
    assert "'cursor'" in status_of(cursor)[1]


CONSTANT = {
    None: "last_scheduling_decision partition_key partition_date dag_version "
    "executor unixname triggerer_job next_cursor previous_cursor total_entries_limit next_dagrun_logical_date "
    "next_dagrun_run_after last_parsed_time last_parse_duration last_expired default_args template_search_path "
    "owner_links latest_dag_version last_parsed git_version team_name",
    False: "is_paused is_stale is_backfillable timetable_periodic timetable_partitioned is_favorite",
    "{}": "executor_config",
}
"""What docs/api-compatibility.md says of fields, but for those whose names have another meaning elsewhere."""


def test_every_supported_endpoint_was_answered(heard: Heard, request: pytest.FixtureRequest) -> None:
    """And what is said to be always null, or false, is so in all answers to the tests above."""
    mine = {one.name for one in request.session.items if one.path == request.node.path}
    everything = {name for name in globals() if name.startswith("test_")}
    if not everything <= mine:
        pytest.skip("only a part of the suite was run")
    supported = {(route.method, route.openapi_path) for route in TABLE} & airflow_document().operations.keys()
    assert supported - heard.answered == {("PATCH", "/api/v2/dags/{dag_id}")}  # answers 501: DAGs are never paused
    for value, names in CONSTANT.items():
        for name in names.split():
            assert all(seen == value and type(seen) is type(value) for seen in heard.fields[name]), name
            assert f"`{name}`" in PAGE or name.startswith(("next_dagrun", "is_favorite"))
    assert all(versions == [] for versions in heard.fields["dag_versions"])
