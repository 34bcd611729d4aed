"""Every error that dagcall raises to its users; nothing else defines a public one.

DagcallError
├── UsageError                an argument, option or setting is wrong; nothing was sent or started
│   ├── ConfigError           a setting (file, environment, option) cannot be used
│   │   └── JournalUrlError   `--journal` names no journal that exists here
│   └── MissingExtra          needs a part of dagcall that is not installed
├── NotFinished               the wait is over, the run goes on; attach with its run id
├── RolledBack                a try failed after it had handed out partial results, and nobody is told (`chunks`)
├── JournalError              the record of runs cannot be read or written; nothing of the batch was kept
│   ├── JournalLocked         another server has it open
│   ├── JournalAway           its database cannot be reached or used now
│   ├── JournalFenced         another server opened it since: this one may no longer write
│   └── JournalCorrupt        the file is damaged, or is no journal
├── InternalError             a bug of dagcall: please report it
└── Problem                   what the server answers as an RFC 9457 problem document (`slug`, status)
    ├── RunFailed             run-failed 500: the outcome is certain and is not a value
    │   ├── DeadlineExceeded  deadline-exceeded 504: the call's own `timeout=` passed
    │   ├── RunCancelled      run-cancelled 409
    │   └── Rejected          rejected 404|409|422: a task raised `dagcall.Reject`
    ├── BadRequest            bad-request 400
    │   ├── MalformedJson     malformed-json 400
    │   ├── MethodNotAllowed  method-not-allowed 405
    │   ├── NotAcceptable     not-acceptable 406
    │   ├── TooLarge          too-large 413
    │   ├── HeadTooLarge      head-too-large 431
    │   ├── RequestTimeout    request-timeout 408
    │   ├── UnsupportedMediaType  unsupported-media-type 415
    │   ├── RangeNotSatisfiable   range-not-satisfiable 416
    │   ├── NotAnObject       not-an-object 422
    │   ├── InvalidParams     invalid-params 422
    │   ├── IdempotencyMismatch   idempotency-mismatch 422
    │   ├── RunExists         run-exists 409
    │   └── DagPaused         dag-paused 409: in Airflow
    ├── NotFound              not-found 404
    │   ├── DagNotFound       dag-not-found 404
    │   ├── RunNotFound       run-not-found 404
    │   ├── TaskNotFound      task-not-found 404
    │   ├── ValueNotFound     value-not-found 404: no such value, or not yet
    │   └── ValueGone         value-gone 410: the bytes of a reference have been changed or removed
    ├── NotAllowed            not-allowed 403
    │   ├── NotAuthenticated  not-authenticated 401
    │   ├── ForeignOrigin     foreign-origin 403
    │   └── Misdirected       misdirected 421
    ├── Unavailable           unavailable 503
    │   ├── Unreachable       unreachable 503: raised by the client when nobody answers, never sent
    │   ├── Loading           loading 503
    │   ├── Overloaded        overloaded 503
    │   ├── ShuttingDown      shutting-down 503
    │   ├── RateLimited       rate-limited 429
    │   └── DagBroken         dag-broken 503
    ├── NotSupported          not-supported 501
    │   └── DagUnsupported    dag-unsupported 501
    └── ServerError           server-error 500: the server's own fault, no statement about a run

A failure of user code is a *result* inside the engine; it becomes `RunFailed` only where a caller is told.
Both directions use one table, `PROBLEM_TYPES`: the server writes `Problem.document()`, the client reads it back
with `problem_from`. `str(error)` is a sentence: what happened, where, what to do. A class's name is its wire name
(`DagNotFound` is `dag-not-found`), so renaming one breaks clients; a test pins the table.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self
from urllib.parse import quote

from dagcall.error_details import (
    CauseStep,
    Detail,
    ParamProblem,
    TaskError,
    UnsupportedFeature,
    plain,
    read,
    task_label,
)

PROBLEM_BASE = "/problems/"
"""What precedes the slug in a problem's `type`: a path, since RFC 9457 allows relative references and a host
name would tie the document to one deployment."""


class DagcallError(Exception):
    """The root: catches everything that dagcall raises on purpose."""


class UsageError(DagcallError):
    """An argument, option or setting is wrong. Nothing was sent or started."""


class ConfigError(UsageError):
    """A setting cannot be used; the message names it, its value, and what is allowed."""


class JournalUrlError(ConfigError):
    """The journal's URL is malformed, or names a kind of journal that does not exist here."""


