"""Following a run's events: which request to send, what a line means, when it is over. No I/O.

Guarantee: every event is handed out once and in order, over any number of broken connections: a reconnect asks for
what follows the last id seen. It is over after `end`, after the outcome when only that was asked for, or when the
server says so (204). What cannot be resumed (the call was sent, no event came back) is an error, never a second call,
unless the call has a key: then it is repeated. As with other calls (`_flow`), one that reached nobody, or was refused
before any work was done, is repeated for `retry` seconds.
"""

import json
from dataclasses import replace

from dagcall.client._flow import Repetition, nobody_there, problem_of, refused_for, run_path
from dagcall.client._wire import Accepted, Broken, Request, Response, RunEvent
from dagcall.errors import NotAcceptable, NotSupported, Problem, ServerError, Unavailable, Unreachable

NDJSON = "application/x-ndjson"
SILENCE = 90.0
"""Seconds. Several heartbeats must have been missed before a stream is given up."""

_MOST_FAILURES = 6


class EventFollower:
    """State of one reader. `until_outcome`: over at `result` or `failure`, not only at `end`."""

    def __init__(
        self,
        dag_id: str,
        *,
        run_id: str | None = None,
        opening: Request | None = None,
        until_outcome: bool = False,
        retry: float = 0.0,
    ) -> None:
        assert run_id or opening, "a follower needs a run, or the request that starts one"
        self._dag_id = dag_id
        self._run_id = run_id
        self._opening = opening
        self._is_repeatable = opening is not None and "idempotency-key" in opening.headers
        self._until_outcome = until_outcome
        self._last_id = 0
        self._failures = 0
        self._retry = retry
        self._repetition = Repetition(retry)
        self._refused_for: float | None = None
        self._is_over = False

    def is_over(self) -> bool:
        """Nothing follows. (A method: it changes behind the back of whoever asks twice.)"""
        return self._is_over

    def request(self) -> Request:
        """The next request: the call itself the first time, then its events after the last one seen."""
        if self._run_id is None:
            assert self._opening is not None
            return replace(self._opening, read_timeout=SILENCE)
        headers = {"accept": NDJSON}
        if self._last_id:
            headers["last-event-id"] = str(self._last_id)
        query = (("until", "outcome"),) if self._until_outcome else ()
        path = run_path(Accepted(self._dag_id, self._run_id))
        return Request("GET", f"{path}/events", headers, query, read_timeout=SILENCE)

    def opened(self, response: Response) -> None:
        """The head of an answer (with its content, unless it is a stream)."""
        self._refused_for = None
        if response.status < 300:
            self._run_id = self._run_id or response.headers.get("dagcall-run-id")
        if response.status == 204:
            self._is_over = True
        elif response.status == 202 or (response.status == 200 and not _is_stream(response)):
            raise NotSupported("This server does not send a run's events: it answered the call without a stream.")
        elif response.status != 200:
            refused = refused_for(response)
            if refused is not None and self._repetition.has_time(response.at, refused):
                self._refused_for = refused
                return
            problem = problem_of(response)
            if not (self._last_id and isinstance(problem, Unavailable)):
                raise _explained(problem)
            self.closed(str(problem))

    def feed(self, line: str) -> RunEvent | None:
        """One line of the stream; None for a heartbeat, and for an event that was seen before."""
        if not line.strip():
            return None
        try:
            raw = json.loads(line)
            event = RunEvent(int(raw["id"]), raw["event"], raw["run_id"], str(raw["time"]), raw.get("data"))
        except (ValueError, KeyError, TypeError) as error:
            raise ServerError(f"The stream has a line that is no event: {line[:200]!r}") from error
        if event.id <= self._last_id:
            return None
        self._last_id, self._failures = event.id, 0
        self._repetition = Repetition(self._retry)
        self._run_id = self._run_id or event.run_id
        self._is_over = event.event == "end" or (self._until_outcome and event.event in ("result", "failure"))
        return event

    def broke(self, broken: Broken) -> None:
        """The connection failed, or none was made. Raises `Unreachable` when there is no going on."""
        if broken.sent or self._run_id is not None:
            self.closed(broken.reason)
            return
        self._refused_for = None
        self._failures += 1
        if not self._repetition.has_time(broken.at, self.pause):
            raise nobody_there(broken)

    def closed(self, reason: str) -> None:
        """The stream ended before its time. Raises `Unreachable` when there is no going on."""
        self._refused_for = None
        self._failures += 1
        if self._is_over:
            return
        if self._run_id is None and not self._is_repeatable:
            raise Unreachable(f"{reason}. If the call arrived, its run goes on; `dagcall runs list` shows it.")
        if self._failures >= _MOST_FAILURES:
            which = f"Run {self._run_id!r}" if self._run_id is not None else "The run, if the call arrived,"
            raise Unreachable(f"{reason}. {which} may go on; attach to it later.")

    @property
    def pause(self) -> float:
        """Seconds before the next request."""
        return 0.1 * float(2**self._failures) if self._refused_for is None else self._refused_for


def _explained(problem: Problem) -> Problem:
    if type(problem) in (NotAcceptable, NotSupported):
        return NotSupported(f"This server does not send a run's events: {problem}")
    return problem


def _is_stream(response: Response) -> bool:
    return response.headers.get("content-type", "").startswith(NDJSON)
