"""The application behind the **Call** view, in Airflow's api-server: pages, and a thin way to the dagcall server.

Guarantees:
- Every request for data is somebody's: Airflow's own dependencies say who, and whether they may. To call a DAG takes the
  right to trigger it and to read its XComs, which the answer is. The caller's own token goes on to dagcall, which asks
  again where its `auth` is `airflow`.
- No other site can call in a user's name: what changes something needs a JSON content type, which no form can send, and
  a browser that says where the request comes from must say that it is from here.
- Nothing that a DAG returns becomes a page of this site: the pages build text only, and bytes are a download.

dagcall is authoritative on runs; nothing is kept here. It is not there: 503, which says so.
"""

import html
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

import httpx
from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.staticfiles import StaticFiles

from dagcall.airflow_cfg import AirflowConfig
from dagcall.errors import ConfigError

WEB = Path(__file__).parent / "web"
BODY_LIMIT = 16 << 20
"""Bytes, as the server's own limit."""
_CONFIGURED_FOR = 5.0
"""Seconds after which the configuration is read again."""
_SHOWN = ("content-type", "content-length", "content-range", "retry-after", "server-timing", "dagcall-run-id")
_JSON = ("application/json", "application/problem+json", "application/x-ndjson")
_PAGE = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "frame-ancestors 'self'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def create_app() -> FastAPI:
    app = FastAPI(title="dagcall", docs_url=None, redoc_url=None, openapi_url=None)
    server = _Server()
    may_read = Depends(requires_access_dag("GET"))
    may_read_runs = Depends(requires_access_dag("GET", DagAccessEntity.RUN))
    may_read_values = Depends(requires_access_dag("GET", DagAccessEntity.XCOM))
    may_call = Depends(requires_access_dag("POST", DagAccessEntity.RUN))
    may_cancel = Depends(requires_access_dag("PUT", DagAccessEntity.RUN))
    from_here = Depends(_from_here)
    page = (WEB / "call.html").read_text()

    @app.get("/view")
    @app.get("/view/{dag_id}")
    @app.get("/view/{dag_id}/{run_id}")
    async def view(request: Request) -> HTMLResponse:
        """The page, the same for everybody: what is on it, it asks for."""
        root = html.escape(request.scope.get("root_path", ""), quote=True)
        return HTMLResponse(page.replace("{root}", root), headers=_PAGE)

    app.mount("/static", StaticFiles(directory=WEB))

    @app.get("/api/dags")
    async def dags(request: Request, user: GetUserDep) -> Response:
        """The callable DAGs that this user may see."""
        mine = await run_in_threadpool(get_auth_manager().get_authorized_dag_ids, user=user)
        answer = await server.get(request, "/call")
        if not isinstance(answer, dict):
            return answer
        shown = ("dag_id", "display_name", "description")
        found = [one for one in answer["dags"] if one.get("callable") and one["dag_id"] in mine]
        return JSONResponse({"dags": [{name: one.get(name) for name in shown} for one in found]})

    @app.get("/api/dags/{dag_id}", dependencies=[may_read])
    async def contract(request: Request, dag_id: str) -> Response:
        answer = await server.get(request, f"/call/{quote(dag_id, safe='')}")
        return JSONResponse(answer | {"server": server.shown}) if isinstance(answer, dict) else answer

    @app.post("/api/dags/{dag_id}/runs", dependencies=[from_here, may_call, may_read_values])
    async def call(request: Request, dag_id: str, body: Annotated[bytes, Depends(_body)]) -> Response:
        headers = {"accept": "application/x-ndjson", "content-type": "application/json"}
        return await server.forward(request, "POST", f"/call/{quote(dag_id, safe='')}", headers, body)

    @app.get("/api/dags/{dag_id}/runs/{run_id}/events", dependencies=[may_read_runs, may_read_values])
    async def events(request: Request, dag_id: str, run_id: str) -> Response:
        headers = {"accept": "application/x-ndjson"}
        if "last-event-id" in request.headers:
            headers["last-event-id"] = request.headers["last-event-id"]
        return await server.forward(request, "GET", f"{_run(dag_id, run_id)}/events", headers)

    @app.get("/api/dags/{dag_id}/runs/{run_id}/value", dependencies=[may_read_values])
    @app.get("/api/dags/{dag_id}/runs/{run_id}/value/{task_id}", dependencies=[may_read_values])
    async def value(request: Request, dag_id: str, run_id: str, task_id: str = "") -> Response:
        """The bytes of a value by reference."""
        path = f"{_run(dag_id, run_id)}/value" + (f"/{quote(task_id, safe='')}" if task_id else "")
        return await server.forward(request, "GET", path, {"accept": "*/*"}, as_download=True)

    @app.delete("/api/dags/{dag_id}/runs/{run_id}", dependencies=[from_here, may_cancel])
    async def cancel(request: Request, dag_id: str, run_id: str) -> Response:
        return await server.forward(request, "DELETE", _run(dag_id, run_id), {"accept": "application/json"})

    return app


