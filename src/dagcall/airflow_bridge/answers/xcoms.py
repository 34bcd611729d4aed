"""XComs. Upstream ones came with the start frame, the returned value leaves with the attempt's end; the rest is asked of
the coordinator, or told it at once."""

from collections.abc import Callable, Sequence
from typing import Any, overload

import msgspec
from airflow.sdk.bases.skipmixin import XCOM_SKIPMIXIN_FOLLOWED, XCOM_SKIPMIXIN_KEY, XCOM_SKIPMIXIN_SKIPPED
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import comms as sdk
from airflow.sdk.serde import deserialize

from dagcall.airflow_bridge import storage
from dagcall.airflow_bridge.conversation import Conversation, Handler, refuse
from dagcall.airflow_bridge.settings import max_map_length
from dagcall.model.plan import RETURN_VALUE
from dagcall.model.references import STORED_XCOM
from dagcall.workers.frames import Pushed, Shipped

LARGEST_SENT = 1 << 20
"""Bytes of a value that travels in messages. A larger one is stored, and its readers are sent where."""

_pack = msgspec.msgpack.Encoder().encode


class ElementOfList(Sequence[Any]):
    """The upstream list of an `expand`, of which only this instance's element was shipped.

    The Task SDK resolves an expanded argument by fetching the whole list and taking one element, which costs
    O(width) for each of width instances; while it does so (`Conversation.expanding`) it uses nothing but the length
    and that element.
    """

    def __init__(self, length: int, index: int, element: bytes) -> None:
        self._length = length
        self._index = index
        self._element = element

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if index != self._index:
            raise IndexError(f"only element {self._index} of {self._length} was shipped, {index} was asked for")
        return deserialize(_unpack(self._element))


def _get(talk: Conversation, msg: sdk.GetXCom) -> Any:
    index = _index(msg)
    if msg.include_prior_dates:
        value = talk.ask("prior_xcom", msg.dag_id, msg.run_id, msg.task_id, index, msg.key)
        return _xcom(msg.key, None if value is None else _unpack(value))
    item = _shipped_for(talk, msg)
    if item is not None and item.map_index >= 0 and item.map_index == index:
        return _xcom(msg.key, _unpack(item.values[0]) if item.values else None)
    if index == -1 and item is not None and not item.mapped:
        if item.index >= 0 and talk.expanding:
            return _xcom(msg.key, ElementOfList(item.length, item.index, item.values[0]))
        if item.index < 0:
            return _xcom(msg.key, _unpack(item.values[0]) if item.values else None)
    value = talk.ask("xcom", msg.dag_id, msg.run_id, msg.task_id, index, msg.key)
    return _xcom(msg.key, None if value is None else _unpack(value))


def _count(talk: Conversation, msg: sdk.GetXComCount) -> Any:
    item = _shipped_for(talk, msg)
    if item is not None and item.index >= 0 and talk.expanding:
        return sdk.XComCountResponse(len=item.length)
    return sdk.XComCountResponse(len=len(_values(talk, msg, fresh=True)))


def _sequence_item(talk: Conversation, msg: sdk.GetXComSequenceItem) -> Any:
    item = _shipped_for(talk, msg)
    if item is not None and item.index >= 0 and talk.expanding and msg.offset == item.index:
        return sdk.XComSequenceIndexResult.model_construct(root=_unpack(item.values[0]))
    try:
        value = _values(talk, msg, fresh=msg.offset == 0)[msg.offset]
    except IndexError:
        detail = {name: getattr(msg, name) for name in ("dag_id", "run_id", "task_id", "key", "offset")}
        return sdk.ErrorResponse(error=ErrorType.XCOM_NOT_FOUND, detail=detail)
    return sdk.XComSequenceIndexResult.model_construct(root=_unpack(value))


def _sequence_slice(talk: Conversation, msg: sdk.GetXComSequenceSlice) -> Any:
    if msg.include_prior_dates:
        values = talk.ask("prior_xcoms", msg.dag_id, msg.run_id, msg.task_id, msg.key)
    else:
        values = _values(talk, msg, fresh=True)
    values = values[msg.start : msg.stop : msg.step or None]
    return sdk.XComSequenceSliceResult.model_construct(root=[_unpack(value) for value in values])


def _set(talk: Conversation, msg: sdk.SetXCom) -> None:
    start = talk.start
    packed = _pack(msg.value)
    _forget(talk, msg)
    if msg.mapped_length is not None and msg.mapped_length > max_map_length():
        # As the execution API says it (airflow/api_fastapi/execution_api/routes/xcoms.py).
        refuse(
            "pushed value is too large to map as a downstream's dependency: "
            f"{msg.mapped_length} elements, [core] max_map_length is {max_map_length()}"
        )
    value = sendable(packed, msg.dag_id, msg.run_id, msg.task_id, sync=start.survives_power)
    if not _is_own(talk, msg):
        talk.ask("set_xcom", msg.dag_id, msg.run_id, msg.task_id, _index(msg), msg.key, value, msg.mapped_length)
    elif talk.has_ended or msg.key == RETURN_VALUE or talk.returned:
        # The task's code has ended: nobody sees it sooner by a frame of its own.
        talk.outgoing.xcoms.append((msg.key, value, msg.mapped_length))
        if msg.key == RETURN_VALUE and start.want_plain:
            talk.outgoing.plain = talk.result.as_json(msg.value, packed, talk.returned)
    else:
        talk.channel.send(Pushed(start.attempt, start.epoch, msg.key, value))
        if msg.key == XCOM_SKIPMIXIN_KEY and start.map_index >= 0 and talk.downstream is not None:
            _skip_alongside(talk, msg.value, talk.downstream)


