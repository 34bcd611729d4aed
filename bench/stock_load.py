"""Callers of stock Airflow, one JSON line to stdout: `stock_load.py URL DAG_ID RESULT_TASK CALLERS SECONDS INTERVAL`.

A process of its own, as `load.py` is. A call is a POST that triggers a run and a GET of Airflow's `/wait`, over one
keep-alive connection, timed from the first byte of the one to the last of the other, which has the result task's
value. The token is the first line of stdin. A run that does not succeed ends it. Calls that are still open PATIENCE
seconds after the load's end are given up, and count as not made; so do those that the api-server itself fails to answer,
as it does now and then with 32 callers on two cores (`failed`).
"""

import asyncio
import json
import sys
import time
from typing import Any

import httpx

PATIENCE = 120.0


class ServerFailed(Exception):
    """A 5xx."""


class Caller:
    def __init__(self, client: httpx.AsyncClient, dag_id: str, how: dict[str, str]) -> None:
        self._client = client
        self._runs = f"/api/v2/dags/{dag_id}/dagRuns"
        self._how = how
        self.ms: list[float] = []
        self.value: Any = None
        self.failed = 0

    async def run(self, end: float) -> None:
        now = time.perf_counter()
        while not self.ms or now < end:
            sent = now
            try:
                await self._call()
            except (ServerFailed, httpx.TransportError):
                self.failed += 1
                return
            now = time.perf_counter()
            self.ms.append((now - sent) * 1000)

    async def _call(self) -> None:
        triggered = await self._client.post(self._runs, json={"logical_date": None})
        run_id = _checked(triggered)["dag_run_id"]
        waited = await self._client.get(f"{self._runs}/{run_id}/wait", params=self._how)
        last = _checked(waited)
        if last["state"] != "success":
            raise RuntimeError(f"{self._runs}/{run_id} ended as {last['state']}")
        self.value = last["results"][self._how["result"]]


def _checked(response: httpx.Response) -> dict[str, Any]:
    """The body's last line: `/wait` sends one for each time that it looks."""
    if not response.is_success:
        raise (ServerFailed if response.is_server_error else RuntimeError)(
            f"{response.request.method} {response.url} was answered {response.status_code}: {response.text}"
        )
    answer: dict[str, Any] = json.loads(response.text.strip().splitlines()[-1])
    return answer


async def load(
    url: str, token: str, dag_id: str, how: dict[str, str], callers: int, seconds: float
) -> dict[str, object]:
    limits = httpx.Limits(max_connections=callers, max_keepalive_connections=callers)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=600, trust_env=False) as client:
        made = [Caller(client, dag_id, how) for _ in range(callers)]
        start, cpu = time.perf_counter(), time.process_time()
        running = [asyncio.create_task(caller.run(start + seconds)) for caller in made]
        done, late = await asyncio.wait(running, timeout=seconds + PATIENCE, return_when=asyncio.FIRST_EXCEPTION)
        took = time.perf_counter() - start
        for task in late:
            task.cancel()
        for task in done:
            task.result()
    ms = [ms for caller in made for ms in caller.ms]
    if not ms:
        raise RuntimeError(f"no call of {dag_id} was answered within {took:.0f} s")
    return {
        "ms": ms,
        "rate": len(ms) / took,
        "value": next(caller.value for caller in made if caller.ms),
        "callers_cpu": time.process_time() - cpu,
        "failed": sum(caller.failed for caller in made),
    }


def main(url: str, dag_id: str, result: str, callers: str, seconds: str, interval: str) -> None:
    token = sys.stdin.readline().strip()
    how = {"interval": interval, "result": result}
    print(json.dumps(asyncio.run(load(url, token, dag_id, how, int(callers), float(seconds)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
