"""The worker's side of `dagcall.emit`: partial results on their way to the coordinator.

Guarantees. Values leave in the order in which they were emitted, from whatever thread, and before the end of their
attempt. The first leaves at once; more that come within `PAUSE` leave together, at its end, so that a task that emits
in a tight loop costs neither itself nor the coordinator a message for each value. A process that the task has forked
emits nothing: it must not speak in the worker's name. After the end of the attempt nothing is emitted.
"""

import os
import threading
from time import monotonic, sleep

import msgspec

from dagcall.airflow_bridge.plain import plain
from dagcall.workers.channel import Channel
from dagcall.workers.frames import Chunk, Start

PAUSE = 0.01
"""Seconds."""
LONGEST_VALUE = 256 * 1024
"""Bytes of JSON of one value. What is larger is no partial result, but a result."""
_FULL = 256 * 1024
"""Bytes. More than that does not wait for the end of the pause."""

_encode = msgspec.json.Encoder().encode


class Emitter:
    """The hook of `dagcall.emit` during one attempt."""

    def __init__(self, channel: Channel, start: Start) -> None:
        self._channel = channel
        self._start = start
        self._owner = os.getpid()
        self._lock = threading.RLock()
        self._waiting: list[bytes] = []
        self._size = 0
        self._sent_at = 0.0
        self._later: threading.Thread | None = None
        self._closed = False

    def __call__(self, value: object) -> None:
        """Raises `ValueError` for a value over `LONGEST_VALUE`."""
        if os.getpid() != self._owner:
            return
        chunk = _encode(plain(value))
        if len(chunk) > LONGEST_VALUE:
            raise ValueError(
                f"dagcall.emit: a value of {len(chunk)} bytes of JSON is over the limit of {LONGEST_VALUE}; "
                "return it as the task's result, or emit it in parts"
            )
        with self._lock:
            if self._closed:
                return
            self._waiting.append(chunk)
            self._size += len(chunk)
            if self._size >= _FULL or (self._later is None and monotonic() - self._sent_at >= PAUSE):
                self._send()
            elif self._later is None:
                self._later = threading.Thread(target=self._send_later, name="dagcall-emit", daemon=True)
                self._later.start()

    def close(self) -> None:
        """Send what waits; whatever comes later is dropped."""
        with self._lock:
            self._closed = True
            self._send()
            later = self._later
        if later is not None:
            later.join()

    def _send_later(self) -> None:
        sleep(PAUSE)
        with self._lock:
            self._later = None
            self._send()

    def _send(self) -> None:
        if self._waiting:
            values, self._waiting, self._size = self._waiting, [], 0
            self._sent_at = monotonic()
            self._channel.send(Chunk(self._start.attempt, self._start.epoch, values))
