"""`SUPERVISOR_COMMS` of a worker: what the Task SDK's runner talks to instead of a socket to Airflow's supervisor.

The runner sends typed messages and reads typed answers, one at a time. Most need no round trip: upstream XComs
came with the start frame, results are buffered and leave with the attempt's end. The rest is asked of the
coordinator. What stock Airflow would answer from its metadata database and dagcall does not have is refused with
a sentence, never answered wrongly.

Source of messages and answers: airflow/sdk/execution_time/{comms,request_handlers,supervisor}.py of Task SDK 1.3.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, overload

import msgspec
from airflow.sdk.bases.skipmixin import XCOM_SKIPMIXIN_FOLLOWED, XCOM_SKIPMIXIN_KEY, XCOM_SKIPMIXIN_SKIPPED
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import comms as sdk
from airflow.sdk.serde import deserialize

from dagcall.airflow_bridge.plain import to_plain_json
from dagcall.model.plan import RETURN_VALUE
from dagcall.workers.channel import Channel
from dagcall.workers.frames import Ask, Pushed, Reply, Shipped, Start

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode

_NO_PRIOR_DATES = "include_prior_dates needs runs with logical dates, which dagcall's runs do not have"

_TERMINAL = (
    sdk.SucceedTask,
    sdk.TaskState,
    sdk.RetryTask,
    sdk.RescheduleTask,
    sdk.DeferTask,
    sdk.AwaitInputTask,
)


class ElementOfList(Sequence[Any]):
    """The upstream list of an `expand`, of which only this instance's element was shipped.

    The Task SDK resolves an expanded argument by fetching the whole list and taking one element, which costs
    O(width) for each of width instances; while it does so it uses nothing but the length and that element.
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


@dataclass
class Outgoing:
    """What one attempt has to report so far."""

    terminal: Any = None
    xcoms: list[tuple[str, bytes, int | None]] = field(default_factory=list)
    plain: bytes | None = None
    skip: list[tuple[str, int]] = field(default_factory=list)
    rendered_map_index: str | None = None
    rendered_fields: bytes = b""


