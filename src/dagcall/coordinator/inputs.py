"""Human input: what tasks ask of people (`HITLOperator` and its kin), and what people answer.

Authoritative for the semantics: airflow/api_fastapi/execution_api/routes/hitl.py (a task asks), .../core_api/routes/
public/hitl.py (a person answers), `SchedulerJobRunner.check_awaiting_input_timeouts` (nobody answers in time).

States of a request: open -> answered, once. It is kept in the journal's store before the task goes on asking, and its
answer before the person is told, so both survive a restart; then the suspended try is resumed. A person may answer
before the try has let go of its worker: the answer is found when it does. One request belongs to one try; a further
try of the task asks anew, and the older request stays as history.

Refuses a second answer, options that were not offered, and params in the form that serialised objects have, which the
worker would take for one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import asdict, replace
from typing import Any, Final

import msgspec

from dagcall.coordinator.api import AlreadyAnswered
from dagcall.coordinator.awaits import Awaited
from dagcall.coordinator.run_questions import Refused
from dagcall.errors import BadRequest, DagcallError
from dagcall.journal.store import Change, Put, RemoveAll, Store
from dagcall.model.events import EndKind, ResumeHow
from dagcall.model.ids import RunKey, TaskKey
from dagcall.model.inputs import InputRequest, User

KIND: Final = "hitl_detail"

_SEPARATOR: Final = "\x1f"
_RESERVED: Final = frozenset({"__classname__", "__version__", "__data__", "__cls__", "__var__", "__type__"})
"""Keys by which Airflow's serialisers know an object (airflow/sdk/serde/__init__.py)."""


_TIMED_OUT: Final = {
    "error": "The Human-in-the-loop response timeout has passed without a response.",
    "error_type": "timeout",
}

_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(InputRequest)

GiveElsewhere = Callable[[InputRequest, list[str], dict[str, Any], User], Awaitable[bool]]
"""Has the server that drives the run take an answer; False: that is this one, or none."""


class Inputs:
    """All requests of a server. Implements `awaits.Waiter` for tries that await input."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now
        self._answering = asyncio.Lock()
        self._waiting: dict[str, Awaited] = {}
        self._looking: set[asyncio.Task[None]] = set()
        self.asked: Mapping[str, Callable[..., Awaitable[object]]] = {
            "ask_input": self.ask,
            "input_response": self.response,
            "settle_input": self.settle,
        }
        """The questions of running code that are answered here, each with the asking run first."""
        self.give_elsewhere: GiveElsewhere | None = None

    # What tasks do

    async def ask(self, run: RunKey, task_id: str, map_index: int, try_number: int, asked: bytes) -> None:
        """A try asks, in place of what it may have asked before. `asked`: the Task SDK's `HITLDetailRequest`, JSON."""
        fields = {name: value for name, value in msgspec.json.decode(asked).items() if value is not None}
        place = {"dag_id": run.dag_id, "run_id": run.run_id, "task_id": task_id, "map_index": map_index}
        known = {**fields, **place, "try_number": try_number, "created_at": self._now()}
        async with self._answering:
            await self._write(msgspec.convert(known, InputRequest))

    async def response(self, run: RunKey, task_id: str, map_index: int, try_number: int) -> dict[str, Any]:
        """The answer so far, for a trigger that looks for it (`HITLTrigger`). Raises Refused."""
        request = await self._read(_key(run, TaskKey(task_id, map_index), try_number))
        if request is None:
            raise Refused(404, "not_found", "HITLDetail not found. The task has not asked yet.")
        return {
            "response_received": request.is_answered,
            "responded_by_user": None if request.responded_by is None else asdict(request.responded_by),
            "responded_at": request.responded_at,
            "chosen_options": request.chosen_options,
            "params_input": request.params_input,
        }

    async def settle(
        self, run: RunKey, task_id: str, map_index: int, try_number: int, chosen: list[str], params_input: bytes
    ) -> dict[str, Any]:
        """A trigger answers in a person's stead: with the defaults, when nobody did in time. Raises Refused."""
        async with self._answering:
            request = await self._read(_key(run, TaskKey(task_id, map_index), try_number))
            if request is None or request.is_answered:
                raise Refused(409, "conflict", "The Human-in-the-loop detail is answered already, or does not exist.")
            values = msgspec.json.decode(params_input)
            await self._write(replace(request, responded_at=self._now(), chosen_options=chosen, params_input=values))
        return await self.response(run, task_id, map_index, try_number)

    # What people do

    async def find(self, run: RunKey, task: TaskKey, try_number: int | None = None) -> InputRequest | None:
        """The latest request of a task instance, or that of one try."""
        if try_number is not None:
            return await self._read(_key(run, task, try_number))
        items = await self._store.items(KIND, _key(run, task))
        return max((_decoder.decode(item.value) for item in items), key=lambda one: one.try_number, default=None)

    async def all(self, dag_id: str | None = None, run_id: str | None = None) -> list[InputRequest]:
        """The latest request of every task instance (of a DAG, of a run), in the order in which they first came."""
        prefix = "" if dag_id is None else _SEPARATOR.join([dag_id, *([] if run_id is None else [run_id]), ""])
        latest: dict[tuple[RunKey, TaskKey], InputRequest] = {}
        for item in await self._store.items(KIND, prefix):
            request = _decoder.decode(item.value)
            known = latest.get((request.run, request.task))
            if (known is None or known.try_number < request.try_number) and run_id in (None, request.run_id):
                latest[request.run, request.task] = request
        return list(latest.values())

    async def answer(
        self, request: InputRequest, chosen: list[str], params_input: dict[str, Any], by: User
    ) -> InputRequest:
        """Raises AlreadyAnswered, BadRequest, Unavailable, JournalError."""
        if self.give_elsewhere is not None and await self.give_elsewhere(request, chosen, params_input, by):
            return await self.find(request.run, request.task) or request
        async with self._answering:
            current = await self.find(request.run, request.task)
            if current is None or current.is_answered:
                raise AlreadyAnswered
            _check(current, chosen, params_input)
            answered = replace(
                current,
                responded_at=self._now(),
                responded_by=by,
                chosen_options=list(chosen),
                params_input=params_input,
            )
            await self._write(answered)
        self._resume(_key_of(answered), event_of(answered))
        return answered

    # What waits

    def takes(self, awaited: Awaited) -> bool:
        return awaited.command.kind is EndKind.AWAITING_INPUT

    def start(self, awaited: Awaited) -> None:
        self._waiting[_key_of_awaited(awaited)] = awaited
        self._spawn(awaited, self._resume_if_answered(awaited))

    def stop(self, awaited: Awaited, *, killed: bool) -> None:
        self._forget(awaited)

    def timed_out(self, awaited: Awaited) -> None:
        self._spawn(awaited, self._give_up(awaited))

    async def _resume_if_answered(self, awaited: Awaited) -> None:
        key = _key_of_awaited(awaited)
        request = await self._read(key)
        if request is not None and request.is_answered:
            self._resume(key, event_of(request))

    async def _give_up(self, awaited: Awaited) -> None:
        """Nobody answered in time: the defaults are the answer, or there is none and the operator fails."""
        key = _key_of_awaited(awaited)
        async with self._answering:
            request = await self._read(key)
            if request is None or (not request.is_answered and request.defaults is None):
                self._resume(key, _TIMED_OUT)
                return
            if not request.is_answered:
                values = {name: _value(param) for name, param in request.params.items()}
                request = replace(
                    request, responded_at=self._now(), chosen_options=request.defaults, params_input=values
                )
                await self._write(request)
        self._resume(key, event_of(request))

    async def _read(self, key: str) -> InputRequest | None:
        item = await self._store.get(KIND, key)
        return None if item is None else _decoder.decode(item.value)

    async def _write(self, request: InputRequest) -> None:
        await self._store.write(Put(KIND, _key_of(request), _encode(request), self._now()))

    def _resume(self, key: str, event: dict[str, Any]) -> None:
        awaited = self._waiting.pop(key, None)
        if awaited is not None:
            awaited.resume(ResumeHow.EVENT, _encode(event))

    def _forget(self, awaited: Awaited) -> None:
        key = _key_of_awaited(awaited)
        if self._waiting.get(key) is awaited:
            del self._waiting[key]

    def _spawn(self, awaited: Awaited, work: Coroutine[Any, Any, None]) -> None:
        async def or_fail() -> None:
            try:
                await work
            except DagcallError as error:
                self._forget(awaited)
                awaited.fail(str(error))

        task = asyncio.get_running_loop().create_task(or_fail())
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)