class MissingExtra(UsageError):
    """A part of dagcall that is not installed is needed."""


class RolledBack(DagcallError):
    """A try of a task has failed, and the partial results that it had handed out are void. The run goes on."""


class JournalError(DagcallError):
    """The journal cannot be read or written. Of a batch that failed with it, nothing was kept."""


class JournalLocked(JournalError):
    """Another server has this journal open; the message names its process id."""


class JournalAway(JournalError):
    """The journal's database cannot be reached or used now; nothing was kept, the same may succeed later."""


class JournalFenced(JournalError):
    """Another server opened this journal since: whatever this one still wants to write is refused, for good."""


class JournalCorrupt(JournalError):
    """The file is damaged, or was never a journal; the message names it and says what to do."""


class InternalError(DagcallError):
    """A bug of dagcall, never of a DAG or of a caller."""

    def __str__(self) -> str:
        return f"{super().__str__()} (this is a bug in dagcall: please report it, with this message)"


@dataclass(eq=False)
class NotFinished(DagcallError):
    """The time to wait is over and the outcome is not certain yet. The run goes on.

    `waited`: seconds; `state`: the run's state when last seen.
    """

    dag_id: str = ""
    run_id: str = ""
    waited: float = 0.0
    state: str | None = None

    def __str__(self) -> str:
        return (
            f"Run {self.run_id!r} of DAG {self.dag_id!r} has no outcome after {round(self.waited, 1):g} s and goes on; "
            "attach to it with its run id, or wait longer."
        )


PROBLEM_TYPES: dict[str, type["Problem"]] = {}
"""Every problem type by slug."""


@dataclass(eq=False)
class Problem(DagcallError):
    """An answer that is not a result; all fields are optional.

    `status` is the HTTP status, `slug` ends the problem's `type`, `title` names it for humans. `detail` is the
    sentence shown; empty, it is the first line of the class's docstring with the fields put in. `retry_after`:
    seconds until another attempt makes sense, when the server said so.
    """

    slug: ClassVar[str] = "problem"
    title: ClassVar[str] = "Problem"
    status = 500
    _optional: ClassVar[frozenset[str]] = frozenset({"dag_id", "run_id", "retry_after"})
    _wire_names: ClassVar[dict[str, str]] = {}
    _nested: ClassVar[dict[str, type[Detail]]] = {}

    detail: str = ""
    dag_id: str | None = field(default=None, kw_only=True)
    run_id: str | None = field(default=None, kw_only=True)
    retry_after: float | None = field(default=None, kw_only=True)

    def __init_subclass__(cls, status: int | None = None) -> None:
        if status is not None:
            cls.status = status
        words = re.findall("[A-Z][a-z]*", cls.__name__)
        cls.slug = "-".join(words).lower()
        cls.title = " ".join(words).capitalize()
        PROBLEM_TYPES[cls.slug] = cls

    def __str__(self) -> str:
        if self.detail or not self.__doc__:
            return self.detail or self.title
        return self.__doc__.partition("\n")[0].format_map(vars(self))

    @property
    def type(self) -> str:
        """The problem type: a relative reference that ends in the slug."""
        return PROBLEM_BASE + self.slug

    @property
    def instance(self) -> str | None:
        """The path of the run that this is about."""
        if self.dag_id is None or self.run_id is None:
            return None
        return f"/call/{quote(self.dag_id, safe='')}/{quote(self.run_id, safe='')}"

    def document(self) -> dict[str, object]:
        """The problem document (RFC 9457): type, title, status, detail, instance, then this type's members."""
        document: dict[str, object] = {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": str(self),
        }
        if self.instance is not None:
            document["instance"] = self.instance
        members = self._members().items()
        return document | {name: value for name, value in members if value is not None or name not in self._optional}

    def _members(self) -> dict[str, object]:
        """Extension members by name; those in `_optional` are left out while None."""
        names = (one.name for one in fields(self) if one.name not in ("detail", "status"))
        return {self._wire_names.get(name, name): plain(getattr(self, name)) for name in names}

    @classmethod
    def _read(cls, document: Mapping[str, object]) -> Self:
        """The error that a document was made from."""
        arguments: dict[str, Any] = {}  # checked by nobody: what a peer sent
        for one in fields(cls):
            value = document.get(cls._wire_names.get(one.name, one.name))
            if one.name == "detail" and not isinstance(value, str | None):
                value = json.dumps(value)  # Airflow: {"detail": {"reason": ..., "message": ...}}, or a list
            if value is not None:
                kind = cls._nested.get(one.name)
                arguments[one.name] = value if kind is None else read(kind, value)
        return cls(**arguments)


