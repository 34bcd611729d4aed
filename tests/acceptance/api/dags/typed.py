"""DAGs whose params and results are described, in every shape that a description has."""

import dataclasses
import datetime
import decimal
from typing import Any, Literal

import pydantic
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Asset, Param, dag, result, task

import dagcall


class Line(pydantic.BaseModel):
    article: str
    count: int = pydantic.Field(ge=1)
    price: decimal.Decimal


class Order(pydantic.BaseModel):
    """What was ordered, and what it costs."""

    customer: str
    lines: list[Line]
    total: decimal.Decimal
    express: bool = False
    deliver: datetime.date | None = None


@dataclasses.dataclass
class Point:
    x: float
    y: float


@dag(
    schedule=None,
    params={
        "customer": Param(type="string", minLength=1, maxLength=40, description="Who orders."),
        "count": Param(1, type="integer", minimum=1, maximum=1000, description="How many of each article."),
        "articles": Param(["pen"], type="array", items={"type": "string"}, maxItems=5, description="What is ordered."),
        "deliver": Param(None, type=["null", "string"], format="date", description="Not before this day."),
    },
)
def order() -> None:
    """Take an order."""

    @result
    @task
    def confirm(params: dict[str, Any]) -> Order:
        price = decimal.Decimal("1.25")
        lines = [Line(article=name, count=params["count"], price=price) for name in params["articles"]]
        total = sum((line.count * price for line in lines), decimal.Decimal(0))
        return Order(customer=params["customer"], lines=lines, total=total, deliver=params["deliver"])

    confirm()


@dag(schedule=None, params={"what": Param(type=["null", "boolean", "number", "string", "array", "object"])})
def echo() -> None:
    """Any JSON, back as it came."""

    @result
    @task
    def back(params: dict[str, Any]) -> Any:
        return params["what"]

    back()


@dag(schedule=None, params={"n": Param(2, type="integer", minimum=0, maximum=4, description="How many points.")})
def points() -> None:
    """A list, made by a mapped task, beside a text that is left out when there are none."""

    @task
    def numbers(params: dict[str, Any]) -> list[int]:
        return list(range(params["n"]))

    @result
    @task
    def point(x: int) -> Point:
        return Point(x, x * x)

    @result
    @task
    def label(params: dict[str, Any]) -> Literal["few", "many"]:
        return "few" if params["n"] < 3 else "many"

    point.expand(x=numbers())
    label()


@dag(
    schedule=None,
    params={"status": Param(404, enum=[404, 409, 422], description="How."), "detail": Param("no", type="string")},
)
def rejects() -> None:
    """Always answers with a status of its choice."""

    @result
    @task
    def never(params: dict[str, Any]) -> str:
        raise dagcall.Reject(status=params["status"], detail=params["detail"])

    never()


@dag(schedule=None, params={"why": Param("because", type="string", description="The error's message.")})
def breaks() -> None:
    """Always fails."""

    @result
    @task
    def never(params: dict[str, Any]) -> str:
        raise ValueError(params["why"])

    never()


@dag(schedule=None)
def silent() -> None:
    """Has no result."""

    @task
    def t() -> None:
        pass

    t()


@dag(schedule=None)
def updates() -> None:
    """Updates an asset and returns nothing."""

    @result
    @task(outlets=[Asset("report", "file:///report")])
    def t() -> None:
        pass

    t()


with DAG("shell", schedule=None, params={"word": Param("shell", type="string", pattern="^[a-z]{1,9}$")}) as shell:
    shell.add_result(BashOperator(task_id="t", bash_command="echo {{ params.word }}").output)

order()
echo()
points()
rejects()
breaks()
silent()
updates()
