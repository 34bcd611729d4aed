"""What a server asks of a run's owner: to cancel it, to change what it has recorded, to take a person's answer.

Guarantees. A letter lies in the journal's store, so only a server can have written it, and nobody else reads it; the
note that goes with it says no more than its number. It is answered with what became of it, or an error, within `LIMIT`
seconds; else the asker gets `Unavailable`, and does not know. Until then it is delivered again whenever its owner
does not answer in time, so also to a server that takes the run over meanwhile. A letter may therefore be acted upon
twice: whatever is asked must bear that.

Authoritative for who owns a run: the journal.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import msgspec

from dagcall.coordinator.api import AlreadyAnswered
from dagcall.coordinator.post.notes import Answered, Letter
from dagcall.coordinator.post.office import Post
from dagcall.errors import BadRequest, DagcallError, RunNotFound, Unavailable
from dagcall.journal.base import Journal
from dagcall.journal.store import Put, Remove
from dagcall.model.events import XComChanged
from dagcall.model.ids import RunKey
from dagcall.model.inputs import InputRequest, User

log = logging.getLogger("dagcall.post")

LIMIT: Final = 10.0
ANSWER_LIMIT: Final = 1.0
RETRY_AFTER: Final = 1.0
KEPT: Final = 3600.0
"""Seconds, all of them. What is older than `KEPT` was left behind by a server that died."""
MOST_AT_ONCE: Final = 1000
"""Letters that are looked at: anybody may say that there is one."""
LETTER, ANSWER = "letter", "letter_answer"
"""Kinds of items in the store."""


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    by: str
    reason: str
    only_unattended: bool = False
    """Not while somebody else waits for the run."""


class Amend(msgspec.Struct, frozen=True, tag="amend"):
    event: XComChanged


class GiveInput(msgspec.Struct, frozen=True, tag="give_input"):
    request: InputRequest
    chosen: list[str]
    params_input: dict[str, Any]
    by: User


class Keep(msgspec.Struct, frozen=True, tag="keep"):
    """The run is to go on whoever leaves (`on_disconnect`)."""


Wish = Cancel | Amend | GiveInput | Keep


class NotDriven(Exception):
    """The run is not driven where it was asked for."""


class _Written(msgspec.Struct, frozen=True):
    sender: int
    run: RunKey
    wish: Wish


class _Answer(msgspec.Struct, frozen=True):
    error: str | None = None
    """The name of its kind; None: it was done."""
    text: str = ""


def _unavailable(text: str) -> Unavailable:
    return Unavailable(text, retry_after=RETRY_AFTER)


_ERRORS: Final[dict[str, Callable[[str], Exception]]] = {
    "AlreadyAnswered": lambda text: AlreadyAnswered(),
    "BadRequest": BadRequest,
    "LookupError": LookupError,
    "NotDriven": NotDriven,
    "RunNotFound": RunNotFound,
    "Unavailable": _unavailable,
}
_encode = msgspec.msgpack.Encoder().encode
_read_letter = msgspec.msgpack.Decoder(_Written).decode
_read_answer = msgspec.msgpack.Decoder(_Answer).decode


class Letters:
    """`fulfil` does what a server asks of a run that is driven here, and raises NotDriven of another."""

    def __init__(
        self,
        post: Post,
        journal: Journal,
        fulfil: Callable[[RunKey, Wish, int], Awaitable[None]],
        now: Callable[[], float],
    ) -> None:
        self._post = post
        self._journal = journal
        self._store = journal.store
        self._fulfil = fulfil
        self._now = now
        self._asked: dict[str, asyncio.Event] = {}
        self._answering: dict[str, asyncio.Task[None]] = {}
        post.read(Letter, self._hear_letter)
        post.read(Answered, self._hear_answered)

    async def start(self) -> None:
        """Clear away what was left behind. Raises JournalError."""
        for kind in (LETTER, ANSWER):
            old = [one for one in await self._store.items(kind) if one.created < self._now() - KEPT]
            if old:
                await self._store.write(*(Remove(kind, one.key) for one in old))

    async def stop(self) -> None:
        for task in self._answering.values():
            task.cancel()
        await asyncio.gather(*self._answering.values(), return_exceptions=True)

    async def ask(self, key: RunKey, wish: Wish) -> bool:
        """Have the owner of a run do it; False: the run has no driver, for it has ended.

        Raises RunNotFound, Unavailable, JournalError, and what the owner's answer raises.
        """
        number = uuid.uuid4().hex
        letter = _encode(_Written(self._post.epoch, key, wish))
        await self._store.write(Put(LETTER, number, letter, self._now()))
        bell = self._asked[number] = asyncio.Event()
        try:
            async with asyncio.timeout(LIMIT):
                return await self._deliver(key, number, bell)
        except TimeoutError:
            raise Unavailable(
                "the server that drives the run has not answered in time, and it is not known whether it did what was "
                "asked: ask again",
                dag_id=key.dag_id,
                run_id=key.run_id,
                retry_after=RETRY_AFTER,
            ) from None
        finally:
            del self._asked[number]
            await self._store.write(Remove(LETTER, number), Remove(ANSWER, number))

    async def _deliver(self, key: RunKey, number: str, bell: asyncio.Event) -> bool:
        wire = self._journal.wire
        assert wire is not None
        while True:
            owner = await wire.owner(key)
            if owner is None:
                raise RunNotFound(dag_id=key.dag_id, run_id=key.run_id)
            self._post.send(owner, Letter(self._post.epoch, number))
            with suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_LIMIT):
                    await bell.wait()
            bell.clear()
            item = await self._store.get(ANSWER, number)
            if item is None:
                continue
            answer = _read_answer(item.value)
            if answer.error is None:
                return True
            error = _ERRORS.get(answer.error, _unavailable)(answer.text)
            if not isinstance(error, NotDriven):
                raise error
            head = await self._journal.head(key)
            if head is not None and head.state.is_final:
                return False
            # Being taken over, or taken up again: its owner will be asked once more.
            await self._store.write(Remove(ANSWER, number))
            await asyncio.sleep(ANSWER_LIMIT / 4)

    def _hear_answered(self, note: Answered) -> None:
        bell = self._asked.get(note.number)
        if bell is not None:
            bell.set()

    def _hear_letter(self, note: Letter) -> None:
        if note.number not in self._answering and len(self._answering) < MOST_AT_ONCE:  # else it is delivered again
            task = asyncio.get_running_loop().create_task(self._answer(note.number), name="dagcall-letter")
            self._answering[note.number] = task

    async def _answer(self, number: str) -> None:
        try:
            item = await self._store.get(LETTER, number)
            if item is None:
                return  # nobody waits for it any more
            letter = _read_letter(item.value)
            answer = _Answer()
            try:
                await self._fulfil(letter.run, letter.wish, letter.sender)
            except (DagcallError, LookupError, AlreadyAnswered, NotDriven) as error:
                answer = _answer_of(error)
            await self._store.write(Put(ANSWER, number, _encode(answer), self._now()))
            self._post.send(letter.sender, Answered(self._post.epoch, number))
        except (DagcallError, msgspec.MsgspecError) as error:
            log.warning("a letter could not be answered: %s", error)
        finally:
            del self._answering[number]


def _answer_of(error: Exception) -> _Answer:
    name = next((one.__name__ for one in type(error).__mro__ if one.__name__ in _ERRORS), "Unavailable")
    return _Answer(name, str(error.args[0]) if isinstance(error, LookupError) and error.args else str(error))