@dataclass(eq=False)
class RunFailed(Problem, status=500):
    """The call's outcome is certain, and it is not a value.

    `task` is the task whose final failure decided it (None: no task is to blame), `map_index` -1 when unmapped,
    `try_number` counts from 1. `cause` leads from that task to the result task. `state` is the whole run's, which
    may still be `running`: `cleanup` says whether the rest has ended. `results` has the values of other result
    tasks that are known. `log` is the path of the failed try's log.
    """

    _optional = frozenset({"retry_after", "results", "log"})
    _wire_names: ClassVar = {"task": "failed_task"}
    _nested: ClassVar = {"error": TaskError, "cause": CauseStep}

    task: str | None = field(default=None, kw_only=True)
    map_index: int = field(default=-1, kw_only=True)
    try_number: int = field(default=0, kw_only=True)
    error: TaskError | None = field(default=None, kw_only=True)
    cause: tuple[CauseStep, ...] = field(default=(), kw_only=True)
    state: str | None = field(default=None, kw_only=True)
    cleanup: str = field(default="done", kw_only=True)
    results: dict[str, object] | None = field(default=None, kw_only=True)
    log: str | None = field(default=None, kw_only=True)

    def __str__(self) -> str:
        if self.detail:
            return self.detail
        run = f"run {self.run_id!r} of DAG {self.dag_id!r}"
        why = f": {self.error}" if self.error else ""
        if self.task is None:
            if self.error is not None and self.error.type == type(self).__name__:
                why = f": {self.error.message}"  # the title says the rest
            return f"{self.title}{why} ({run})."
        tried = f" on try {self.try_number}" if self.try_number else ""
        return f"Task {task_label(self.task, self.map_index)!r} failed{tried}{why} ({run}); its log tells more."


class DeadlineExceeded(RunFailed, status=504):
    """The call's own deadline (`timeout=`) passed; the run was ended, teardowns still run."""


class RunCancelled(RunFailed, status=409):
    """Somebody cancelled the run; teardowns still run."""


@dataclass(eq=False)
class Rejected(RunFailed):
    """A task raised `dagcall.Reject`: the author chose this status, and `detail` is the author's text."""

    status: int = field(default=422, kw_only=True)
    """404, 409 or 422."""


class BadRequest(Problem, status=400):
    """The request cannot be accepted as it is."""


class MalformedJson(BadRequest, status=400):
    """The body is not valid JSON; send a JSON object with the params, or no body."""


class MethodNotAllowed(BadRequest, status=405):
    """This path exists, but not with this method; the Allow header lists those it has."""


class NotAcceptable(BadRequest, status=406):
    """None of the media types in Accept can be sent here; application/json can."""


class TooLarge(BadRequest, status=413):
    """The body is over the server's limit; pass large data by reference."""


class HeadTooLarge(BadRequest, status=431):
    """The request's head, its path and headers, is over the server's limit."""


class RequestTimeout(BadRequest, status=408):
    """The request's body did not arrive in time."""


class UnsupportedMediaType(BadRequest, status=415):
    """A body needs Content-Type: application/json."""


class RangeNotSatisfiable(BadRequest, status=416):
    """None of the ranges asked for is in the value."""


class NotAnObject(BadRequest, status=422):
    """The body must be a JSON object: the params by name."""


@dataclass(eq=False)
class InvalidParams(BadRequest, status=422):
    """The params do not fit the DAG's schema: `errors` has each field and why."""

    _nested: ClassVar = {"errors": ParamProblem}

    errors: tuple[ParamProblem, ...] = field(default=(), kw_only=True)

    def __str__(self) -> str:
        if self.detail:
            return self.detail
        reasons = "; ".join(f"{one.field}: {one.reason}" if one.field else one.reason for one in self.errors)
        return f"The params do not fit DAG {self.dag_id!r}: {reasons or 'see its schema'}."


