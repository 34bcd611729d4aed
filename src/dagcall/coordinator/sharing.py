"""One run for several calls: those with one idempotency key, and identical ones where the DAG asks for it.

Guarantees.
- *Key.* All calls of one caller to one DAG with one key get one run, whether they come one after the other, at the
  same moment, after a restart, or to several servers: the run's head has the key, looking for it in the journal and
  beginning the run is done by one call at a time, and a journal that servers share refuses a second run for it. A key lives as long as its run is kept. It belongs to the body that it came with first
  (params as canonical JSON, and which results); another body is refused. A call that was refused has left no run, and
  so no key.
- *Coalescing* (`DagPlan.coalesce`): a call joins a run in flight of an identical call: same DAG version, body and
  caller. In flight is what has no outcome yet.
- *Cache* (`DagPlan.cache_ttl`): an identical call is answered with a run that has succeeded, for that many seconds from
  its outcome on. Failures are never kept. This is memory of one server, gone with it.

A call that says something about the run itself (a key, an id, a deadline, dates, a note) takes no part in coalescing
and cache. Everything is on the event loop.
"""

import asyncio
import json
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Any

from dagcall.coordinator.acceptance import decided
from dagcall.coordinator.api import CallRequest, Shared
from dagcall.coordinator.run import Run
from dagcall.crashpoints import reached
from dagcall.errors import DagcallError, IdempotencyMismatch, RunExists, RunNotFound
from dagcall.journal.base import HeadQuery, Journal
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan
from dagcall.model.states import OutcomeKind

CACHED = 1000
"""The most runs that are remembered for later identical calls."""

Begin = Callable[[], Awaitable[Run]]


class Sharing:
    """`find`: a run by its key, active or ended. Raises `RunNotFound`."""

    def __init__(self, journal: Journal, find: Callable[[RunKey], Awaitable[Run]], now: Callable[[], float]) -> None:
        self._journal = journal
        self._find = find
        self._now = now
        self._beginning: dict[Hashable, asyncio.Task[Run]] = {}
        self._in_flight: dict[Hashable, Run] = {}
        self._shared: dict[RunKey, Hashable] = {}
        self._cached: OrderedDict[Hashable, tuple[RunKey, float]] = OrderedDict()
        self.counts: Counter[str] = Counter()
        """Of calls that were answered with another one's run, by why."""

    async def by_key(self, request: CallRequest, begin: Begin) -> tuple[Run, Shared]:
        """The run of the request's key; `begin` makes it if there is none. Raises `IdempotencyMismatch`."""
        shared: Shared = "key"

        async def first() -> Run:
            nonlocal shared
            run = await self._of_key(request)
            if run is None:
                reached("key.looked_up")
                try:
                    run, shared = await begin(), None
                except RunExists:  # begun by another server meanwhile, unless only the id is taken
                    run = await self._of_key(request)
                    if run is None:
                        raise
            return run

        run = await self._one_at_a_time(("key", request.caller, request.dag_id, request.idempotency_key), first)
        if shared is not None and body_of_run(run) != body_of(request):
            raise IdempotencyMismatch(dag_id=request.dag_id, run_id=run.key.run_id)
        return self._counted(run, shared)

    async def by_content(self, request: CallRequest, plan: DagPlan, begin: Begin) -> tuple[Run, Shared]:
        """A run of an identical call, where the plan allows it; else the one that `begin` makes."""
        if not (plan.coalesce or plan.cache_ttl) or not _is_plain(request):
            return await begin(), None
        caller = "" if plan.shares_with_everyone else request.caller
        identity = ("body", caller, plan.dag_id, plan.version, body_of(request))
        if plan.coalesce and (in_flight := self._in_flight.get(identity)) is not None:
            return self._counted(in_flight, "coalesced")
        shared: Shared = "coalesced"

        async def first() -> Run:
            nonlocal shared
            cached = await self._cached_run(identity)
            if cached is not None:
                shared = "cache"
                return cached
            run, shared = await begin(), None
            self._in_flight[identity] = run
            self._shared[run.key] = identity
            if run.outcome is not None:
                self.answered(run)
            return run

        run = await (self._one_at_a_time(identity, first) if plan.coalesce else first())
        return self._counted(run, shared)

    def _counted(self, run: Run, shared: Shared) -> tuple[Run, Shared]:
        if shared is not None:
            self.counts[shared] += 1
        return run, shared

    def answered(self, run: Run) -> None:
        """The run has its outcome, or will have none here."""
        identity = self._shared.pop(run.key, None)
        if identity is None:
            return
        if self._in_flight.get(identity) is run:
            del self._in_flight[identity]
        ttl = run.plan.cache_ttl
        if ttl and run.outcome is not None and run.outcome.kind is OutcomeKind.SUCCESS:
            self._cached[identity] = (run.key, self._now() + ttl)
            self._cached.move_to_end(identity)
            if len(self._cached) > CACHED:
                self._cached.popitem(last=False)

    async def _one_at_a_time(self, identity: Hashable, first: Begin) -> Run:
        """What `first` gives, once for all who ask while it works. Whoever comes after a refusal tries for itself."""
        while (task := self._beginning.get(identity)) is not None:
            try:
                return await decided(task, self._journal)
            except DagcallError:
                if not task.done():
                    raise
                continue

        async def begin() -> Run:
            try:
                return await first()
            finally:  # not in a callback: who came between the end and the callback would look again for ever
                del self._beginning[identity]

        task = self._beginning[identity] = asyncio.ensure_future(begin())
        return await decided(task, self._journal)  # a caller that leaves does not take the run from the others

    async def _of_key(self, request: CallRequest) -> Run | None:
        query = HeadQuery(
            dag_ids=frozenset({request.dag_id}),
            idempotency_key=request.idempotency_key,
            caller=request.caller,
            limit=1,
        )
        heads, _ = await self._journal.list_heads(query)
        try:
            return await self._find(heads[0].key) if heads else None
        except RunNotFound:  # deleted since
            return None

    async def _cached_run(self, identity: Hashable) -> Run | None:
        cached = self._cached.get(identity)
        if cached is None:
            return None
        key, until = cached
        if self._now() < until:
            with suppress(RunNotFound):  # deleted since
                return await self._find(key)
        self._cached.pop(identity, None)
        return None


def body_of(request: CallRequest) -> tuple[str, frozenset[str]]:
    """What makes two calls of a DAG equal."""
    return canonical(request.conf), frozenset(request.results)


def body_of_run(run: Run) -> tuple[str, frozenset[str]]:
    accepted = run.machine.accepted
    return canonical(json.loads(accepted.conf)), frozenset(accepted.results)


def canonical(value: Any) -> str:
    """JSON text that is the same for equal values: members sorted, numbers by value (1.0 is 1), true is not 1."""
    return json.dumps(_normal(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _normal(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _normal(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_normal(one) for one in value]
    return value


def _is_plain(request: CallRequest) -> bool:
    """It says nothing about the run itself, only what is to be computed."""
    own = (request.run_id, request.timeout, request.logical_date, request.run_after, request.note, request.durability)
    return request.may_share and all(value is None for value in own)
