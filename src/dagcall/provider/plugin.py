"""The plugin: what Airflow's UI shows of dagcall.

Every Airflow process imports this module, tasks too: the application behind the pages is made when the api-server has
its first request for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from airflow.sdk.plugins_manager import AirflowPlugin

PREFIX = "/dagcall"

Message = MutableMapping[str, Any]


class LazyApp:
    """An ASGI application that is imported when it is asked something."""

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if self._app is None:
            self._app = await asyncio.to_thread(_create)
        await self._app(scope, receive, send)


def _create() -> Any:
    from dagcall.provider.call_view import create_app

    return create_app()


class DagcallPlugin(AirflowPlugin):
    """**Call** on a DAG's page, **dagcall** on a run's, and the list of callable DAGs below **Browse**."""

    name = "dagcall"
    fastapi_apps = [{"name": "dagcall", "app": LazyApp(), "url_prefix": PREFIX}]  # noqa: RUF012 # as Airflow has it
    # Without a slash in front: relative to where Airflow is, which may be below a path.
    external_views = [  # noqa: RUF012
        {"name": "Call", "href": "dagcall/view/{DAG_ID}", "destination": "dag", "url_route": "dagcall-call"},
        {
            "name": "dagcall",
            "href": "dagcall/view/{DAG_ID}/{RUN_ID}",
            "destination": "dag_run",
            "url_route": "dagcall-run",
        },
        {
            "name": "Callable DAGs",
            "href": "dagcall/view",
            "destination": "nav",
            "category": "browse",
            "url_route": "dagcall",
        },
    ]
