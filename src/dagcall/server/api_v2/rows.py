"""Rows of the table of Airflow's routes: what they have in common."""

from typing import Any

from dagcall.server.context import Handler
from dagcall.server.documented import airflow_errors, described
from dagcall.server.policy import Permission
from dagcall.server.route import Parameter, Route, Schema

INTEGER: Schema = {"type": "integer"}
_OBJECT = described("As in Airflow 3.3's public API", {"type": "object"})

LIMIT = Parameter("limit", "At most so many entries.", INTEGER)
OFFSET = Parameter("offset", "Leave out so many entries first.", INTEGER)
ORDER_BY = Parameter("order_by", "Name of a field, `-` in front for descending.", repeatable=True)
STATE = Parameter("state", "Only those in this state.", repeatable=True)
MAP_INDEX = Parameter("map_index", "Which instance of a mapped task; -1 when it is not mapped.", INTEGER)
PAGE = (LIMIT, OFFSET, ORDER_BY)


def get(
    path: str,
    permission: Permission,
    handler: Handler,
    summary: str,
    tag: str,
    *parameters: Parameter,
    needs_dags: bool = True,
    description: str = "",
    answer: dict[str, Any] | None = None,
) -> Route:
    return Route(
        "GET",
        path,
        permission,
        handler,
        summary,
        f"Airflow: {tag}",
        description=description,
        needs_dags=needs_dags,
        parameters=parameters,
        answers={"200": _OBJECT if answer is None else answer} | airflow_errors(404, 422, 501),
    )


def change(
    method: str,
    path: str,
    permission: Permission,
    handler: Handler,
    summary: str,
    tag: str,
    body: Schema | None,
    *parameters: Parameter,
    needs_dags: bool = True,
    status: int = 200,
) -> Route:
    return Route(
        method,
        path,
        permission,
        handler,
        summary,
        f"Airflow: {tag}",
        needs_dags=needs_dags,
        parameters=parameters,
        body=body,
        answers={str(status): _OBJECT if status == 200 else {"description": "Done"}}
        | airflow_errors(400, 404, 409, 422, 501),
    )
