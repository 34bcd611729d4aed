"""`apache-airflow-client`, as it is, against `/api/v2`. The docstrings are the promises."""

from collections.abc import Iterator

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

from ..serving import Server, eventually


@pytest.fixture(scope="module")
def api(shared: Server) -> Iterator[airflow.ApiClient]:
    with airflow.ApiClient(airflow.Configuration(host=shared.url)) as client:
        yield client
        client.rest_client.pool_manager.clear()


def trigger(api: airflow.ApiClient, dag_id: str, **conf: object) -> str:
    body = airflow.TriggerDAGRunPostBody(conf=conf, logical_date=None)
    return str(DagRunApi(api).trigger_dag_run(dag_id, body).dag_run_id)


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
    with pytest.raises(airflow.exceptions.NotFoundException):
        runs.get_dag_run("echo", run_id)


def test_setting_a_run_to_failed(api: airflow.ApiClient) -> None:
    runs = DagRunApi(api)
    run_id = trigger(api, "ends_with_its_file", file="/nowhere/at/all")
    runs.patch_dag_run("ends_with_its_file", run_id, airflow.DAGRunPatchBody(state="failed"))
    eventually(lambda: runs.get_dag_run("ends_with_its_file", run_id).state == "failed")


def test_what_is_read(api: airflow.ApiClient) -> None:
    """Version, health, DAGs, tasks, import errors, pools, variables, connections, assets and their events."""
    assert VersionApi(api).get_version().version.startswith("3.3.")
    assert MonitorApi(api).get_health().scheduler.status == "healthy"
    dags = DAGApi(api)
    assert len(dags.get_dags(limit=5, order_by=["dag_id"]).dags) == 5
    assert dags.get_dag("echo").is_paused is False
    assert "question" in dags.get_dag_details("echo").params
    assert {one.task_id for one in TaskApi(api).get_tasks("chain_of_causes").tasks} == {"each", "between", "last"}
    assert ImportErrorApi(api).get_import_errors().total_entries >= 2
    assert PoolApi(api).get_pools().pools[0].name == "default_pool"
    assert VariableApi(api).get_variables().total_entries >= 0
    assert ConnectionApi(api).get_connections().total_entries >= 0
    assert AssetApi(api).get_assets().total_entries >= 1
    assert AssetApi(api).get_asset_events().total_entries >= 0


def test_what_is_refused(api: airflow.ApiClient) -> None:
    """As the client's own exceptions, with the status."""
    with pytest.raises(airflow.ApiException) as refused:
        DAGApi(api).patch_dag("echo", airflow.DAGPatchBody(is_paused=True))
    assert refused.value.status == 501
    with pytest.raises(airflow.exceptions.BadRequestException, match="top_k"):
        trigger(api, "echo", top_k="many")