def _run(dag_id: str, run_id: str) -> str:
    return f"/call/{quote(dag_id, safe='')}/{quote(run_id, safe='')}"


def _from_here(request: Request) -> None:
    """Refuses what another site may have made a browser send."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "Content-Type: application/json is needed")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, "this is not for other sites")


async def _body(request: Request) -> bytes:
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > BODY_LIMIT:
            raise HTTPException(413, f"the params are more than {BODY_LIMIT} bytes")
    return bytes(found)


class _Server:
    """The dagcall server that `[dagcall] url` names."""

    def __init__(self) -> None:
        self._http: httpx.AsyncClient | None = None
        self._url = ""
        self._read_again = 0.0

    @property
    def shown(self) -> str:
        """Its address, without credentials."""
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")

    async def get(self, request: Request, path: str) -> dict[str, Any] | Response:
        """The JSON at a path, or the answer why there is none."""
        try:
            upstream = await self._send(request, "GET", path, {"accept": "application/json"})
            await upstream.aread()
        except (httpx.TransportError, httpx.InvalidURL, ConfigError) as error:
            return self._away(error)
        if upstream.status_code == 401:
            return self._stranger()
        if upstream.status_code != 200:
            return Response(upstream.content, upstream.status_code, _headers(upstream.headers))
        document: dict[str, Any] = upstream.json()
        return document

    async def forward(
        self,
        request: Request,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        as_download: bool = False,
    ) -> Response:
        """Its answer, as it comes."""
        try:
            upstream = await self._send(request, method, path, headers, body)
        except (httpx.TransportError, httpx.InvalidURL, ConfigError) as error:
            return self._away(error)

        if upstream.status_code == 401:
            await upstream.aclose()
            return self._stranger()

        async def pass_on() -> AsyncIterator[bytes]:
            try:
                async for chunk in upstream.aiter_raw():
                    yield chunk
            except httpx.TransportError:
                return  # the reader sees that the end is missing, and asks again
            finally:
                await upstream.aclose()

        shown = _headers(upstream.headers, as_download=as_download)
        return StreamingResponse(pass_on(), upstream.status_code, shown)

    async def _send(
        self, request: Request, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> httpx.Response:
        if self._http is None:
            self._http = httpx.AsyncClient(
                trust_env=False, timeout=httpx.Timeout(60, connect=5), follow_redirects=False
            )
        if time.monotonic() >= self._read_again:
            self._url = (await run_in_threadpool(AirflowConfig().url)).rstrip("/")
            self._read_again = time.monotonic() + _CONFIGURED_FOR
        told = {**headers, "accept-encoding": "identity"}
        if (token := _token(request)) is not None:
            told["authorization"] = f"Bearer {token}"
        asked = self._http.build_request(method, f"{self._url}{path}", headers=told, content=body)
        return await self._http.send(asked, stream=True)

    def _stranger(self) -> Response:
        """Airflow knows the user, dagcall does not: no matter for the user, so it must not look like a lost login."""
        detail = (
            f"The dagcall server at {self.shown} does not take Airflow's tokens. It does with [dagcall] auth = airflow and "
            "the same [api_auth] as this Airflow."
        )
        problem = {"type": "/problems/not-authenticated", "title": "Not authenticated", "status": 502, "detail": detail}
        return JSONResponse(problem, 502, media_type="application/problem+json")

    def _away(self, error: Exception) -> Response:
        reason = str(error) or type(error).__name__
        detail = (
            f"No dagcall server answers at {self.shown or '[dagcall] url'}: {reason}. Is `dagcall serve` running there?"
        )
        problem = {"type": "/problems/unreachable", "title": "Unreachable", "status": 503, "detail": detail}
        return JSONResponse(problem, 503, {"Retry-After": "5"}, "application/problem+json")


def _token(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return request.cookies.get(COOKIE_NAME_JWT_TOKEN)


def _headers(upstream: Mapping[str, str], *, as_download: bool = False) -> dict[str, str]:
    shown = {name: upstream[name] for name in _SHOWN if name in upstream}
    shown |= {
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store, no-transform",
        "Content-Encoding": "identity",  # Airflow's compression would hold events back
    }
    kind = shown.get("content-type", "").partition(";")[0]
    if as_download or kind not in _JSON:
        # Whatever a DAG has made, a browser must not take it for a page of this site.
        shown |= {"Content-Disposition": "attachment", "Content-Security-Policy": "sandbox; default-src 'none'"}
    return shown
