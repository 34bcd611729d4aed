"""A supervisor's socket, for the processes that virtualenv and external-python operators start.

Such a process may have an Airflow of its own, which then wants to ask for Variables, Connections and XComs, and speaks
Airflow's protocol (airflow/sdk/execution_time/comms.py: a length, then MessagePack) on an inherited descriptor that
`__AIRFLOW_SUPERVISOR_FD` names. It is there exactly while such an operator runs. A thread of the worker reads the
questions and gives the same answers that the task itself would get; meanwhile the task waits for that process, so that
still one question at a time is asked. The process's log lines go into the task's log, without what is to be masked.
"""

import contextlib
import functools
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from airflow.sdk._shared.secrets_masker import _secrets_masker, redact
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import comms as sdk
from airflow.sdk.execution_time import task_runner
from pydantic import TypeAdapter

NAME = "__AIRFLOW_SUPERVISOR_FD"
_LENGTH = 4


def install(write: Callable[[bytes], object]) -> bool:
    """`write`: to the task's log. False where the operators of this version do it differently: their processes then
    have nobody to ask."""
    from airflow.providers.standard.operators import python

    operator: Any = getattr(python, "_BasePythonVirtualenvOperator", None)
    stock = getattr(operator, "_execute_python_callable_in_subprocess", None)
    if stock is None:
        return False

    def execute(self: Any, *args: Any, **kwargs: Any) -> Any:
        with served(task_runner.SUPERVISOR_COMMS, write):
            return stock(self, *args, **kwargs)

    operator._execute_python_callable_in_subprocess = execute
    return True


@contextlib.contextmanager
def served(comms: Any, write: Callable[[bytes], object]) -> Iterator[None]:
    """Processes that are started meanwhile can ask what `comms` answers."""
    ours, theirs = socket.socketpair()
    theirs.set_inheritable(True)
    os.environ[NAME] = str(theirs.fileno())
    server = _Server(ours, comms, write)
    try:
        yield
    finally:
        os.environ.pop(NAME, None)
        theirs.close()
        server.stop()


class _Server:
    """Two threads at most: one for the questions, and, when it is asked for, one for log lines."""

    def __init__(self, ours: socket.socket, comms: Any, write: Callable[[bytes], object]) -> None:
        self._socket = ours
        self._comms = comms
        self._write = write
        self._threads = [threading.Thread(target=self._serve, name="dagcall-supervisor-socket", daemon=True)]
        self._threads[0].start()

    def stop(self) -> None:
        """A grandchild may still hold the other end; nobody answers it any more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                length = int.from_bytes(self._receive(_LENGTH), "big")
                request = msgspec.msgpack.decode(self._receive(length), type=sdk._RequestFrame)
                self._answer(request)

    def _receive(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            chunk = self._socket.recv(length - len(data))
            if not chunk:
                raise EOFError
            data += chunk
        return bytes(data)

    def _answer(self, request: sdk._RequestFrame) -> None:
        body = error = None
        try:
            message = _adapter().validate_python(request.body)
            if isinstance(message, sdk.ResendLoggingFD):
                self._send_log_descriptor(request.id)
                return
            if isinstance(message, sdk.MaskSecret):
                _secrets_masker().add_mask(message.value, message.name)
            else:
                answer = self._comms.send(message)
                body = None if answer is None else answer.model_dump(by_alias=True)
        except AirflowRuntimeError as refused:
            error = refused.error.model_dump()
        except Exception as failed:
            # As the supervisor does with what it did not expect.
            detail = {"status_code": None, "message": str(failed), "exception_type": type(failed).__name__}
            error = sdk.ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail).model_dump()
        self._socket.sendall(sdk._ResponseFrame(request.id, body, error).as_bytes())

    def _send_log_descriptor(self, request_id: int) -> None:
        ours, theirs = socket.socketpair()
        frame = sdk._ResponseFrame(request_id, sdk.SentFDs(fds=[theirs.fileno()]).model_dump())
        try:
            socket.send_fds(self._socket, [frame.as_bytes()], [theirs.fileno()])
        finally:
            theirs.close()
        reader = threading.Thread(target=self._copy_log, args=(ours,), name="dagcall-supervisor-log", daemon=True)
        self._threads.append(reader)
        reader.start()

    def _copy_log(self, ours: socket.socket) -> None:
        """Until the process that has the other end is gone: what it has logged last is not lost."""
        with ours, ours.makefile("rb") as lines:
            for line in lines:
                with contextlib.suppress(OSError):
                    self._write(masked(line))


@functools.cache
def _adapter() -> TypeAdapter[Any]:
    """Of all messages: 50 ms to make, so not before the first one comes."""
    return TypeAdapter(sdk.ToSupervisor)


def masked(line: bytes) -> bytes:
    """A line of structured log without secrets; what is none becomes the text of one."""
    try:
        event = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.MsgspecError:
        event = {"level": "info", "event": line.decode("utf-8", "backslashreplace").rstrip()}
    if (exception := event.pop("exception", None)) is not None:
        event["error_detail"] = exception  # the name that Airflow's log reader knows
    return msgspec.json.encode(redact(event)) + b"\n"