def forgetting(run: RunKey) -> Change:
    """Removes what the tasks of a run asked: for a run that is forgotten."""
    return RemoveAll(KIND, _SEPARATOR.join((*run, "")))


def event_of(request: InputRequest) -> dict[str, Any]:
    """What the operator's `execute_complete` is resumed with (`HITLDetail.as_resume_event_payload`), as Airflow's serde
    encodes it."""
    zone = ["UTC", "pendulum.tz.timezone.FixedTimezone", 1, True]
    moment = {"timestamp": request.responded_at, "tz": zone}
    return {
        "chosen_options": list(request.chosen_options or []),
        "params_input": request.params_input,
        "responded_at": {"__classname__": "datetime.datetime", "__version__": 2, "__data__": moment},
        "responded_by_user": None if request.responded_by is None else asdict(request.responded_by),
        "timedout": request.responded_by is None,
    }


def _check(request: InputRequest, chosen: list[str], params_input: dict[str, Any]) -> None:
    """As the public API checks an answer. Raises BadRequest."""
    invalid = set(chosen) - set(request.options)
    if invalid:
        allowed = sorted(request.options)
        raise BadRequest(f"Invalid options {sorted(invalid)}; allowed options are {allowed}.")
    if not request.multiple and len(chosen) > 1:
        raise BadRequest("Multiple options chosen but this Human-in-the-loop task accepts only a single option.")
    if _has_reserved_key(params_input):
        raise BadRequest(f"params_input must not have keys that stand for objects: {sorted(_RESERVED)}.")


def _has_reserved_key(value: Any) -> bool:
    if isinstance(value, dict):
        return not _RESERVED.isdisjoint(value) or any(map(_has_reserved_key, value.values()))
    return isinstance(value, list) and any(map(_has_reserved_key, value))


def _value(param: Any) -> Any:
    """The default of a param, which is a plain value or Airflow's serialised `Param`."""
    return param["value"] if isinstance(param, dict) and "value" in param else param


def _key(run: RunKey, task: TaskKey, try_number: int | None = None) -> str:
    parts = (*run, task.task_id, str(task.map_index), "" if try_number is None else str(try_number))
    return _SEPARATOR.join(parts)


def _key_of(request: InputRequest) -> str:
    return _key(request.run, request.task, request.try_number)


def _key_of_awaited(awaited: Awaited) -> str:
    command = awaited.command
    return _key(awaited.run.key, TaskKey(command.task_id, command.map_index), command.try_number)
