"""The post office: what this server says to others that share its journal, and who hears what they say.

Guarantees. What is posted for one server is sent in that order; while a sending is under way, what is posted meanwhile
waits and goes together. Whoever has something to say that changes all the time leaves a `source`, which is asked when
there is room: so however fast a run goes on, one text says where it is. What a server posts to itself it hears without
the wire, in the next turn of the event loop; what it posts to all it does not hear itself. Without a wire the server is
alone with its journal, and hears only itself.

A reader that fails is logged, and no reason for the others not to hear.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from dagcall.coordinator.post.notes import Hello, Note, Told, Unsayable, decode, encode
from dagcall.journal.wire import EVERYBODY, Sent, Wire

log = logging.getLogger("dagcall.post")

SomeNote = TypeVar("SomeNote", bound=Note)
Posted = tuple[int, Note]
Source = Callable[[], Iterable[Posted]]


class Post:
    """States: new -> `start` -> open -> `stop` -> stopped."""

    def __init__(self, wire: Wire | None) -> None:
        self.epoch = 0
        self._wire = wire
        self._readers: defaultdict[type[Note], list[Callable[[Any], None]]] = defaultdict(list)
        self._topics: defaultdict[str, list[Callable[[str], None]]] = defaultdict(list)
        self._on_connected: list[Callable[[], None]] = []
        self._outbox: list[Posted] = []
        self._sources: dict[Source, None] = {}
        self._sending: asyncio.Task[None] | None = None
        self._is_open = False
        self.read(Told, self._hear_told)

    @property
    def is_shared(self) -> bool:
        """Whether there may be other servers."""
        return self._wire is not None

    def read(self, kind: type[SomeNote], reader: Callable[[SomeNote], None]) -> None:
        """Have `reader` hear every note of this kind."""
        self._readers[kind].append(reader)

    def listen(self, topic: str, reader: Callable[[str], None]) -> None:
        """Have `reader` hear what is told about a topic."""
        self._topics[topic].append(reader)

    def on_connected(self, then: Callable[[], None]) -> None:
        """Have `then` called whenever the server hears others (again): it may have missed anything until then."""
        self._on_connected.append(then)

    async def start(self, epoch: int) -> None:
        self.epoch = epoch
        self._is_open = True
        if self._wire is not None:
            await self._wire.open(epoch, self._received, self._connected)

    async def stop(self) -> None:
        """What was posted before is sent, if that is possible now."""
        if self._sending is not None:
            await asyncio.wait((self._sending,), timeout=1.0)
            self._sending.cancel()
        self._is_open = False
        if self._wire is not None:
            await self._wire.close()

    def send(self, to: int, note: Note) -> None:
        """Post a note, to one server or to `EVERYBODY`."""
        self._outbox.append((to, note))
        self._work()

    def tell(self, topic: str, text: str = "", to: int = EVERYBODY) -> None:
        """Raises Unsayable when the text is longer than a note may be."""
        note = Told(self.epoch, topic, text)
        encode(note)
        self.send(to, note)

    def collect(self, source: Source) -> None:
        """Ask `source` for notes as soon as they can be sent."""
        self._sources[source] = None
        self._work()

    def _work(self) -> None:
        if self._sending is None and self._is_open:
            self._sending = asyncio.get_running_loop().create_task(self._send_all(), name="dagcall-post")

    async def _send_all(self) -> None:
        try:
            while self._outbox or self._sources:
                await asyncio.sleep(0)  # what becomes known in this turn goes together
                posted, self._outbox = self._outbox, []
                sources, self._sources = self._sources, {}
                for source in sources:
                    posted += source()
                texts: list[Sent] = []
                for to, note in posted:
                    self._put(to, note, texts)
                if texts and self._wire is not None:
                    await self._wire.send(texts)
        finally:
            self._sending = None

    def _put(self, to: int, note: Note, texts: list[Sent]) -> None:
        if to == self.epoch:
            asyncio.get_running_loop().call_soon(self._hear, note)
            return
        try:
            texts.append((to, encode(note)))
        except (Unsayable, UnicodeError) as error:
            log.error("a note to server %d cannot be sent: %s", to, error)

    def _received(self, text: str) -> None:
        note = decode(text)
        if note is None:
            log.debug("not a note: %.100r", text)
        elif note.sender != self.epoch:
            self._hear(note)

    def _connected(self) -> None:
        self.send(EVERYBODY, Hello(self.epoch))
        for then in self._on_connected:
            then()

    def _hear(self, note: Note) -> None:
        for reader in self._readers[type(note)]:
            try:
                reader(note)
            except Exception:
                log.exception("a note was not understood: %.200r", note)

    def _hear_told(self, note: Told) -> None:
        for reader in self._topics.get(note.topic, ()):
            reader(note.text)
