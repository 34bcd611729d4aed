"""Sensors end as in stock Airflow, and hold no worker between two pokes."""

from collections.abc import Callable
from typing import Any

import pytest

from dagcall.model.events import AttemptStarted

from ..serving import Serving, eventually

DAGS = [
    "rescheduled",
    "rescheduled_too_long",
    "rescheduled_and_retried",
    "rescheduled_ends",
    "rescheduled_map",
    "poked",
]


@pytest.mark.parametrize("dag_id", DAGS)
def test_sensors_end_as_in_stock_airflow(
    stock: Callable[[str], Any], end_of: Callable[..., dict[str, Any]], dag_id: str
) -> None:
    assert end_of(dag_id) == stock("sensors.py")[dag_id]


def test_a_rescheduled_try_has_one_log_one_number_and_one_id(waiting: Serving) -> None:
    run = waiting.start("rescheduled")
    eventually(lambda: run.head.state.is_final, "its end")
    log = waiting.log(run, "third")
    assert [f"poke {number}" in log for number in range(4)] == [True, True, True, False]
    starts = [record.event for record in run.records if isinstance(record.event, AttemptStarted)]
    assert [start.attempt for start in starts] == [1, 2, 3, 4]
    told = [record.data["state"] for record in run.records if record.data.get("task_id") == "third"]
    assert told == [*["running", "up_for_reschedule", "queued"] * 2, "running", "success"]
