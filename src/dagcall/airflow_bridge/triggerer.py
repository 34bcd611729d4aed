"""The triggerer: all triggers of one DAG file's tasks, on one asyncio loop, in a process of its own.

Guarantees. A trigger that is run is answered for with one `Fired`: its first event, or its failure, unless it is
cancelled first. What one trigger raises harms no other; one that blocks the loop, or ends the process, does, as in
Airflow. A question of a trigger's code waits without blocking the loop, also when it is asked through the synchronous
methods of the Task SDK.

Authoritative: `TriggerRunner` (airflow/jobs/triggerer_job_runner.py) for how a trigger is made, run, cancelled and
cleaned up; `submit_event` and `handle_event_submit` (airflow/models/trigger.py) for what its event does.

Refused: nothing at this level. Triggers of assets and of callbacks are not sent here.
"""

import asyncio
import contextvars
import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from traceback import format_exception
from typing import Any
from uuid import UUID

import msgspec
import structlog
from airflow.sdk._shared.module_loading import import_string
from airflow.sdk.api.datamodels._generated import TaskInstance
from airflow.sdk.bases.operator import TriggerFailureReason
from airflow.sdk.execution_time import comms as sdk
from airflow.sdk.execution_time import task_runner
from airflow.sdk.serde import deserialize, serialize
from structlog.contextvars import bind_contextvars

from dagcall.airflow_bridge import tracing
from dagcall.airflow_bridge.answers.xcoms import sendable
from dagcall.airflow_bridge.comms import HANDLERS_OF_TRIGGERS, WorkerComms
from dagcall.airflow_bridge.conversation import refuse
from dagcall.airflow_bridge.tasklog import TaskLog
from dagcall.model.events import EndKind, ResumeHow
from dagcall.model.plan import RETURN_VALUE
from dagcall.workers import processes
from dagcall.workers.channel import Channel, ConnectionLost
from dagcall.workers.frames import Ask, CancelTrigger, Fired, ProtocolError, Pushed, Reply, RunTrigger

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode

_KILLED = "the task was ended"
_ON_KILL_LIMIT = 30.0
"""Seconds; Airflow's default of `[triggerer] on_kill_timeout`."""
_AFTER_EVENT = 1.0
"""Seconds that a trigger may go on after its first event; Airflow's triggerer looks about once a second."""

log = structlog.get_logger("airflow.jobs.triggerer_job_runner")

_current: contextvars.ContextVar["RunningTrigger | None"] = contextvars.ContextVar("trigger", default=None)

MakeInstance = Callable[[Any], Any]
"""The runner's task instance for a `Start`, task included."""


def run(channel: Channel, make_instance: MakeInstance, output: TaskLog) -> None:
    """The life of a triggerer: until the connection is lost."""
    processes.limit_open_files()  # each trigger has a log

    async def serve() -> None:
        await Triggerer(channel, make_instance, output).serve()

    asyncio.run(serve())


class Triggerer:
    """One process's triggers."""

    def __init__(self, channel: Channel, make_instance: MakeInstance, output: TaskLog) -> None:
        self._channel = channel
        self._make_instance = make_instance
        self._running: dict[int, asyncio.Task[None]] = {}
        self._answers: dict[int, asyncio.Future[Reply]] = {}
        self._asked = 0
        self.latest: TriggerComms | None = None
        """Of the trigger that was begun last."""
        self._lost = asyncio.Event()
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        output.route(_log_descriptor)
        task_runner.SUPERVISOR_COMMS = TriggererComms(self)  # type: ignore[assignment]

    async def serve(self) -> None:
        """Run what is sent until the connection is lost."""
        self.loop.add_reader(self._channel.fileno(), self._receive)
        self._receive()  # what has been read already
        try:
            await self._lost.wait()
        finally:
            self.loop.remove_reader(self._channel.fileno())
        for task in self._running.values():
            task.cancel()
        if self._running:
            await asyncio.wait(self._running.values(), timeout=_AFTER_EVENT)

    def _receive(self) -> None:
        try:
            messages = self._channel.receive_available()
        except (ConnectionLost, ProtocolError):
            self._lost.set()
            return
        for message in messages:
            match message:
                case RunTrigger():
                    trigger = RunningTrigger(self, message)
                    task = self.loop.create_task(trigger.run(self._make_instance), name=trigger.name)
                    self._running[message.number] = task
                    task.add_done_callback(lambda _, number=message.number: self._running.pop(number, None))  # type: ignore[misc]
                case CancelTrigger():
                    running = self._running.get(message.number)
                    if running is not None:
                        running.cancel(_KILLED if message.killed else None)
                case Reply():
                    answer = self._answers.pop(message.number, None)
                    if answer is not None and not answer.done():
                        answer.set_result(message)
                case _:
                    self._lost.set()

    def fired(self, frame: Fired) -> None:
        try:
            self._channel.send(frame)
        except ProtocolError as too_large:  # and so nothing was sent
            self._channel.send(_failed(frame.number, too_large))

    def tell_spans(self) -> None:
        tracing.hand_over(self._channel, log)

    async def ask(self, trigger: int, what: str, args: tuple[Any, ...]) -> Reply:
        """On the loop."""
        self._asked += 1
        number = self._asked
        answer: asyncio.Future[Reply] = self.loop.create_future()
        self._answers[number] = answer
        self._channel.send(Ask(trigger, 0, number, what, list(args)))
        return await answer


