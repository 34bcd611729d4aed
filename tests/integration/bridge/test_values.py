"""What a caller gets of what tasks return, and what a DAG accepts of what a caller sends."""

import json
from pathlib import Path
from typing import Any

import pytest

from dagcall.errors import DagUnsupported, InvalidParams

from ..serving import Serving

VALUES = """
import dataclasses, datetime, decimal, enum, pathlib, uuid
import pydantic
from airflow.sdk import dag, result, task

UTC = datetime.timezone.utc

@dataclasses.dataclass
class Point:
    x: int
    when: datetime.date

class Model(pydantic.BaseModel):
    name: str
    price: decimal.Decimal
    tags: set[str] = {"a"}

VALUES = {
    "datetime": lambda: datetime.datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
    "decimal": lambda: decimal.Decimal("1.10"),
    "dataclass": lambda: Point(1, datetime.date(2024, 5, 6)),
    "pydantic": lambda: Model(name="n", price=decimal.Decimal("2.50")),
    "tuple": lambda: (1, (2, 3)),
    "set": lambda: {5},
    "nan": lambda: [float("nan"), float("inf"), 1.5],
    "nested": lambda: {"a": [decimal.Decimal("0.1"), {"b": (datetime.datetime(2024, 1, 1, tzinfo=UTC),)}]},
    "nothing": lambda: None,
    "text": lambda: "Zoë \\ud83d\\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    "empty": lambda: [[], {}, "", 0, False],
    "big": lambda: 2**53 + 1,
    "date_time_zone": lambda: datetime.datetime(2024, 5, 6, 7, 8, 9, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
}

@dag(schedule=None, params={"which": "text"})
def values():
    @task
    def make(params):
        return VALUES[params["which"]]()

    return make()

values()
"""

PLAIN = {
    "datetime": "2024-05-06T07:08:09+00:00",
    "decimal": "1.10",
    "dataclass": {"x": 1, "when": "2024-05-06"},
    "pydantic": {"name": "n", "price": "2.50", "tags": ["a"]},
    "tuple": [1, [2, 3]],
    "set": [5],
    "nan": [None, None, 1.5],
    "nested": {"a": ["0.1", {"b": ["2024-01-01T00:00:00+00:00"]}]},
    "nothing": None,
    "text": "Zoë 😀",
    "empty": [[], {}, "", 0, False],
    "big": 2**53 + 1,
    "date_time_zone": "2024-05-06T07:08:09+02:00",
}


@pytest.fixture(scope="module")
def values(served: Serving) -> Serving:
    served.write("values.py", VALUES)
    served.wait_for_dag("values")
    return served


@pytest.mark.parametrize("which", PLAIN)
def test_plain_json(values: Serving, which: str) -> None:
    outcome = values.outcome(values.start("values", {"which": which}))
    assert outcome.failure is None, outcome.failure
    text = outcome.results.get("make", b"null")
    assert json.loads(text) == PLAIN[which]
    assert b"NaN" not in text


PARAMS = """
from datetime import datetime
from airflow.sdk import Param, dag, task

@dag(schedule=None, params={
    "count": Param(3, type="integer", minimum=1, description="how many"),
    "name": Param(type="string", maxLength=5),
    "maybe": Param(None, type=["null", "string"]),
    "day": Param("2024-01-01", type="string", format="date"),
    "when": Param(None, type=["null", "string"], format="date-time"),
    "choice": Param("a", enum=["a", "b", 3]),
    "nested": Param({"a": [1]}, type="object", properties={"a": {"type": "array", "items": {"type": "integer"}}},
                    required=["a"]),
    "free": 1,
})
def params():
    @task
    def give(params):
        return dict(params)
    return give()

params()
"""
DEFAULTS = {
    "count": 3,
    "maybe": None,
    "day": "2024-01-01",
    "when": None,
    "choice": "a",
    "nested": {"a": [1]},
    "free": 1,
}


@pytest.fixture(scope="module")
def with_params(served: Serving) -> Serving:
    served.write("params.py", PARAMS)
    served.wait_for_dag("params")
    return served


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"count": 5, "maybe": "x", "choice": 3, "nested": {"a": [], "b": 1}},
        {"free": [{"any": "thing"}], "when": "2024-01-01T00:00:00+00:00"},
    ],
)
def test_params_that_fit(with_params: Serving, sent: dict[str, Any]) -> None:
    assert with_params.call("params", {"name": "n", **sent}) == {**DEFAULTS, "name": "n", **sent}