class WorkerComms:
    """One task's conversation. A new one for each start."""

    def __init__(self, channel: Channel, start: Start) -> None:
        self._channel = channel
        self._start = start
        self._shipped = {(item.task_id, item.key): item for item in start.xcoms}
        self._fetched: dict[tuple[str, str, str, str], list[bytes]] = {}
        self._asked = 0
        self.expanding = False
        """Set while the expanded arguments of a mapped task are resolved: the only time `ElementOfList` is given."""
        self.returned: list[Any] = []
        """The object that the task returned, while it is pushed: see `keep_returned_value`."""
        self.downstream: set[str] = set()
        """The tasks directly downstream of this one, once it is known."""
        self.outgoing = Outgoing()

    def send(self, msg: Any) -> Any:
        """Answer one message of the Task SDK. Raises AirflowRuntimeError as Airflow's own comms do."""
        handler = _HANDLERS.get(type(msg))
        if handler is None:
            return _refuse(f"{type(msg).__name__} is not supported by dagcall yet")
        return handler(self, msg)

    async def asend(self, msg: Any) -> Any:
        """As `send`: one question at a time is in flight, as with Airflow's own comms."""
        return self.send(msg)

    def ask(self, what: str, *args: Any) -> Any:
        """Ask the coordinator and wait. Raises AirflowRuntimeError with its sentence when it has no answer."""
        self._asked += 1
        number = self._asked
        self._channel.send(Ask(self._start.attempt, self._start.epoch, number, what, list(args)))
        while True:
            reply = self._channel.receive()
            if isinstance(reply, Reply) and reply.number == number:
                break
        if reply.error is not None:
            raise AirflowRuntimeError(sdk.ErrorResponse(error=ErrorType.GENERIC_ERROR, detail={"message": reply.error}))
        return reply.value

    def _is_own_run(self, dag_id: str, run_id: str) -> bool:
        return dag_id == self._start.dag_id and run_id == self._start.run_id

    def _shipped_for(self, msg: Any) -> Shipped | None:
        if not self._is_own_run(msg.dag_id, msg.run_id):
            return None
        return self._shipped.get((msg.task_id, msg.key))

    def _values(self, msg: Any, *, fresh: bool) -> list[bytes]:
        """All values of one key of a task by ascending map index: shipped, or fetched.

        Not `fresh`: those that were fetched last will do. A sequence is read item by item; one that begins anew, and
        `xcom_pull`, see what has been pushed meanwhile.
        """
        item = self._shipped_for(msg)
        if item is not None and item.index < 0:
            return item.values
        key = (msg.dag_id, msg.run_id, msg.task_id, msg.key)
        values = self._fetched.get(key)
        if fresh or values is None:
            values = self._fetched[key] = list(self.ask("xcoms", msg.dag_id, msg.run_id, msg.task_id, msg.key))
        return values

    def get_xcom(self, msg: sdk.GetXCom) -> Any:
        index = -1 if msg.map_index is None else msg.map_index
        if msg.include_prior_dates:
            _refuse(_NO_PRIOR_DATES)
        if index == -1:
            item = self._shipped_for(msg)
            if item is not None and not item.mapped:
                if item.index >= 0 and self.expanding:
                    return _xcom(msg.key, ElementOfList(item.length, item.index, item.values[0]))
                if item.index < 0:
                    return _xcom(msg.key, _unpack(item.values[0]) if item.values else None)
        value = self.ask("xcom", msg.dag_id, msg.run_id, msg.task_id, index, msg.key)
        return _xcom(msg.key, None if value is None else _unpack(value))

    def get_xcom_count(self, msg: sdk.GetXComCount) -> Any:
        item = self._shipped_for(msg)
        if item is not None and item.index >= 0 and self.expanding:
            return sdk.XComCountResponse(len=item.length)
        return sdk.XComCountResponse(len=len(self._values(msg, fresh=True)))

    def get_xcom_item(self, msg: sdk.GetXComSequenceItem) -> Any:
        item = self._shipped_for(msg)
        if item is not None and item.index >= 0 and self.expanding and msg.offset == item.index:
            return sdk.XComSequenceIndexResult.model_construct(root=_unpack(item.values[0]))
        try:
            value = self._values(msg, fresh=msg.offset == 0)[msg.offset]
        except IndexError:
            return sdk.ErrorResponse(error=ErrorType.XCOM_NOT_FOUND, detail={"offset": msg.offset})
        return sdk.XComSequenceIndexResult.model_construct(root=_unpack(value))

    def get_xcom_slice(self, msg: sdk.GetXComSequenceSlice) -> Any:
        if msg.include_prior_dates:
            _refuse(_NO_PRIOR_DATES)
        values = self._values(msg, fresh=True)[msg.start : msg.stop : msg.step]
        return sdk.XComSequenceSliceResult.model_construct(root=[_unpack(value) for value in values])

    def set_xcom(self, msg: sdk.SetXCom) -> None:
        value = _pack(msg.value)
        self._fetched.pop((msg.dag_id, msg.run_id, msg.task_id, msg.key), None)
        own = self._is_own_run(msg.dag_id, msg.run_id) and msg.task_id == self._start.task_id
        if not own:
            raise AirflowRuntimeError(_error("an XCom can only be pushed by the task it belongs to"))
        if (
            msg.key == RETURN_VALUE or self.returned
        ):  # the task's code has ended: nobody sees it sooner by a frame of its own
            self.outgoing.xcoms.append((msg.key, value, msg.mapped_length))
            if msg.key == RETURN_VALUE and self._start.want_plain:
                self.outgoing.plain = to_plain_json(msg.value, value, self.returned)
        else:
            self._channel.send(Pushed(self._start.attempt, self._start.epoch, msg.key, value))
            if msg.key == XCOM_SKIPMIXIN_KEY and self._start.map_index >= 0:
                self._skip_alongside(msg.value)

    def _skip_alongside(self, decision: Any) -> None:
        """A mapped instance that branches tells nobody but this XCom: instances of the same map index look it up
        (airflow/ti_deps/deps/not_previously_skipped_dep.py)."""
        skipped = decision.get(XCOM_SKIPMIXIN_SKIPPED)
        if skipped is None:
            skipped = self.downstream.difference(decision.get(XCOM_SKIPMIXIN_FOLLOWED) or ())
        self.outgoing.skip.extend((task_id, self._start.map_index) for task_id in sorted(skipped))

    def delete_xcom(self, msg: sdk.DeleteXCom) -> None:
        index = -1 if msg.map_index is None else msg.map_index
        self._fetched.pop((msg.dag_id, msg.run_id, msg.task_id, msg.key), None)
        self.ask("delete_xcom", msg.dag_id, msg.run_id, msg.task_id, index, msg.key)

    def set_rendered_fields(self, msg: sdk.SetRenderedFields) -> None:
        self.outgoing.rendered_fields = msgspec.json.encode(msg.rendered_fields)

    def set_rendered_map_index(self, msg: sdk.SetRenderedMapIndex) -> None:
        self.outgoing.rendered_map_index = msg.rendered_map_index

    def skip_downstream(self, msg: sdk.SkipDownstreamTasks) -> None:
        for entry in msg.tasks:
            self.outgoing.skip.append((entry, -1) if isinstance(entry, str) else (entry[0], entry[1]))

    def finish(self, msg: Any) -> None:
        self.outgoing.terminal = msg

    def ti_count(self, msg: sdk.GetTICount) -> Any:
        runs = _run_ids(msg)
        count = self.ask("ti_count", msg.dag_id, runs, msg.task_ids or [], _strings(msg.states), msg.map_index)
        return sdk.TICount(count=count)

    def dag_run_state(self, msg: sdk.GetDagRunState) -> Any:
        return sdk.DagRunStateResult(state=self.ask("dag_run_state", msg.dag_id, msg.run_id))

    def task_states(self, msg: sdk.GetTaskStates) -> Any:
        states = self.ask("task_states", msg.dag_id, _run_ids(msg), msg.task_ids or [], msg.map_index)
        return sdk.TaskStatesResult(task_states=states)

    def first_reschedule(self, msg: sdk.GetTaskRescheduleStartDate) -> Any:
        """Asked by a sensor about itself only."""
        known = self._start.continues
        first = None if known is None else known.first_reschedule
        return sdk.TaskRescheduleStartDate(start_date=None if first is None else datetime.fromtimestamp(first, tz=UTC))

    def variable(self, msg: sdk.GetVariable) -> Any:
        """Reached after the environment and the secrets backends, which the Task SDK asks first."""
        return sdk.ErrorResponse(error=ErrorType.VARIABLE_NOT_FOUND, detail={"key": msg.key})

    def connection(self, msg: sdk.GetConnection) -> Any:
        return sdk.ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND, detail={"conn_id": msg.conn_id})

    def variable_keys(self, msg: sdk.GetVariableKeys) -> Any:
        return sdk.VariableKeysResult(keys=[], total_entries=0)

    def previous_run(self, msg: Any) -> Any:
        return sdk.PreviousDagRunResult(dag_run=None)

    def previous_successful_run(self, msg: Any) -> Any:
        return sdk.PrevSuccessfulDagRunResult()

    def previous_ti(self, msg: Any) -> Any:
        return sdk.PreviousTIResult(task_instance=None)

    def nothing(self, msg: Any) -> None:
        """A message that needs no action: the masking of secrets is done in this process, as are log descriptors."""


