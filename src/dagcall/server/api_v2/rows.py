"""Rows of the table of Airflow's routes: what they have in common."""

from dagcall.server.context import Handler
from dagcall.server.policy import Permission
from dagcall.server.route import Parameter, Route, Schema

INTEGER: Schema = {"type": "integer"}
_ERROR: Schema = {"$ref": "#/components/schemas/AirflowError"}

LIMIT = Parameter("limit", "At most so many entries.", INTEGER)
OFFSET = Parameter("offset", "Leave out so many entries first.", INTEGER)
ORDER_BY = Parameter("order_by", "Name of a field, `-` in front for descending; repeatable.")
STATE = Parameter("state", "Only those in this state; repeatable.")
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
        answers={
            "200": {"type": "object", "description": "As in Airflow 3.3's public API."},
            "404": _ERROR,
            "422": _ERROR,
            "501": _ERROR,
        },
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
        answers={
            "200": {"type": "object", "description": "As in Airflow 3.3's public API."},
            "400": _ERROR,
            "404": _ERROR,
            "409": _ERROR,
            "422": _ERROR,
            "501": _ERROR,
        },
    )