class RunningTrigger:
    """One trigger, from its frame to its `Fired`."""

    def __init__(self, triggerer: Triggerer, frame: RunTrigger) -> None:
        self._triggerer = triggerer
        self._frame = frame
        start = frame.start
        self.name = (
            f"{start.dag_id}/{start.run_id}/{start.task_id}/{start.map_index}/{start.try_number} (ID {frame.number})"
        )
        self.comms = triggerer.latest = TriggerComms(triggerer, frame)
        self.descriptor = -1

    async def run(self, make_instance: MakeInstance) -> None:
        _current.set(self)
        frame, start = self._frame, self._frame.start
        self.descriptor = _open_log(start.log_path)
        bind_contextvars(
            trigger_id=frame.number,
            ti_id=start.ti_id,
            dag_id=start.dag_id,
            task_id=start.task_id,
            run_id=start.run_id,
            try_number=start.try_number,
            map_index=start.map_index,
        )
        try:
            await _ensure_portal()
            try:
                trigger = self._inflate(make_instance)
            except BaseException as error:
                log.error("Trigger failed to load", error=str(error), classpath=frame.classpath)
                self._triggerer.fired(_failed(frame.number, error))
                return
            with tracing.trigger_span(start, frame.classpath):
                await self._watch(trigger)
        finally:
            self._triggerer.tell_spans()
            if self.descriptor >= 0:
                os.close(self.descriptor)
                self.descriptor = -1

    def _inflate(self, make_instance: MakeInstance) -> Any:
        """As `TriggerRunner.create_triggers`."""
        frame, start = self._frame, self._frame.start
        kind = import_string(frame.classpath)
        kwargs: Any = deserialize(_unpack(frame.kwargs))
        trigger = kind(**kwargs)
        instance = make_instance(start)
        context = None
        if instance.task.start_from_trigger:
            context = instance.get_template_context()
            trigger.task_instance = instance
        else:
            trigger.task_instance = TaskInstance(
                id=UUID(start.ti_id),
                task_id=start.task_id,
                dag_id=start.dag_id,
                run_id=start.run_id,
                try_number=start.try_number,
                map_index=start.map_index,
                dag_version_id=UUID(int=0),
            )
        trigger.trigger_id = frame.number
        after = frame.timeout_after
        trigger.timeout_after = None if after is None else datetime.fromtimestamp(after, tz=UTC)
        if context is not None:
            trigger.render_template_fields(context=context)
        return trigger

    async def _watch(self, trigger: Any) -> None:
        """As `TriggerRunner.run_trigger` and `cleanup_finished_triggers`."""
        fired = False
        number = self._frame.number
        log.info(f"trigger {self.name} starting")
        try:
            async for event in trigger.run():
                if fired:
                    break
                fired = True
                log.info("Trigger fired event", name=self.name, result=repr(event))
                self._triggerer.fired(self._frame_of(event))
                task = asyncio.current_task()
                assert task is not None
                self._triggerer.loop.call_later(_AFTER_EVENT, task.cancel)
            if not fired:
                log.error("Trigger exited without sending an event. Dependent tasks will be failed.", name=self.name)
                self._triggerer.fired(_failed(number, None))
        except asyncio.CancelledError as cancelled:
            if cancelled.args[:1] == (_KILLED,) and not fired and not self._is_late():
                await self._on_kill(trigger)
            raise
        except (SystemExit, KeyboardInterrupt) as error:
            if not fired:
                self._triggerer.fired(_failed(number, error))
        except Exception as error:
            log.exception(f"Trigger {self.name} exited with error {error}")
            if not fired:
                self._triggerer.fired(_failed(number, error))
        finally:
            with suppress(Exception):
                await trigger.cleanup()
            log.info("trigger completed", name=self.name)

    def _is_late(self) -> bool:
        after = self._frame.timeout_after
        return after is not None and after < time.time()

    async def _on_kill(self, trigger: Any) -> None:
        log.info("Trigger cancelled by user action, invoking on_kill", name=self.name)
        try:
            await asyncio.wait_for(trigger.on_kill(), timeout=_ON_KILL_LIMIT)
        except TimeoutError:
            log.warning("on_kill() timed out", timeout=_ON_KILL_LIMIT, name=self.name)
        except Exception:
            log.warning("on_kill() raised an exception", name=self.name, exc_info=True)

    def _frame_of(self, event: Any) -> Fired:
        """What the event does to its task."""
        number, pushed = self._frame.number, self.comms.pushed()
        state = getattr(event, "task_instance_state", None)
        if state is not None:
            xcoms = {key: _pack(value) for key, value in (event.xcoms or {}).items()}
            start, result, plain = self._frame.start, self.comms.result, None
            if RETURN_VALUE in xcoms and start.want_plain:
                plain = result.as_json(event.xcoms[RETURN_VALUE], xcoms[RETURN_VALUE])
            ids, sync = (start.dag_id, start.run_id, start.task_id), start.survives_power
            sent = ((key, sendable(one, *ids, sync=sync)) for key, one in xcoms.items())
            end = EndKind(state.value).value
            return Fired(number, ResumeHow.ENDED.value, b"", [*pushed, *sent], end, plain, tuple(result.references))
        try:
            # First the form in which Airflow's triggerer sends it to its supervisor: tuples become lists, and so on.
            payload = _unpack(sdk._new_encoder().encode(event.payload))
        except Exception as error:
            log.error(f"Trigger {number} returned non-serializable result {event!r}. Cancelling trigger.")
            return _failed(number, error)
        try:
            return Fired(number, ResumeHow.EVENT.value, _pack(serialize(payload)), pushed, None, None)
        except Exception as error:
            reason = (
                f"Could not resume the task: the event payload could not be serialized "
                f"({type(error).__name__}: {error})"
            )
            return _failed(number, error, reason)