def test_further_keys_are_allowed(with_params: Serving) -> None:
    run = with_params.start("params", {"name": "n", "unknown": 1})
    assert with_params.value_of(run)["name"] == "n"
    assert json.loads(run.machine.accepted.conf)["unknown"] == 1


@pytest.mark.parametrize(
    ("sent", "fields"),
    [
        ({}, {"name": "is required"}),
        ({"name": 5}, {"name": "5 is not of type 'string'"}),
        ({"name": "toolong"}, {"name": "'toolong' is too long"}),
        ({"name": None}, {"name": "None is not of type 'string'"}),
        ({"name": "n", "count": "5"}, {"count": "'5' is not of type 'integer'"}),
        ({"name": "n", "count": 0}, {"count": "0 is less than the minimum of 1"}),
        ({"name": "n", "count": True}, {"count": "True is not of type 'integer'"}),
        ({"name": "n", "maybe": 1}, {"maybe": "1 is not of type 'null', 'string'"}),
        ({"name": "n", "day": "yesterday"}, {"day": "'yesterday' is not a 'date'"}),
        ({"name": "n", "choice": "c"}, {"choice": "'c' is not one of ['a', 'b', 3]"}),
        ({"name": "n", "nested": {"a": [1, "x"]}}, {"nested.a[1]": "'x' is not of type 'integer'"}),
        ({"name": "n", "nested": {}}, {"nested": "'a' is a required property"}),
        ({"count": 0, "choice": 1}, {"count": None, "choice": None, "name": "is required"}),
    ],
)
def test_params_that_do_not_fit(with_params: Serving, sent: dict[str, Any], fields: dict[str, str | None]) -> None:
    with pytest.raises(InvalidParams) as caught:
        with_params.start("params", sent)
    found = {problem.field: problem.reason for problem in caught.value.errors}
    assert found.keys() == fields.keys()
    assert all(sentence is None or found[name] == sentence for name, sentence in fields.items()), found


BACKEND = """
import json, pathlib, uuid
from airflow.sdk.bases.xcom import BaseXCom

FOLDER = pathlib.Path({folder!r})

class Files(BaseXCom):
    @staticmethod
    def serialize_value(value, **kwargs):
        path = FOLDER / f"{{uuid.uuid4()}}.json"
        path.write_text(json.dumps(value))
        return BaseXCom.serialize_value("file:" + path.name)

    @staticmethod
    def deserialize_value(result):
        name = BaseXCom.deserialize_value(result)
        return json.loads((FOLDER / name.removeprefix("file:")).read_text())
"""

OVER_BACKEND = """
from airflow.sdk import dag, result, task

@dag(schedule=None)
def over_backend():
    @task
    def numbers():
        return [1, 2, 3]
    @task
    def double(number):
        return number * 2
    @result
    @task
    def total(numbers, doubled):
        return {"numbers": numbers, "sum": sum(doubled)}
    made = numbers()
    total(made, double.expand(number=made))

over_backend()
"""


def test_a_custom_xcom_backend_and_no_memoising(tmp_path: Path) -> None:
    """What dagcall keeps are the backend's references; the caller and the tasks get values."""
    store = tmp_path / "store"
    store.mkdir()
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "file_backend.py").write_text(BACKEND.format(folder=str(store)))
    with Serving(
        tmp_path / "dags",
        PYTHONPATH=str(tmp_path / "library"),
        AIRFLOW__CORE__XCOM_BACKEND="file_backend.Files",
        AIRFLOW__DAGCALL__MEMOISE="False",
    ) as serving:
        assert serving.coordinator.settings["memoised"] == []
        serving.write("over_backend.py", OVER_BACKEND)
        serving.wait_for_dag("over_backend")
        run = serving.start("over_backend")
        assert serving.value_of(run) == {"numbers": [1, 2, 3], "sum": 12}
        assert all(b"file:" in item.value for _, _, item in run.machine.xcoms.items())
    assert len(list(store.iterdir())) == 5


def test_a_refused_dag_is_listed_and_not_called(served: Serving) -> None:
    served.write(
        "refused.py",
        """
        from airflow.providers.standard.operators.bash import BashOperator
        from airflow.sdk import DAG

        with DAG("refused", schedule=None):
            BashOperator(task_id="sudo", bash_command="true", run_as_user="root")
        """,
    )
    served.wait_for_dag("refused")
    with pytest.raises(DagUnsupported) as caught:
        served.start("refused")
    (feature,) = caught.value.features
    assert (feature.task_id, feature.feature) == ("sudo", "run_as_user")
