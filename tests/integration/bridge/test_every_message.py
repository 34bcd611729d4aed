"""Every type of message of the Task SDK's supervisor protocol is answered, or refused as stock Airflow refuses it; and
each that is answered has a test in which a real task sends it."""

from pathlib import Path
from typing import get_args

import pytest
from airflow.sdk.execution_time import comms as sdk

from dagcall.airflow_bridge.comms import HANDLERS

from ..serving import Serving, eventually

TESTS = Path(__file__).parent.parent
COVERED = {
    "bridge/test_xcoms.py": {
        "test_xcoms_of_other_tasks_and_runs_are_set_and_deleted_for_good": ("SetXCom", "DeleteXCom", "GetXCom"),
        "test_what_comes_after_the_end_is_kept": ("SetRenderedFields",),
    },
    "bridge/test_comms.py": {
        "test_the_collected_values_of_a_mapped_task_are_a_sequence": (
            "GetXComCount",
            "GetXComSequenceItem",
            "GetXComSequenceSlice",
        ),
        "test_a_retry_begins_without_the_xcoms_of_the_last_try": ("RetryTask", "SucceedTask"),
        "test_what_is_not_supported_is_said_in_a_sentence": ("TaskState",),
    },
    "bridge/test_branches_and_limits.py": {"test_a_branch_that_is_not_taken_is_skipped": ("SkipDownstreamTasks",)},
    "bridge/test_variables.py": {
        "test_variables": ("GetVariable", "GetVariableKeys", "PutVariable", "DeleteVariable"),
        "test_connections": ("GetConnection",),
        "test_what_a_task_keeps_for_its_next_try": (
            "GetTaskStateStore",
            "SetTaskStateStore",
            "DeleteTaskStateStore",
            "ClearTaskStateStore",
        ),
    },
    "bridge/test_asset_states.py": {
        "test_what_tasks_keep_for_an_asset": tuple(
            f"{what}AssetStateStoreBy{by}" for what in ("Get", "Set", "Delete", "Clear") for by in ("Name", "Uri")
        )
    },
    "bridge/test_masking.py": {"test_what_is_masked": ("MaskSecret",)},
    "bridge/test_supervisor_socket.py": {
        "test_another_python_with_airflow_asks_for_everything": ("ResendLoggingFD",),
    },
    "bridge/test_every_message.py": {
        "test_labels_of_mapped_instances": ("SetRenderedMapIndex",),
        "test_asked_by_uri_and_for_a_run": ("GetAssetByUri", "GetDagRun"),
    },
    "runs/test_questions_about_runs.py": {
        "test_its_own_run": (
            "GetDRCount",
            "GetDag",
            "GetDagRunState",
            "GetTICount",
            "GetTaskBreadcrumbs",
            "GetTaskStates",
        ),
        "test_runs_of_other_logical_dates": ("GetPrevSuccessfulDagRun", "GetPreviousDagRun", "GetPreviousTI"),
        "test_triggering_a_run": ("TriggerDagRun",),
    },
    "runs/test_human_input.py": {"test_approval": ("AwaitInputTask", "CreateHITLDetailPayload")},
    "suspension/test_reschedule.py": {
        "test_a_rescheduled_try_has_one_log_one_number_and_one_id": ("GetTaskRescheduleStartDate", "RescheduleTask"),
    },
    "assets/test_events.py": {
        "test_inlet_events_filtered_ordered_and_limited": (
            "GetAssetByName",
            "GetAssetEventByAsset",
            "GetAssetEventByAssetAlias",
            "GetAssetsByAlias",
            "ValidateInletsAndOutlets",
        ),
    },
    "runs/test_waiting_for_runs.py": {"test_a_parent_is_suspended_until_its_child_has_ended": ("DeferTask",)},
}
"""By test: the types of message that its tasks send."""

REFUSED = {"GetHITLDetailResponse", "UpdateHITLDetail"}
"""Only triggers send them: Airflow's supervisor of tasks answers them with 'Unhandled request'."""


def test_every_type_is_answered_or_refused() -> None:
    union, _ = get_args(sdk.ToSupervisor)
    types = {kind.__name__ for kind in get_args(union)}
    ours = {"FromBackend"}  # asked by the stand-in for the secrets backend
    assert {kind.__name__ for kind in HANDLERS} - ours == types - REFUSED
    covered = [name for tests in COVERED.values() for names in tests.values() for name in names]
    assert sorted(covered) == sorted(types - REFUSED)


@pytest.mark.parametrize("file", COVERED)
def test_the_tests_exist(file: str) -> None:
    text = (TESTS / file).read_text()
    assert [name for name in COVERED[file] if f"def {name}(" not in text] == []


def test_labels_of_mapped_instances(served: Serving) -> None:
    served.write(
        "labels.py",
        """
from airflow.sdk import dag, get_current_context, task

@dag(schedule=None)
def labels():
    @task(map_index_template="{{ task.op_kwargs['n'] }}: {{ said }}")
    def each(n):
        get_current_context()["said"] = f"word {n}"
        if n == 2:
            raise ValueError("no")
    each.expand(n=[1, 2])
labels()
""",
    )
    served.wait_for_dag("labels")
    run = served.start("labels")
    eventually(lambda: run.head.state.is_final, "the end of both instances")  # one of them decides the outcome
    labels = [ti.rendered_map_index for ti in run.machine.instances()]
    assert labels == ["1: word 1", "2: word 2"]


def test_asked_by_uri_and_for_a_run(served: Serving) -> None:
    served.write(
        "asked_by_uri.py",
        """
from airflow.sdk import Asset, dag, task

@dag(schedule=None)
def asked_by_uri():
    @task(outlets=[Asset("by_uri", "s3://asked/by-uri")])
    def make(outlet_events):
        outlet_events[Asset.ref(uri="s3://asked/by-uri")].extra = {"n": 1}
    @task(inlets=[Asset.ref(uri="s3://asked/by-uri")])
    def look(inlet_events):
        event = inlet_events[Asset.ref(uri="s3://asked/by-uri")][-1]
        return [event.extra, event.source_task_instance.dag_run.dag_id]
    make() >> (looked := look())
    return looked
asked_by_uri()
""",
    )
    served.wait_for_dag("asked_by_uri")
    assert served.call("asked_by_uri") == [{"n": 1}, "asked_by_uri"]


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_refused_is_refused_in_a_sentence(served: Serving, name: str) -> None:
    message = {
        "GetHITLDetailResponse": "comms.GetHITLDetailResponse(ti_id=ti.id)",
        "UpdateHITLDetail": "comms.UpdateHITLDetail(ti_id=ti.id, chosen_options=['a'], params_input={})",
    }[name]
    dag_id = f"refused_{name.lower()}"
    served.write(
        f"{dag_id}.py",
        f"""
from airflow.sdk import dag, task

@dag(schedule=None)
def {dag_id}():
    @task
    def ask(ti=None):
        from airflow.sdk.execution_time import comms, task_runner
        task_runner.SUPERVISOR_COMMS.send({message})
    return ask()
{dag_id}()
""",
    )
    served.wait_for_dag(dag_id)
    assert f"{name} is not supported by dagcall" in served.failure(dag_id).message
