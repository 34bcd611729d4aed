"""The process side of the wire: a blocking socket to the coordinator.

Guarantees that a frame is sent whole or not at all as far as this process can tell, and that `receive` ends with
`ConnectionLost` when the coordinator is gone, which is every process's reason to end. It belongs to the process that
opened it: for a copy of that process that a task has forked, the connection is lost, so that it cannot speak, or take
messages, in the worker's name.
"""

import os
import socket
import threading

from dagcall.workers.frames import (
    PROTOCOL,
    Frame,
    FrameBuffer,
    Hello,
    ToProcess,
    decode_to_process,
    encode,
)

_CHUNK = 256 * 1024
_HIGH_FD = 700
"""The socket is moved up here, out of the way of user code that closes 'all' descriptors (usually 3 to 255)."""


class ConnectionLost(Exception):
    """The coordinator closed the connection or has died."""


class Channel:
    """One connection to the coordinator."""

    def __init__(self, path: str, token: str, role: str, ident: int) -> None:
        self._socket = _connect_high(path)
        self._buffer = FrameBuffer()
        self._pending: list[bytes] = []
        self._owner = os.getpid()
        self._sending = threading.RLock()
        self.send(Hello(PROTOCOL, role, token, ident, os.getpid()))

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: Frame) -> None:
        """Raises: ConnectionLost, ProtocolError (message too large; nothing was sent)."""
        data = encode(message)
        self._refuse_copies()
        try:
            with self._sending:  # threads of a task ask and emit, too
                self._socket.sendall(data)
        except OSError as error:
            raise ConnectionLost(str(error)) from error

    def receive(self) -> ToProcess:
        """Block until the next message. Raises: ConnectionLost, ProtocolError."""
        self._refuse_copies()
        while not self._pending:
            try:
                data = self._socket.recv(_CHUNK)
            except InterruptedError:
                continue
            except OSError as error:
                raise ConnectionLost(str(error)) from error
            if not data:
                raise ConnectionLost("the coordinator closed the connection")
            self._pending = self._buffer.feed(data)
        return decode_to_process(self._pending.pop(0))

    def receive_available(self) -> list[ToProcess]:
        """The messages that have arrived, without waiting for more. For an event loop. Raises like `receive`."""
        self._refuse_copies()
        pending, self._pending = self._pending, []
        try:
            data = self._socket.recv(_CHUNK, socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return [decode_to_process(body) for body in pending]
        except OSError as error:
            raise ConnectionLost(str(error)) from error
        if not data:
            raise ConnectionLost("the coordinator closed the connection")
        return [decode_to_process(body) for body in (*pending, *self._buffer.feed(data))]

    def _refuse_copies(self) -> None:
        if os.getpid() != self._owner:
            raise ConnectionLost("this process was forked by a task; only the worker itself can speak to the server")

    @property
    def has_pending(self) -> bool:
        """A whole message was already read from the socket."""
        return bool(self._pending)

    def close(self) -> None:
        self._socket.close()


def _connect_high(path: str) -> socket.socket:
    import fcntl

    low = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    low.connect(path)
    try:
        high = fcntl.fcntl(low.fileno(), fcntl.F_DUPFD_CLOEXEC, _HIGH_FD)
    except OSError:
        return low
    low.close()
    return socket.socket(fileno=high)
