"""The program of the Airflow-side processes: answers what the server asks about this Airflow installation.

It has Airflow's whole configuration, the metadata database's address and the signing keys included, and is the only
kind of process that has. It imports no DAG file, and is not forked from a process that did, nor for one that will.
Questions and answers are plain data; many are answered at once (`topics`).

Guarantees one answer for every question: a value, a refusal, or that it cannot be answered. What went wrong in here is
told to the log; the asker learns no more than that, since such a text may hold anything. It ends with its connection.
"""

import asyncio
import contextlib
import json
import logging
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from dagcall.airflow_bridge.topics import NotNow, Refused, Topic
from dagcall.workers import processes
from dagcall.workers.airflow_frames import Answer, Began, Question, Use, decode_to_airflow
from dagcall.workers.frames import PROTOCOL, Frame, FrameBuffer, Hello, ProtocolError, encode

log = logging.getLogger("dagcall.airflow")

THREADS = 16
"""Questions that can wait for a database at once."""
_CHUNK = 256 * 1024


def main() -> None:
    """Entry of the process. Standard input is a JSON line {socket, token, role, ident}."""
    processes.die_with_parent()
    bootstrap = json.loads(sys.stdin.readline())
    processes.set_title(bootstrap["role"])
    os.dup2(2, 1)  # what Airflow prints is no data of this server's
    asyncio.run(_serve(bootstrap["socket"], bootstrap["token"], bootstrap["role"], bootstrap["ident"]))
    os._exit(0)  # threads that still wait for a database keep nobody


async def _serve(path: str, token: str, role: str, ident: int) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="question"))
    reader, writer = await asyncio.open_unix_connection(path, limit=_CHUNK)
    desk = Desk(writer)
    desk.send(Hello(PROTOCOL, role, token, ident, os.getpid()))
    with contextlib.suppress(ConnectionError, ProtocolError):
        desk.send(Began(await asyncio.to_thread(import_airflow)))
        buffer = FrameBuffer()
        while data := await reader.read(_CHUNK):
            for body in buffer.feed(data):
                desk.take(decode_to_airflow(body))


def import_airflow() -> str:
    """Import Airflow as its own API server does. Returns its version."""
    os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    import airflow
    from airflow import settings

    settings.initialize()
    _import_models()
    logging.getLogger("dagcall").setLevel(logging.INFO)
    return airflow.__version__


def _import_models() -> None:
    """All of them, before several threads use any: what first queries the database has SQLAlchemy's lock and imports the
    models, what first imports a model has the import's lock and waits for SQLAlchemy's."""
    from airflow.models import import_all_models
    from sqlalchemy.orm import configure_mappers

    import_all_models()
    configure_mappers()


class Desk:
    """Takes questions, sends answers."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._topics: dict[str, asyncio.Future[Topic]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, frame: Frame) -> None:
        self._writer.write(encode(frame))

    def take(self, frame: Use | Question) -> None:
        coroutine = self._use(frame) if isinstance(frame, Use) else self._answer(frame)
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _use(self, frame: Use) -> None:
        try:
            topic = await self._topic(frame.topic)
            topic.set_up(frame.setup)
            await self._begin(frame.topic, topic)
        except Exception:
            log.exception("%s could not be prepared; it is tried again when it is asked for", frame.topic)

    async def _answer(self, question: Question) -> None:
        try:
            answer = Answer(question.number, await self._find(question))
            data = encode(answer)
        except Refused as refusal:
            data = encode(Answer(question.number, None, refusal.kind, str(refusal)))
        except NotNow as reason:
            data = encode(Answer(question.number, None, "", str(reason)))
        except Exception:
            log.exception("%s could not be answered", question.what)
            data = encode(Answer(question.number, None, "", f"could not answer {question.what}; the log tells why"))
        self._writer.write(data)
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    async def _find(self, question: Question) -> Any:
        name, _, what = question.what.partition(".")
        topic = await self._topic(name)
        await self._begin(name, topic)
        function, is_coroutine = topic.find(what)
        value = await (function(**question.args) if is_coroutine else asyncio.to_thread(function, **question.args))
        return msgspec.to_builtins(value)

    async def _topic(self, name: str) -> Topic:
        known = self._topics.get(name)
        if known is None:
            known = self._topics[name] = asyncio.ensure_future(asyncio.to_thread(Topic, name))
        try:
            return await asyncio.shield(known)
        except Exception:
            self._topics.pop(name, None)
            raise

    async def _begin(self, name: str, topic: Topic) -> None:
        async with self._locks.setdefault(name, asyncio.Lock()):
            await asyncio.to_thread(topic.begin)


if __name__ == "__main__":
    main()