_HANDLERS: dict[type, Callable[[WorkerComms, Any], Any]] = {
    sdk.GetXCom: WorkerComms.get_xcom,
    sdk.GetXComCount: WorkerComms.get_xcom_count,
    sdk.GetXComSequenceItem: WorkerComms.get_xcom_item,
    sdk.GetXComSequenceSlice: WorkerComms.get_xcom_slice,
    sdk.SetXCom: WorkerComms.set_xcom,
    sdk.DeleteXCom: WorkerComms.delete_xcom,
    sdk.SetRenderedFields: WorkerComms.set_rendered_fields,
    sdk.SetRenderedMapIndex: WorkerComms.set_rendered_map_index,
    sdk.SkipDownstreamTasks: WorkerComms.skip_downstream,
    sdk.GetTICount: WorkerComms.ti_count,
    sdk.GetDagRunState: WorkerComms.dag_run_state,
    sdk.GetTaskStates: WorkerComms.task_states,
    sdk.GetTaskRescheduleStartDate: WorkerComms.first_reschedule,
    sdk.GetVariable: WorkerComms.variable,
    sdk.GetVariableKeys: WorkerComms.variable_keys,
    sdk.GetConnection: WorkerComms.connection,
    sdk.GetPreviousDagRun: WorkerComms.previous_run,
    sdk.GetPrevSuccessfulDagRun: WorkerComms.previous_successful_run,
    sdk.GetPreviousTI: WorkerComms.previous_ti,
    sdk.MaskSecret: WorkerComms.nothing,
    sdk.ResendLoggingFD: WorkerComms.nothing,
    **dict.fromkeys(_TERMINAL, WorkerComms.finish),
}


