"""The server's end of a process that has access to a store (`ReadStored`, `DeleteStored`).

Guarantees: one request at a time, each answered or failed; when the process is lost, with `StoreUnreachable`. No more of
the store is in this process than one answer.
"""

import asyncio
from collections.abc import Awaitable, Callable

from dagcall.workers.base import StoreUnreachable
from dagcall.workers.connection import Connection
from dagcall.workers.frames import Ask, DeleteStored, Frame, FromProcess, ReadStored, Stored

ANSWER_LIMIT = 120.0
"""Seconds for one answer; a store that takes longer is taken for unreachable."""


class StoreProcess:
    """Implements `base.StoreAccess`."""

    def __init__(self, connection: Connection, reply: Callable[[Connection, Ask], Awaitable[None]]) -> None:
        self._connection = connection
        self._reply = reply
        self._answer: asyncio.Future[Stored] | None = None
        self._replying: set[asyncio.Future[None]] = set()
        connection.on_frame = self._on_frame
        connection.on_lost = self._on_lost

    async def read(self, uri: str, size: int, begin: int, end: int) -> bytes:
        return (await self._ask(ReadStored(uri, size, begin, end))).data

    async def delete(self, uri: str) -> None:
        await self._ask(DeleteStored(uri))

    def close(self) -> None:
        self._connection.close()

    async def _ask(self, frame: Frame) -> Stored:
        if self._connection.is_lost:
            raise StoreUnreachable("the process that reads from the store is gone")
        self._answer = asyncio.get_running_loop().create_future()
        self._connection.send(frame)
        try:
            answer = await asyncio.wait_for(self._answer, ANSWER_LIMIT)
        except TimeoutError:
            raise StoreUnreachable(f"the store did not answer within {ANSWER_LIMIT:g} s") from None
        if answer.is_gone:
            raise FileNotFoundError(answer.error)
        if answer.error is not None:
            raise StoreUnreachable(answer.error)
        return answer

    def _on_frame(self, frame: FromProcess) -> None:
        if isinstance(frame, Ask):
            replying = asyncio.ensure_future(self._reply(self._connection, frame))
            self._replying.add(replying)
            replying.add_done_callback(self._replying.discard)
        elif isinstance(frame, Stored) and self._answer is not None and not self._answer.done():
            self._answer.set_result(frame)

    def _on_lost(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(StoreUnreachable("the process that reads from the store has ended"))