def _skip_alongside(talk: Conversation, decision: Any, downstream: set[str]) -> None:
    """A mapped instance that branches tells nobody but this XCom: instances of the same map index look it up
    (airflow/ti_deps/deps/not_previously_skipped_dep.py). Of a branch inside a mapped group nobody does."""
    skipped = decision.get(XCOM_SKIPMIXIN_SKIPPED)
    if skipped is None:
        skipped = downstream.difference(decision.get(XCOM_SKIPMIXIN_FOLLOWED) or ())
    talk.outgoing.skip.extend((task_id, talk.start.map_index) for task_id in sorted(skipped))


def _delete(talk: Conversation, msg: sdk.DeleteXCom) -> None:
    _forget(talk, msg)
    talk.ask("delete_xcom", msg.dag_id, msg.run_id, msg.task_id, _index(msg), msg.key)


def _index(msg: Any) -> int:
    return -1 if msg.map_index is None else int(msg.map_index)


def _is_own(talk: Conversation, msg: sdk.SetXCom) -> bool:
    start = talk.start
    return (msg.task_id, _index(msg)) == (start.task_id, start.map_index) and talk.is_own_run(msg.dag_id, msg.run_id)


def _forget(talk: Conversation, msg: Any) -> None:
    """What was shipped or fetched is not what there is any more."""
    talk.fetched.pop((msg.dag_id, msg.run_id, msg.task_id, msg.key), None)
    if talk.is_own_run(msg.dag_id, msg.run_id):
        talk.shipped.pop((msg.task_id, msg.key), None)


def _shipped_for(talk: Conversation, msg: Any) -> Shipped | None:
    if not talk.is_own_run(msg.dag_id, msg.run_id):
        return None
    return talk.shipped.get((msg.task_id, msg.key))


def _values(talk: Conversation, msg: Any, *, fresh: bool) -> list[bytes]:
    """All values of one key of a task by ascending map index: shipped, or fetched.

    Not `fresh`: those that were fetched last will do. A sequence is read item by item; one that begins anew, and
    `xcom_pull`, see what has been pushed meanwhile.
    """
    item = _shipped_for(talk, msg)
    if item is not None and item.index < 0 and item.map_index < 0:
        return item.values
    key = (msg.dag_id, msg.run_id, msg.task_id, msg.key)
    values = talk.fetched.get(key)
    if fresh or values is None:
        values = talk.fetched[key] = list(talk.ask("xcoms", *key))
    return values


def _xcom(key: str, value: Any) -> sdk.XComResult:
    # Not validated: pydantic would walk a value that this process or Airflow's own serializer has just made.
    return sdk.XComResult.model_construct(key=key, value=value)


def sendable(packed: bytes, dag_id: str, run_id: str, task_id: str, *, sync: bool) -> bytes:
    """The value itself, or what stands for it in messages and in the journal when it is too large for them."""
    if len(packed) <= LARGEST_SENT:
        return packed
    uri = storage.store_xcom(dag_id, run_id, task_id, packed, sync=sync)
    return _pack(msgspec.msgpack.Ext(STORED_XCOM, uri.encode()))


def _stored(code: int, data: memoryview) -> Any:
    assert code == STORED_XCOM, code
    return _unpack(storage.read(bytes(data).decode()))


_unpack = msgspec.msgpack.Decoder(ext_hook=_stored).decode


def keep_returned_value() -> None:
    """Let `SetXCom` see the object itself: the form that Airflow gives it for other tasks is poorer.

    It turns a Decimal into a float, cannot be read back where the value's class is not on Airflow's list of allowed
    classes, and is a reference where a custom backend keeps the value. Bytes, files and some frames have no such form
    at all: of a result task, what other tasks get is where they are.
    """
    from airflow.sdk.execution_time import task_runner

    stock = task_runner._push_xcom_if_needed

    def push(result: Any, ti: Any, log: Any) -> None:
        comms: Any = task_runner.SUPERVISOR_COMMS
        comms.returned = [result]
        try:
            stock(result, ti, log)
        except Exception:
            is_result = comms.start.want_plain or getattr(ti.task, "returns_dag_result", False)
            path = comms.result.keep(result) if is_result else None
            if path is None:
                raise
            comms.returned = [path]
            stock(path, ti, log)
        finally:
            comms.returned = []

    task_runner._push_xcom_if_needed = push


def mark_expanding() -> None:
    """Tell the conversation when the arguments of a mapped task, or group, are resolved, and only then."""
    from airflow.sdk.definitions._internal.expandinput import MappedArgument
    from airflow.sdk.definitions.mappedoperator import MappedOperator
    from airflow.sdk.execution_time import task_runner

    def marking(stock: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def expand(self: Any, context: Any) -> Any:
            comms: Any = task_runner.SUPERVISOR_COMMS
            comms.expanding = True
            try:
                return stock(self, context)
            finally:
                comms.expanding = False

        return expand

    MappedOperator._expand_mapped_kwargs = marking(MappedOperator._expand_mapped_kwargs)  # type: ignore[assignment,method-assign]
    MappedArgument.resolve = marking(MappedArgument.resolve)  # type: ignore[assignment,method-assign]


HANDLERS: dict[type, Handler] = {
    sdk.GetXCom: _get,
    sdk.GetXComCount: _count,
    sdk.GetXComSequenceItem: _sequence_item,
    sdk.GetXComSequenceSlice: _sequence_slice,
    sdk.SetXCom: _set,
    sdk.DeleteXCom: _delete,
}