def keep_returned_value() -> None:
    """Let `set_xcom` see the object itself: the form that Airflow gives it for other tasks is poorer.

    It turns a Decimal into a float, cannot be read back where the value's class is not on Airflow's list of allowed
    classes, and is a reference where a custom backend keeps the value.
    """
    from airflow.sdk.execution_time import task_runner

    stock = task_runner._push_xcom_if_needed

    def push(result: Any, ti: Any, log: Any) -> None:
        comms: Any = task_runner.SUPERVISOR_COMMS
        comms.returned = [result]
        try:
            stock(result, ti, log)
        finally:
            comms.returned = []

    task_runner._push_xcom_if_needed = push


class ParseTimeComms:
    """`SUPERVISOR_COMMS` while a file is parsed: Variables and Connections beyond the environment and the secrets
    backends do not exist, and nothing else can be asked before a task runs."""

    def send(self, msg: Any) -> Any:
        match msg:
            case sdk.GetVariable():
                return sdk.ErrorResponse(error=ErrorType.VARIABLE_NOT_FOUND, detail={"key": msg.key})
            case sdk.GetConnection():
                return sdk.ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND, detail={"conn_id": msg.conn_id})
            case sdk.MaskSecret():
                return None
            case _:
                return _refuse(f"{type(msg).__name__} cannot be used while a DAG file is parsed")

    async def asend(self, msg: Any) -> Any:
        return self.send(msg)


def _xcom(key: str, value: Any) -> sdk.XComResult:
    # Not validated: pydantic would walk a value that this process or Airflow's own serializer has just made.
    return sdk.XComResult.model_construct(key=key, value=value)


def _error(sentence: str) -> sdk.ErrorResponse:
    return sdk.ErrorResponse(error=ErrorType.GENERIC_ERROR, detail={"message": sentence})


def _refuse(sentence: str) -> Any:
    raise AirflowRuntimeError(_error(sentence))


def _run_ids(msg: sdk.GetTICount | sdk.GetTaskStates) -> list[str]:
    if msg.task_group_id is not None or msg.logical_dates is not None or not msg.run_ids:
        _refuse("dagcall counts and lists task instances by run_ids, not by logical_dates or task_group_id")
    return list(msg.run_ids or ())


def _strings(values: Any) -> list[str]:
    return [str(getattr(value, "value", value)) for value in values or []]
