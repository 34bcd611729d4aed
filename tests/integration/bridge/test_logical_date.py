"""What only a call with a logical date has, against stock Airflow's context of the same DAG."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from dagcall.check import check_folder
from dagcall.errors import DagUnsupported

from ..serving import Serving

DATE = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)

DATED = """
from datetime import datetime, timedelta
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, CronDataIntervalTimetable, CronTriggerTimetable, DeltaDataIntervalTimetable, result, task

SCHEDULES = {
    "dated_none": None,
    "dated_daily": "@daily",
    "dated_interval": CronDataIntervalTimetable("0 6 * * *", timezone="UTC"),
    "dated_delta": DeltaDataIntervalTimetable(timedelta(hours=5)),
    "dated_trigger": CronTriggerTimetable("0 3 * * *", timezone="UTC", interval=timedelta(hours=2)),
}
NAMES = ("logical_date", "ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz",
         "data_interval_start", "data_interval_end", "task_instance_key_str")

for dag_id, schedule in SCHEDULES.items():
    with DAG(dag_id, schedule=schedule, start_date=datetime(2026, 1, 1)) as dag:

        @result
        @task
        def names(**context):
            return {name: str(context.get(name)) for name in NAMES if name in context}

        names()
    globals()[dag_id] = dag

with DAG("templates", schedule=None, params={"which": "ds"}):
    BashOperator(task_id="ds", bash_command="echo {{ ds }}")
    BashOperator(task_id="macro", bash_command="echo {{ macros.ds_add(ds, 7) }} {{ ts_nodash }}")
    BashOperator(task_id="nested", bash_command="true", env={"A": "{{ data_interval_end }}"})
    BashOperator(task_id="file", bash_command="dated.sh")
    BashOperator(task_id="none", bash_command="echo {{ run_id }} {{ dag_run.run_after }} {{ params.which }}")
    BashOperator.partial(task_id="mapped").expand(bash_command=["echo {{ logical_date }}", "true"])

    @task
    def parameter(ds=None, given="x"):
        return ds

    @task
    def given(ts=None):
        return ts

    parameter()
    given(ts="of my own")

with DAG("undated", schedule=None):
    BashOperator(task_id="t", bash_command="echo {{ ds }}")
with DAG("undated_key", schedule=None):

    @task
    def t(**context):
        return context["data_interval_start"]

    t()

with DAG("past", schedule=None, params={"code": 0}):
    first = BashOperator(task_id="first", bash_command="exit {{ params.code }}", depends_on_past=True)
    first >> BashOperator(task_id="second", bash_command="true")
"""

STOCK = """
import json, sys
from datetime import datetime
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.serialization.encoders import coerce_to_core_timetable
from airflow.sdk import timezone
import pendulum
from pathlib import Path
folder, date, found = sys.argv[1], pendulum.instance(datetime.fromisoformat(sys.argv[2])), {}
bag = BundleDagBag(dag_folder=folder, bundle_path=Path(folder), bundle_name="b", safe_mode=False, load_op_links=False)
for dag_id, dag in bag.dags.items():
    if dag_id.startswith("dated_"):
        interval = coerce_to_core_timetable(dag.timetable).infer_manual_data_interval(run_after=date)
        found[dag_id] = [str(interval.start), str(interval.end)]
print(json.dumps(found))
"""


@pytest.fixture(scope="module", autouse=True)
def files(served: Serving) -> None:
    served.write("dated.sh", "echo {{ ds }}\n")
    served.write("dated_dags.py", DATED)
    served.wait_for_dag("dated_none", "past")


@pytest.fixture(scope="module")
def intervals(served: Serving) -> dict[str, list[str]]:
    """As Airflow's own timetables infer them for a run triggered by hand, in a process of its own."""
    command = [sys.executable, "-c", dedent(STOCK), str(served.folder / "dated_dags.py"), DATE.isoformat()]
    environment = os.environ | {"AIRFLOW_HOME": str(served.home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = json.loads(answer.stdout.splitlines()[-1])
    return found


def names_of(served: Serving, dag_id: str, **more: Any) -> dict[str, str]:
    found: dict[str, str] = served.call(dag_id, **more)
    return found


@pytest.mark.parametrize("dag_id", ["dated_none", "dated_daily", "dated_interval", "dated_delta", "dated_trigger"])
def test_names_and_interval_are_those_of_a_manual_run(
    served: Serving, intervals: dict[str, list[str]], dag_id: str
) -> None:
    found = names_of(served, dag_id, logical_date=DATE.timestamp())
    assert found == {
        "logical_date": "2026-02-03 04:05:06+00:00",
        "ds": "2026-02-03",
        "ds_nodash": "20260203",
        "ts": "2026-02-03T04:05:06+00:00",
        "ts_nodash": "20260203T040506",
        "ts_nodash_with_tz": "20260203T040506+0000",
        "data_interval_start": intervals[dag_id][0],
        "data_interval_end": intervals[dag_id][1],
        "task_instance_key_str": f"{dag_id}__names__20260203",
    }


def test_without_one_the_names_do_not_exist(served: Serving) -> None:
    assert set(names_of(served, "dated_daily")) == {"task_instance_key_str"}


def test_error_says_what_to_do(served: Serving) -> None:
    failure = served.failure("undated")
    assert failure.message == (
        "'ds' is undefined. This run has no logical date: pass `logical_date` with the call to have ds."
    )
    assert "pass `logical_date`" in served.failure("undated_key").message
    assert served.call("undated", logical_date=DATE.timestamp()) is None


def test_who_uses_it_is_noted(served: Serving) -> None:
    rows = [row for row in check_folder(str(served.folder)) if row.dag_id == "templates" and row.kind == "note"]
    assert {row.task_id: row.reason.split("(")[1].split(")")[0] for row in rows} == {
        "ds": "ds",
        "macro": "ds, ts_nodash",
        "nested": "data_interval_end",
        "file": "ds",
        "mapped": "logical_date",
        "parameter": "ds",
    }
    assert {row.feature for row in rows} == {"logical date"}


def test_past_is_the_run_with_the_date_before(served: Serving) -> None:
    served.failure("past", {"code": 1})  # without a date: nobody's past
    assert served.call("past", logical_date=DATE.timestamp()) is None
    assert served.call("past", logical_date=DATE.timestamp() + 1) is None
    served.failure("past", {"code": 1}, logical_date=DATE.timestamp() + 2, run_id="went_wrong")
    with pytest.raises(
        DagUnsupported, match="in run 'went_wrong', the one with the date before, first did not end well"
    ):
        served.start("past", logical_date=DATE.timestamp() + 3)
    assert served.call("past") is None
    assert served.call("past", logical_date=DATE.timestamp() + 1.5) is None


def test_names_are_all_that_airflow_ties_to_a_date() -> None:
    from dagcall.airflow_bridge.logical_date import NAMES

    source = (Path(sys.modules["airflow"].__file__ or "").parent / "sdk/execution_time/task_runner.py").read_text()
    dated = source.split("if logical_date := coerce_datetime(dag_run.logical_date):")[1].split("# Backward")[0]
    assert {name for name in NAMES if f'"{name}":' in dated} == set(NAMES)
    assert dated.count('": ') == len(NAMES) + 1  # and `task_instance_key_str`, which exists without one too
