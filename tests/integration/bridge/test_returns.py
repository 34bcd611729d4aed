"""Return annotations of result tasks, as the loader reads them, and the values that tasks really return."""

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from dagcall.model.answers import ASSET, REFERENCE
from dagcall.model.plan import DagPlan

from ..serving import Serving, eventually

HEAD = """
from __future__ import annotations
import dataclasses, datetime, decimal, enum, pathlib, typing, uuid
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, TypedDict
import pydantic
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, Asset, BaseOperator, ObjectStoragePath, dag, result, task
if TYPE_CHECKING:
    from nowhere import Unknown

class Colour(enum.Enum):
    RED = "red"

class Model(pydantic.BaseModel):
    n: int = pydantic.Field(ge=0, alias="N")
    colour: Colour = Colour.RED
    when: datetime.datetime
    lasts: datetime.timedelta
    price: decimal.Decimal
    below: list[Model] = []
    model_config = {"populate_by_name": True}

@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0

class Inner(TypedDict):
    id: uuid.UUID

class Options(TypedDict):
    name: str
    inner: NotRequired[list[Inner]]

class Page(pydantic.BaseModel, typing.Generic[T := typing.TypeVar("T")]):
    items: list[T]

class DataFrame:
    __module__ = "pandas.core.frame"

pandas = type("pandas", (), {"DataFrame": DataFrame})

@dataclasses.dataclass
class Report:
    title: str
    source: Asset | None

class Odd(pydantic.BaseModel):
    n: int
    model_config = {"json_schema_extra": {"examples": [object()]}}

class Own(BaseOperator):
    def execute(self, context) -> int:
        return 3

def model() -> Model:
    return Model(
        n=1, when=datetime.datetime(2026, 1, 1), lasts=datetime.timedelta(seconds=90), price=decimal.Decimal("1E+2"),
        below=[Model(n=2, when=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
                     lasts=datetime.timedelta(0), price=decimal.Decimal("0.1"))],
    )
"""

HONEST = {
    "text": "def f() -> str: return 'x'",
    "nothing": "def f() -> None: pass",
    "whatever": "def f() -> Any: return [1, {'a': None}]",
    "numbers": "def f() -> dict[str, list[int | None]]: return {'a': [1, None]}",
    "pair": "def f() -> tuple[int, str]: return (1, 'x')",
    "choice": "def f() -> Literal['a', 'b']: return 'b'",
    "bounded": "def f() -> Annotated[int, pydantic.Field(ge=3)]: return 3",
    "a_set": "def f() -> set[int]: return {1, 2}",
    "point": "def f() -> Point: return Point(1.5)",
    "points": "def f() -> list[Point]: return [Point(1.5), Point(2)]",
    "typed_dict": "def f() -> Options: return {'name': 'a', 'inner': [{'id': uuid.UUID(int=1)}]}",
    "typed_dicts": "def f() -> list[Options] | None: return [{'name': 'a'}]",
    "day": "def f() -> datetime.date: return datetime.date(2026, 1, 31)",
    "generic": "def f() -> Page[int]: return Page[int](items=[1, 2])",
    "pydantic": "def f() -> Model: return model()",
    "models": "def f() -> dict[str, Model]: return {'a': model()}",
    "awaited": "async def f() -> int: return 3",
}

SPECIAL = {
    "raw": ("def f() -> bytes: ...", REFERENCE),
    "path": ("def f() -> ObjectStoragePath: ...", REFERENCE),
    "maybe_path": ("def f() -> ObjectStoragePath | None: ...", {"anyOf": [REFERENCE, {"type": "null"}]}),
    "asset": ("def f() -> Asset: ...", ASSET),
    "paths": ("def f() -> list[ObjectStoragePath]: ...", {"type": "array", "items": REFERENCE}),
    "frame": ("def f() -> pandas.DataFrame: ...", REFERENCE),
}

UNCLEAR = {
    "unknown": "def f() -> Unknown: ...",
    "a_class": "class Plain: pass\n\ndef f() -> list[Plain]: ...",
    "odd": "def f() -> Odd: ...",
}


def indented(text: str) -> str:
    return (
        text.replace("\n", "\n    ")
        .replace("    def f", "    @result\n    @task\n    def f")
        .replace("    async def f", "    @result\n    @task\n    async def f")
    )


def with_task(name: str, text: str) -> str:
    return f"\nwith DAG({name!r}, schedule=None):\n{indented(f'{chr(10)}{text}{chr(10)}')}\n    f()\n"


