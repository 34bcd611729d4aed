"""The delay before a retry is Airflow's own, to the second, jitter included."""

import itertools
import json
import subprocess
import sys

from dagcall.core.retries import retry_delay
from dagcall.model.plan import Retry

STOCK = """
import json, sys
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
import pendulum
from airflow.models.taskinstance import TaskInstance

end = datetime(2024, 1, 1, tzinfo=timezone.utc)
for delay, backoff, longest, date, number in json.load(sys.stdin):
    ti = SimpleNamespace(
        retry_delay_override=None,
        dag_id="d",
        task_id="t",
        logical_date=None if date is None else pendulum.from_timestamp(date),
        try_number=number,
        end_date=end,
        log=SimpleNamespace(warning=lambda text: None),
        task=SimpleNamespace(
            retry_delay=timedelta(seconds=delay),
            retry_exponential_backoff=backoff,
            max_retry_delay=None if longest is None else timedelta(seconds=longest),
        ),
    )
    print((TaskInstance.next_retry_datetime(ti) - end).total_seconds())
"""


def test_retry_delays_are_airflows() -> None:
    cases = list(
        itertools.product(
            [0.0, 0.5, 30.0, 300.0],
            [0.0, 1.0, 1.5, 2.0],
            [None, 45.0],
            [None, 1704067200.0, 1704067200.25],
            [1, 2, 9, 2000],
        )
    )
    stock = subprocess.run(
        [sys.executable, "-c", STOCK], input=json.dumps(cases), capture_output=True, text=True, check=True
    )
    expected = [float(line) for line in stock.stdout.splitlines()[-len(cases) :]]
    ours = [
        retry_delay(Retry(9, delay, backoff, longest), "d", "t", date, number)
        for delay, backoff, longest, date, number in cases
    ]
    assert [pair for pair in zip(cases, ours, expected, strict=True) if pair[1] != pair[2]] == []
