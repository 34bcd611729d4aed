"""`DagcallHook`: an Airflow connection to a dagcall server, as dagcall's own clients."""

from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from dagcall.airflow_cfg import AirflowConfig
from dagcall.client import AsyncClient, Client
from dagcall.errors import DagcallError, UsageError

PATIENCE = 60.0
"""Seconds for which a server that does not answer is asked again: as long as one may take to be replaced."""


class DagcallHook(BaseHook):
    """A connection of type `dagcall`.

    `host` (a name, or a whole URL), `port` and `schema` (http or https) say where the server is, `password` is a token.
    `extra`: `{"retry": 60}`, the seconds for which a server that does not answer is asked again. Without a connection of
    the default id, the server is where `[dagcall] url` says.
    """

    conn_name_attr = "dagcall_conn_id"
    default_conn_name = "dagcall_default"
    conn_type = "dagcall"
    hook_name = "dagcall"

    def __init__(self, dagcall_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dagcall_conn_id = dagcall_conn_id

    def get_conn(self) -> Client:
        """A client; close it, or use it in a `with` block."""
        url, token, retry = self._read(self._find())
        return Client(url, token=token).with_options(retry=retry)

    async def get_async_conn(self) -> AsyncClient:
        """As `get_conn`, for triggers and other asyncio code."""
        url, token, retry = self._read(await self._find_async())
        return AsyncClient(url, token=token).with_options(retry=retry)

    def call(self, dag_id: str, conf: dict[str, Any] | None = None) -> Any:
        """Run a DAG and return its result. Raises errors of `dagcall.errors`."""
        with self.get_conn() as client:
            return client.call(dag_id, conf or {})

    def test_connection(self) -> tuple[bool, str]:
        """What Airflow's **Test** button asks."""
        try:
            with self.get_conn() as client:
                dags = client.with_options(retry=0).dags()
        except DagcallError as error:
            return False, str(error)
        return True, f"{sum(bool(one.get('callable')) for one in dags)} DAGs can be called"

    def _find(self) -> Any:
        try:
            return self.get_connection(self.dagcall_conn_id)
        except AirflowNotFoundException:
            if self.dagcall_conn_id != self.default_conn_name:
                raise
            return None

    async def _find_async(self) -> Any:
        try:
            return await self.aget_connection(self.dagcall_conn_id)
        except AirflowNotFoundException:
            if self.dagcall_conn_id != self.default_conn_name:
                raise
            return None

    def _read(self, connection: Any) -> tuple[str, str | None, float]:
        if connection is None:
            return AirflowConfig().url(), None, PATIENCE
        retry = connection.extra_dejson.get("retry", PATIENCE)
        if isinstance(retry, bool) or not isinstance(retry, int | float):
            raise UsageError(f"connection {self.dagcall_conn_id!r}: retry in its extra is a number of seconds")
        return _url(connection), connection.password or None, float(retry)


def _url(connection: Any) -> str:
    host = connection.host or "127.0.0.1"
    if "://" in host:
        return str(host)
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"{connection.schema or 'http'}://{host}:{connection.port or 8274}"