def _failed(
    number: int, error: BaseException | None, reason: str = TriggerFailureReason.TRIGGER_FAILURE.value
) -> Fired:
    """As `Trigger.submit_failure`."""
    lines = None if error is None else format_exception(type(error), error, error.__traceback__)
    payload = _pack({"error": reason, "traceback": lines})
    return Fired(number, ResumeHow.FAILED.value, payload, [], None, None)


class TriggererComms:
    """`SUPERVISOR_COMMS` of a triggerer: finds the trigger that asks, by the context its code runs in."""

    def __init__(self, triggerer: Triggerer) -> None:
        self._triggerer = triggerer

    def send(self, msg: Any) -> Any:
        try:
            on_loop = asyncio.get_running_loop() is self._triggerer.loop
        except RuntimeError:
            on_loop = False
        if not on_loop:
            return self._comms().send(msg)
        # The synchronous methods of the Task SDK, called from a trigger's own coroutine: as Airflow's comms do.
        import greenback

        if not greenback.has_portal():
            raise RuntimeError("synchronous Task SDK methods cannot be called from here; use their asynchronous twins")
        return greenback.await_(self.asend(msg))

    async def asend(self, msg: Any) -> Any:
        return await asyncio.to_thread(self._comms().send, msg)

    def _comms(self) -> "TriggerComms":
        """A thread that was started without its trigger's context may be any trigger's: what it can ask about is a
        Variable or a Connection, which are the same for all."""
        trigger = _current.get()
        comms = self._triggerer.latest if trigger is None else trigger.comms
        if comms is None:
            raise RuntimeError("no trigger was run here yet")
        return comms


class TriggerComms(WorkerComms):
    """The conversation of one trigger: as its task's, but from threads beside the loop."""

    handlers = HANDLERS_OF_TRIGGERS

    def __init__(self, triggerer: Triggerer, frame: RunTrigger) -> None:
        self._pushes = Pushes()
        super().__init__(self._pushes, frame.start)  # type: ignore[arg-type] # the rest of a channel is for `ask`
        self._triggerer = triggerer
        self._number = frame.number

    def ask(self, what: str, *args: Any) -> Any:
        asking = self._triggerer.ask(self._number, what, args)
        reply = asyncio.run_coroutine_threadsafe(asking, self._triggerer.loop).result()
        if reply.error is not None:
            refuse(reply.error)
        return reply.value

    def pushed(self) -> list[tuple[str, bytes]]:
        """XComs pushed so far; they become visible when the task goes on."""
        return [*self._pushes.items, *((key, value) for key, value, _ in self.outgoing.xcoms)]


class Pushes:
    """Takes the place of the channel, which a trigger has no part of to push an XCom through."""

    def __init__(self) -> None:
        self.items: list[tuple[str, bytes]] = []

    def send(self, frame: Pushed) -> None:
        self.items.append((frame.key, frame.value))


async def _ensure_portal() -> None:
    """Let the synchronous methods of the Task SDK be called from a trigger's coroutine."""
    if os.environ.get("AIRFLOW_DISABLE_GREENBACK_PORTAL", "").lower() != "true":
        with suppress(ImportError):
            import greenback

            await greenback.ensure_portal()


def _open_log(path: str) -> int:
    try:
        os.makedirs(os.path.dirname(path), mode=0o775, exist_ok=True)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o664)
    except OSError:
        return -1  # a full disk: the trigger goes on without


def _log_descriptor() -> int:
    trigger = _current.get()
    return -1 if trigger is None else trigger.descriptor
