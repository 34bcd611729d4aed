"""Tasks that hand out partial results."""

import asyncio
import multiprocessing
import os
import threading
import time
from typing import Any

from airflow.sdk import Param, dag, result, task

import dagcall

PARAMS = {
    "n": Param(3, type="integer"),
    "file": Param("", type="string"),
    "seconds": Param(0.0, type="number"),
    "how": Param("fails", type="string"),
}


@dag(schedule=None, params=PARAMS)
def emits() -> None:
    """Numbers, one after the other; half of them before a file exists."""

    @result
    @task
    def count(params: dict[str, Any]) -> int:
        for number in range(params["n"]):
            if params["file"] and number == params["n"] // 2:
                while not os.path.exists(params["file"]):
                    time.sleep(0.01)
            dagcall.emit(number)
            time.sleep(params["seconds"])
        return int(params["n"])

    count()


@dag(schedule=None, params=PARAMS)
def emits_from_everywhere() -> None:
    """From mapped tasks, their threads and coroutines; a forked child is not heard."""

    @task
    def each(name: str) -> str:
        async def speak() -> None:
            await asyncio.sleep(0)
            dagcall.emit(f"{name} async")

        dagcall.emit(f"{name} main")
        thread = threading.Thread(target=dagcall.emit, args=(f"{name} thread",))
        thread.start()
        thread.join()
        child = multiprocessing.get_context("fork").Process(target=dagcall.emit, args=(f"{name} child",))
        child.start()
        child.join()
        asyncio.run(speak())
        return name

    @result
    @task
    def total(names: list[str]) -> list[str]:
        return sorted(names)

    total(each.expand(name=["a", "b"]))  # type: ignore[arg-type]


@dag(schedule=None, params=PARAMS)
def emits_then_fails() -> None:
    """Its first try emits and does not succeed."""

    @result
    @task(retries=1, retry_delay=0.01)
    def t(params: dict[str, Any], ti: Any = None) -> str:
        dagcall.emit({"try": ti.try_number})
        if ti.try_number == 1:
            if params["how"] == "dies":
                os._exit(3)
            raise ValueError("as asked")
        return "done"

    t()


@dag(schedule=None)
def emits_too_much() -> None:
    @result
    @task
    def t() -> None:
        dagcall.emit("x" * 300_000)

    t()


emits()
emits_from_everywhere()
emits_then_fails()
emits_too_much()