class IdempotencyMismatch(BadRequest, status=422):
    """This Idempotency-Key was used with another body; use a new key for a new call."""


class RunExists(BadRequest, status=409):
    """DAG {dag_id!r} already has a run {run_id!r}; attach to it, or choose another id."""


class DagPaused(BadRequest, status=409):
    """DAG {dag_id!r} is paused in Airflow; unpause it there (`airflow dags unpause`) to call it."""


class NotFound(Problem, status=404):
    """There is nothing at this address."""


class DagNotFound(NotFound):
    """No DAG {dag_id!r} is served here; GET /call (or `dagcall dags list`) shows those that are."""


class RunNotFound(NotFound):
    """DAG {dag_id!r} has no run {run_id!r}, or it is no longer kept."""


@dataclass(eq=False)
class TaskNotFound(NotFound):
    """DAG {dag_id!r} has no task {task_id!r}."""

    _optional = NotFound._optional | {"task_id"}

    task_id: str | None = field(default=None, kw_only=True)


class ValueNotFound(NotFound):
    """There is no value here."""


class ValueGone(NotFound, status=410):
    """The bytes that this reference promised are not there any more."""


class NotAllowed(Problem, status=403):
    """This caller may not do this."""


class NotAuthenticated(NotAllowed, status=401):
    """The server asks for credentials: send Authorization: Bearer (DAGCALL_TOKEN)."""


class ForeignOrigin(NotAllowed):
    """The Origin header names another site, and cross-origin requests are off."""


class Misdirected(NotAllowed, status=421):
    """The Host header is not one of this server's names."""


class Unavailable(Problem, status=503):
    """The server cannot answer now; try again later."""


class Unreachable(Unavailable):
    """No server answered; is `dagcall serve` running there?"""


class Loading(Unavailable):
    """The server is still loading its DAG files; try again in a moment."""


class Overloaded(Unavailable):
    """The server has as many runs as it takes; nothing was started, try again later."""


class ShuttingDown(Unavailable):
    """The server is shutting down and takes no new calls."""


class RateLimited(Unavailable, status=429):
    """This caller or DAG has as many runs as its share allows; nothing was started, try again later."""


class DagBroken(Unavailable):
    """The file of DAG {dag_id!r} does not import; see /api/v2/importErrors (or `dagcall dags check`)."""


class NotSupported(Problem, status=501):
    """This server does not support this request."""


@dataclass(eq=False)
class DagUnsupported(NotSupported):
    """The DAG uses features that dagcall refuses: `features` has each one's task, name and reason."""

    _nested: ClassVar = {"features": UnsupportedFeature}

    features: tuple[UnsupportedFeature, ...] = field(default=(), kw_only=True)

    def __str__(self) -> str:
        if self.detail:
            return self.detail
        return f"DAG {self.dag_id!r} cannot be called: {'; '.join(map(str, self.features)) or self.title}."


class ServerError(Problem, status=500):
    """The server failed to answer; its log tells more."""


def problem_from(
    status: int, document: Mapping[str, object], *, retry_after: float | None = None, fallback: str = ""
) -> Problem:
    """The error that an answer stands for. Never fails: what is not understood keeps its status and text.

    `document` is the decoded body, `{}` when there is none; `retry_after` the header, used when the document has
    no such member; `fallback` the detail of an answer that is not a problem document. A type that this version
    does not know (a newer server's, a proxy's) becomes the general class of its status. Airflow's own errors,
    `{"detail": ...}`, are read too.
    """
    slug = str(document.get("type", "")).rpartition("/")[2]
    known = PROBLEM_TYPES.get(slug) or _BY_STATUS.get(status) or (BadRequest if status < 500 else ServerError)
    problem = known._read(document)
    if not problem.detail and slug not in PROBLEM_TYPES:
        problem.detail = fallback
    problem.status = status
    if problem.retry_after is None:
        problem.retry_after = retry_after
    return problem


_BY_STATUS: dict[int, type[Problem]] = {
    401: NotAuthenticated,
    403: NotAllowed,
    404: NotFound,
    405: MethodNotAllowed,
    406: NotAcceptable,
    413: TooLarge,
    415: UnsupportedMediaType,
    421: Misdirected,
    429: RateLimited,
    501: NotSupported,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
