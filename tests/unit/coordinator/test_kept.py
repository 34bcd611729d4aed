"""Variables, Connections and task states over a journal in memory."""

import base64
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from dagcall.coordinator.cipher import Cipher
from dagcall.coordinator.connections import Connection
from dagcall.coordinator.kept import Kept, keep
from dagcall.errors import ConfigError, JournalError
from dagcall.journal.memory import MemoryJournal
from dagcall.journal.store import ItemExists
from dagcall.model.ids import RunKey, TaskKey

pytestmark = pytest.mark.anyio

KEYS = tuple(base64.urlsafe_b64encode(bytes(range(first, first + 32))).decode() for first in (0, 50))
RUN = RunKey("d", "r")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def journal() -> AsyncIterator[MemoryJournal]:
    one = MemoryJournal()
    await one.open()
    yield one
    await one.close()


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        self.time += 1.0
        return self.time


@pytest.fixture
def changed() -> list[str]:
    return []


@pytest.fixture
def kept_with(journal: MemoryJournal, changed: list[str]) -> Callable[[str], Kept]:
    clock = Clock()
    return lambda keys: keep(journal.store, Cipher(keys), clock.now, changed.append)


@pytest.mark.parametrize("keys", ["", KEYS[0], ",".join(KEYS)])
def test_what_is_sealed_is_opened(keys: str) -> None:
    cipher = Cipher(keys)
    sealed = cipher.seal(b"hunter2")
    assert cipher.open(sealed) == b"hunter2"
    assert (b"hunter2" in sealed) is (keys == "")


def test_keys_can_be_rotated() -> None:
    sealed = Cipher(KEYS[0]).seal(b"hunter2")
    assert Cipher(f"{KEYS[1]},{KEYS[0]}").open(sealed) == b"hunter2"
    for other, why in ((KEYS[1], "another key"), ("", "is empty")):
        with pytest.raises(JournalError, match=why):
            Cipher(other).open(sealed)
    with pytest.raises(ConfigError, match="not a Fernet key"):
        Cipher("short").seal(b"")


async def test_a_variable_is_encrypted_at_rest(kept_with: Callable[[str], Kept], journal: MemoryJournal) -> None:
    await kept_with(KEYS[0]).variables.put("k", "hunter2", "a word")
    (item,) = await journal.store.items("variable")
    assert b"hunter2" not in item.value
    found = await kept_with(KEYS[0]).variables.get("k")
    assert found is not None
    assert (found.value, found.description, found.is_encrypted) == ("hunter2", "a word", True)
    (found,) = await kept_with(KEYS[1]).variables.all()
    assert (found.key, found.value, found.is_encrypted) == ("k", None, True)


async def test_whoever_read_a_variable_hears_of_its_change_only(
    kept_with: Callable[[str], Kept], changed: list[str]
) -> None:
    variables = kept_with("").variables
    marks = []
    for value, description in (("a", None), ("a", None), ("a", "b"), ("b", "b")):
        await variables.put("k", value, description)
        found = await variables.get("k")
        assert found is not None
        marks.append(found.mark)
    assert marks[0] == marks[1]
    assert len(set(marks)) == 3
    assert await variables.remove("k")
    assert not await variables.remove("k")
    assert changed == ["variable:k"] * 4


async def test_a_variable_that_is_there_is_not_created_again(kept_with: Callable[[str], Kept]) -> None:
    variables = kept_with("").variables
    await variables.put("k", "a", None, only_new=True)
    with pytest.raises(ItemExists):
        await variables.put("k", "a", None, only_new=True)


async def test_connections(kept_with: Callable[[str], Kept], journal: MemoryJournal, changed: list[str]) -> None:
    connections = kept_with(KEYS[0]).connections
    connection = Connection("c", "http", host="h", password="hunter2", port=1, extra='{"a": 1}')
    await connections.put(connection, only_new=True)
    found = await connections.get("c")
    assert found is not None
    assert replace(found, number=0, mark="") == connection
    (item,) = await journal.store.items("connection")
    assert b"hunter2" not in item.value
    with pytest.raises(JournalError, match="Connection 'c' cannot be decrypted"):
        await kept_with("").connections.get("c")
    assert await connections.remove("c")
    assert await connections.get("c") is None
    assert changed == ["connection:c"] * 2


async def test_task_states_belong_to_one_task_instance(kept_with: Callable[[str], Kept]) -> None:
    states = kept_with("").task_states
    tasks = [TaskKey("t"), TaskKey("t", 1), TaskKey("t", 12), TaskKey("tt", 1)]
    for task in tasks:
        await states.put(RUN, task, "k/\x1f", str(task).encode(), None)
    await states.put(RunKey("d", "other"), tasks[0], "k/\x1f", b"other", None)
    assert [await states.get(RUN, task, "k/\x1f") for task in tasks] == [b"t", b"t[1]", b"t[12]", b"tt[1]"]
    await states.clear(RUN, tasks[1])
    await states.remove(RUN, tasks[0], "k/\x1f")
    assert [await states.get(RUN, task, "k/\x1f") for task in tasks] == [None, None, b"t[12]", b"tt[1]"]
    assert await states.get(RunKey("d", "other"), tasks[0], "k/\x1f") == b"other"


async def test_what_has_expired_is_dropped(kept_with: Callable[[str], Kept]) -> None:
    states = kept_with("").task_states
    for key, expires_at in (("past", 1.0), ("never", None), ("future", 1e12)):
        await states.put(RUN, TaskKey("t"), key, b"v", expires_at)
    assert await states.get(RUN, TaskKey("t"), "past") == b"v"
    await states.drop_expired()
    assert [await states.get(RUN, TaskKey("t"), key) for key in ("past", "never", "future")] == [None, b"v", b"v"]
