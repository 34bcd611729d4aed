"""One DAG for each thing that a call can be answered with."""

import dataclasses
import datetime
import decimal
import os
import time
from typing import Any

import pydantic
from airflow.sdk import Asset, Param, dag, result, task

import dagcall

HOW = {"left": Param("value", type="string"), "right": Param("value", type="string")}
FILE = {"file": Param("", type="string")}


@dataclasses.dataclass
class Guest:
    name: str
    since: datetime.date


class Room(pydantic.BaseModel):
    number: int
    price: decimal.Decimal


def wait_for(file: str) -> None:
    while file and not os.path.exists(file):
        time.sleep(0.01)


def act(how: str) -> str | None:
    """value, nothing, skip, fail; or wait for a file of that name."""
    if how == "skip":
        from airflow.sdk.exceptions import AirflowSkipException

        raise AirflowSkipException("as asked")
    if how == "fail":
        raise LookupError("no such room")
    if "/" in how:
        wait_for(how)
    return None if how == "nothing" else how


@dag(schedule=None)
def plain_json() -> None:
    """More than JSON, as JSON."""

    @result
    @task
    def t() -> dict[str, Any]:
        return {
            "datetime": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
            "decimal": decimal.Decimal("1.50"),
            "dataclass": Guest("Ada", datetime.date(2026, 1, 2)),
            "pydantic": Room(number=7, price=decimal.Decimal("99.90")),
            "tuple": (1, "a"),
            "set": {3},
            "nan": float("nan"),
            "infinity": float("inf"),
            "none": None,
            "text": "Zo\u00eb",
            "integer": 2**63,
        }

    t()


@dag(schedule=None, params={"values": Param([1, 2], type="array")})
def mapped() -> None:
    """Its result task is mapped; a member that is negative is skipped, and zero fails."""

    @task
    def numbers(params: dict[str, Any]) -> list[int]:
        return list(params["values"])

    @result
    @task
    def inverse(x: int) -> float:
        if x < 0:
            act("skip")
        return 1 / x

    inverse.expand(x=numbers())


@dag(schedule=None, params=HOW)
def two_results() -> None:
    """Two result tasks, each as its param says."""

    @result
    @task
    def left(params: dict[str, Any]) -> str | None:
        return act(params["left"])

    @result
    @task
    def right(params: dict[str, Any]) -> str | None:
        return act(params["right"])

    left()
    right()


@dag(schedule=None, params={"how": Param("value", type="string"), **FILE})
def state_only() -> None:
    """No result task, and a teardown that takes as long as a file is not there."""

    @task
    def start() -> None:
        pass

    @task
    def work(params: dict[str, Any]) -> str | None:
        return act(params["how"])

    @task
    def finish(params: dict[str, Any]) -> None:
        wait_for(params["file"])

    opened = start()
    opened >> work() >> finish().as_teardown(setups=opened)


@dag(schedule=None)
def fails_in_success() -> None:
    """The result fails, the run succeeds."""

    @result
    @task
    def t() -> None:
        act("fail")

    @task(trigger_rule="all_done")
    def after() -> None:
        pass

    t() >> after()


@dag(schedule=None, dagrun_timeout=datetime.timedelta(seconds=0.3))
def out_of_time() -> None:
    @result
    @task
    def t() -> None:
        time.sleep(30)

    t()


@dag(schedule=None)
def task_out_of_time() -> None:
    @result
    @task(execution_timeout=datetime.timedelta(seconds=0.3))
    def t() -> None:
        time.sleep(30)

    t()


@dag(schedule=None)
def chain_of_causes() -> None:
    """One of three instances fails, and with it what comes after."""

    @task
    def each(x: int) -> float:
        return 1 / x

    @task
    def between(values: list[float]) -> float:
        return sum(values)

    @result
    @task
    def last(value: float) -> float:
        return value

    last(between(each.expand(x=[1, 0, 2])))  # type: ignore[arg-type]


@dag(schedule=None, params=FILE)
def tried_again() -> None:
    """Fails once, and then waits for a file."""

    @result
    @task(retries=1, retry_delay=0.0)
    def t(params: dict[str, Any], ti: Any = None) -> int:
        if ti.try_number == 1:
            raise LookupError("not yet")
        wait_for(params["file"])
        return int(ti.try_number)

    t()


@dag(schedule=None, params=FILE)
def a_teardown_follows() -> None:
    """The value is known long before the run has ended: its teardown waits for a file."""

    @task
    def start() -> str:
        return "resource"

    @result
    @task
    def value(name: str) -> str:
        return f"value of {name}"

    @task
    def finish(params: dict[str, Any]) -> None:
        wait_for(params["file"])

    opened = start()
    value(opened) >> finish().as_teardown(setups=opened)


@dag(schedule=None, params=FILE)
def ends_with_its_file() -> None:
    """What is cancelled, detached, left alone."""

    @result
    @task
    def t(params: dict[str, Any]) -> str:
        wait_for(params["file"])
        return "done"

    t()


@dag(schedule=None, params={"with_value": Param(False, type="boolean")})
def updates_an_asset() -> None:
    """Nothing but an asset; or a value and an asset."""

    @result
    @task(outlets=[Asset("report", uri="s3://reports/today")])
    def t(params: dict[str, Any], outlet_events: Any) -> str | None:
        outlet_events[Asset("report", uri="s3://reports/today")].extra = {"rows": 3}
        return "written" if params["with_value"] else None

    t()


@dag(
    schedule=None,
    description="Its params are its value.",
    params={
        "question": Param("?", type="string", minLength=1, description="What is asked"),
        "top_k": Param(3, type="integer", minimum=1, maximum=9),
    },
)
def echo() -> None:
    @result
    @task
    def t(params: dict[str, Any]) -> dict[str, Any]:
        return dict(params)

    t()


@dag(schedule=None)
def speaks() -> None:
    """Partial results, the first try's void."""

    @result
    @task(retries=1, retry_delay=0.0)
    def words(ti: Any = None) -> str:
        for word in ("once", "upon"):
            dagcall.emit(word)
        if ti.try_number == 1:
            raise LookupError("a time")
        return "the end"

    words()


plain_json()
mapped()
two_results()
state_only()
fails_in_success()
out_of_time()
task_out_of_time()
chain_of_causes()
tried_again()
a_teardown_follows()
ends_with_its_file()
updates_an_asset()
echo()
speaks()