OTHERS = """
with DAG("report", schedule=None):
    @result
    @task
    def f() -> dict[str, Report]: return {"a": Report("x", Asset("y", "file:///y")), "b": Report("x", None)}
    f()

with DAG("unsaid", schedule=None):
    @result
    @task
    def f(): ...
    f()

with DAG("shell", schedule=None) as shell:
    shell.add_result(BashOperator(task_id="f", bash_command="true").output)

with DAG("own", schedule=None) as own:
    own.add_result(Own(task_id="f").output)

with DAG("classic", schedule=None) as classic:
    def g() -> list[Point]: return [Point(1)]
    classic.add_result(PythonOperator(task_id="f", python_callable=g).output)

with DAG("mapped", schedule=None):
    @result
    @task
    def f(x) -> Options: return {"name": str(x)}
    f.expand(x=[1, 2])

with DAG("inside", schedule=None):
    @dataclasses.dataclass
    class Local:
        x: int
    def make(local):
        @result
        @task
        def f() -> local: return local(1)
        f()
    make(Local)

with DAG("command", schedule=None) as command:
    @task.bash
    def f() -> int: return "echo 3"
    command.add_result(f())
"""


@pytest.fixture(scope="module")
def returns(served: Serving) -> Iterator[Serving]:
    texts = HONEST | {name: text for name, (text, _) in SPECIAL.items()} | UNCLEAR
    served.write("returns.py", HEAD + "".join(with_task(name, text) for name, text in texts.items()) + OTHERS)
    served.wait_for_dag("text")
    yield served
    (served.folder / "returns.py").unlink()  # its DAGs have names that others may want
    eventually(lambda: "text" not in served.dag_ids(), "the end of these DAGs")


def plan_of(serving: Serving, dag_id: str) -> DagPlan:
    return serving.coordinator.catalog.find(dag_id)


def schema_of(serving: Serving, dag_id: str) -> dict[str, Any]:
    return plan_of(serving, dag_id).result_schemas["f"]


@pytest.mark.parametrize("name", [*HONEST, "own", "classic", "mapped", "inside", "report"])
def test_what_an_honest_task_returns_fits(returns: Serving, name: str) -> None:
    schema = schema_of(returns, name)
    Draft202012Validator.check_schema(schema)
    assert Draft202012Validator(schema).is_valid(returns.call(name))
    assert schema or name == "whatever"
    assert not [note for note in plan_of(returns, name).notes if note.feature == "return annotation"]


@pytest.mark.parametrize(
    "name, wrong",
    [
        ("text", 1),
        ("nothing", 0),
        ("numbers", {"a": ["x"]}),
        ("choice", "c"),
        ("bounded", 2),
        ("point", {"x": 1.0}),
        ("typed_dict", {}),
        ("typed_dict", {"name": "x", "inner": [{}]}),
        ("pydantic", {"n": -1}),
        ("own", "3"),
        ("mapped", {"name": "1"}),
        ("mapped", [{"name": 1}]),
    ],
)
def test_what_else_does_not(returns: Serving, name: str, wrong: object) -> None:
    assert not Draft202012Validator(schema_of(returns, name)).is_valid(wrong)


@pytest.mark.parametrize("name", SPECIAL)
def test_what_is_not_sent_as_a_value(returns: Serving, name: str) -> None:
    assert schema_of(returns, name) == SPECIAL[name][1]


@pytest.mark.parametrize("name", UNCLEAR)
def test_what_is_no_schema_is_any_json_with_a_note(returns: Serving, name: str) -> None:
    assert schema_of(returns, name) == {}
    (note,) = [note for note in plan_of(returns, name).notes if note.feature == "return annotation"]
    assert note.task_id == "f"
    assert "any JSON is promised" in note.text


def test_nothing_is_promised_of_what_cannot_be_annotated(returns: Serving) -> None:
    for name in ("shell", "command"):
        assert schema_of(returns, name) == {}
        assert "return annotation" not in {
            one.feature for one in (*plan_of(returns, name).notes, *plan_of(returns, name).hints)
        }


def test_an_author_who_says_nothing_gets_a_hint(returns: Serving) -> None:
    unsaid = plan_of(returns, "unsaid")
    assert unsaid.result_schemas == {}
    assert "return annotation" in {hint.feature for hint in unsaid.hints}
