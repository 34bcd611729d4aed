"""Waits for runs and their tasks: `DagStateTrigger` and `WorkflowTrigger` of Airflow's standard provider.

`TriggerDagRunOperator(wait_for_completion=True)` and `ExternalTaskSensor` wait with these. Under Airflow a triggerer
asks the database every few seconds; here the waiter is told: it looks once when the wait begins, having subscribed
before, and then whenever something about a run that it waits for has become durable, on this server or, where servers
share a journal, on another (`post.dag_watches`). There is no polling, no worker and no triggerer. A sensor in reschedule mode that names what it waits for is told too:
it looks again as soon as that is so, and otherwise at its date.

Authoritative for what is waited for and for the event: airflow/providers/standard/triggers/external_task.py. Triggers
that it does not know, or that would wait for ever there (no run ids), are not taken: the triggerer runs them.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from dagcall.coordinator.awaits import Awaited
from dagcall.coordinator.run import Run
from dagcall.coordinator.run_questions import Refused, RunQuestions
from dagcall.errors import DagcallError
from dagcall.model.events import EndKind, ResumeHow

log = logging.getLogger("dagcall.coordinator")

_TRIGGERS: Final = "airflow.providers.standard.triggers.external_task."
DAG_STATE: Final = _TRIGGERS + "DagStateTrigger"
WORKFLOW: Final = _TRIGGERS + "WorkflowTrigger"

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


class Condition(Protocol):
    """What one try waits for."""

    @property
    def dag_id(self) -> str: ...

    def concerns(self, run: Run) -> bool:
        """Whether news of this run of the DAG can make a difference."""
        ...

    def concerns_elsewhere(self, run_id: str) -> bool:
        """The same of a run that another server drives; empty: of any. What was known of its state is not so any more."""
        ...

    async def event(self, questions: RunQuestions) -> object:
        """The trigger's event, as serde encodes it; None while there is none. Raises Refused, JournalError."""
        ...


class RunStates:
    """`DagStateTrigger`: every one of these runs is in one of the states."""

    def __init__(self, kwargs: dict[str, Any]) -> None:
        self._kwargs = kwargs
        self.dag_id: str = kwargs["dag_id"]
        self._run_ids: list[str] = kwargs["run_ids"]
        self._states = frozenset(kwargs["states"])
        self._seen: dict[str, str] = {}

    def concerns(self, run: Run) -> bool:
        state = run.head.state.value
        if run.key.run_id not in self._run_ids or self._seen.get(run.key.run_id) == state:
            return False
        self._seen[run.key.run_id] = state
        return True

    def concerns_elsewhere(self, run_id: str) -> bool:
        if not run_id:
            self._seen.clear()
            return True
        self._seen.pop(run_id, None)
        return run_id in self._run_ids

    async def event(self, questions: RunQuestions) -> object:
        for run_id in self._run_ids:
            if run_id not in self._seen:
                try:
                    state = await questions.dag_run_state(self.dag_id, run_id)
                except Refused:  # it may still come
                    continue
                self._seen.setdefault(run_id, state)
        if any(self._seen.get(run_id) not in self._states for run_id in self._run_ids):
            return None
        # The trigger tells the state of the first run only (`validate_count_dags_af_3`).
        first = self._run_ids[0]
        data = {**self._kwargs, first: self._seen[first]}
        return {"__classname__": "builtins.tuple", "__version__": 1, "__data__": [DAG_STATE, data]}


class Workflow:
    """`WorkflowTrigger`: runs of a DAG, their tasks, or a task group of them, by logical date or run id."""

    def __init__(self, kwargs: dict[str, Any], *, as_sensor: bool = False) -> None:
        """`as_sensor`: count as the sensor itself does when it looks, in fractions."""
        self._as_sensor = as_sensor
        self.dag_id: str = kwargs["external_dag_id"]
        self._task_ids = _items(kwargs.get("external_task_ids"))
        self._group: str | None = kwargs.get("external_task_group_id")
        self._run_ids = _items(kwargs.get("run_ids"))
        self._dates = [_seconds(date) for date in _items(kwargs.get("logical_dates")) or ()]
        self._failed = _items(kwargs.get("failed_states"))
        self._skipped = _items(kwargs.get("skipped_states"))
        self._allowed = _items(kwargs.get("allowed_states"))
        self._wanted = len(self._run_ids or self._dates)

    def concerns(self, run: Run) -> bool:
        return (not self._dates or run.head.logical_date in self._dates) and (
            not self._run_ids or run.key.run_id in self._run_ids
        )

    def concerns_elsewhere(self, run_id: str) -> bool:
        return not self._run_ids or not run_id or run_id in self._run_ids

    async def event(self, questions: RunQuestions) -> object:
        if self._failed and await self._count(questions, self._failed) > 0:
            return {"status": "failed"}
        if self._skipped and await self._count(questions, self._skipped) > 0:
            return {"status": "skipped"}
        if await self._count(questions, self._allowed) == self._wanted:
            return {"status": "success"}
        return None

    async def _count(self, questions: RunQuestions, states: list[str] | None) -> float:
        """As `WorkflowTrigger._get_count_af_3`, or `ExternalTaskSensor._calculate_count`."""
        if self._task_ids:
            count = await questions.ti_count(
                self.dag_id, None, self._task_ids, None, self._dates, self._run_ids, states
            )
            share = count / len(self._task_ids)
            return share if self._as_sensor else int(share)
        if self._group:
            found = await questions.task_states(self.dag_id, None, None, self._group, self._dates, self._run_ids)
            return sum(all(state in (states or ()) for state in tasks.values()) for tasks in found.values() if tasks)
        return await questions.dr_count(self.dag_id, self._dates, self._run_ids, states)


class _Elsewhere:
    """Another server waits for runs of a DAG."""

    def __init__(self, dag_id: str, told: Callable[[Run], None]) -> None:
        self.dag_id = dag_id
        self._told = told

    def concerns(self, run: Run) -> bool:
        self._told(run)
        return False

    def concerns_elsewhere(self, run_id: str) -> bool:
        return False

    async def event(self, questions: RunQuestions) -> object:
        return None


class WaitsElsewhere(Protocol):
    """Told of which DAGs something waits here for runs."""

    def begin(self, dag_id: str) -> None: ...

    def end(self, dag_id: str) -> None: ...


class _Watch:
    """One wait in progress."""

    def __init__(self, awaited: Awaited | None, condition: Condition) -> None:
        self.awaited = awaited
        """None: of another server."""
        self.condition = condition
        self.looking: asyncio.Task[None] | None = None
        self.is_stale = False


class RunWaiter:
    """Implements `awaits.Waiter`; drivers tell it what has become durable."""

    def __init__(self, questions: RunQuestions) -> None:
        self._questions = questions
        self._watches: dict[Awaited, _Watch] = {}
        self._by_dag: defaultdict[str, set[_Watch]] = defaultdict(set)
        self._elsewhere: dict[str, _Watch] = {}
        self.elsewhere: WaitsElsewhere | None = None

    def takes(self, awaited: Awaited) -> bool:
        return _condition(awaited) is not None

    def start(self, awaited: Awaited) -> None:
        condition = _condition(awaited)
        assert condition is not None
        watch = self._watches[awaited] = _Watch(awaited, condition)
        watches = self._by_dag[condition.dag_id]
        is_first = not any(one.awaited for one in watches)
        watches.add(watch)
        if is_first and self.elsewhere is not None:
            self.elsewhere.begin(condition.dag_id)
        self._look(watch)

    def stop(self, awaited: Awaited, *, killed: bool) -> None:
        watch = self._forget(awaited)
        if watch is not None and watch.looking is not None:
            watch.looking.cancel()

    def timed_out(self, awaited: Awaited) -> None:
        self.stop(awaited, killed=False)
        awaited.resume(ResumeHow.TIMEOUT)

    def published(self, run: Run) -> None:
        """More about a run has become durable."""
        for watch in tuple(self._by_dag.get(run.key.dag_id, ())):
            if watch.condition.concerns(run):
                self._look(watch)

    def heard(self, dag_id: str, run_id: str) -> None:
        """More about a run that another server drives has become durable; empty: about any of the DAG."""
        for watch in tuple(self._by_dag.get(dag_id, ())):
            if watch.condition.concerns_elsewhere(run_id):
                self._look(watch)

    def watched_elsewhere(self, dag_id: str, told: Callable[[Run], None] | None) -> None:
        """Have `told` hear of every run of the DAG of which more becomes durable here; None: nobody any more."""
        watch = self._elsewhere.pop(dag_id, None)
        if watch is not None:
            self._drop(watch)
        if told is not None:
            watch = self._elsewhere[dag_id] = _Watch(None, _Elsewhere(dag_id, told))
            self._by_dag[dag_id].add(watch)

    def _look(self, watch: _Watch) -> None:
        watch.is_stale = True
        if watch.looking is None:
            watch.looking = asyncio.get_running_loop().create_task(self._look_until_settled(watch))

    async def _look_until_settled(self, watch: _Watch) -> None:
        awaited, event = watch.awaited, None
        assert awaited is not None
        try:
            while watch.is_stale and event is None:
                watch.is_stale = False
                event = await watch.condition.event(self._questions)
        except (Refused, DagcallError) as error:
            self._forget(awaited)
            awaited.fail(str(error))
        finally:
            watch.looking = None
        if event is not None and self._forget(awaited) is not None:
            if awaited.command.kind is EndKind.RESCHEDULED:
                awaited.resume(ResumeHow.DUE)
            else:
                awaited.resume(ResumeHow.EVENT, _pack(event))

    def _forget(self, awaited: Awaited) -> _Watch | None:
        watch = self._watches.pop(awaited, None)
        if watch is not None:
            self._drop(watch)
        return watch

    def _drop(self, watch: _Watch) -> None:
        dag_id = watch.condition.dag_id
        watches = self._by_dag[dag_id]
        watches.discard(watch)
        if self.elsewhere is not None and not any(one.awaited for one in watches):
            self.elsewhere.end(dag_id)
        if not watches:
            del self._by_dag[dag_id]


def _condition(awaited: Awaited) -> Condition | None:
    """What is waited for; None when it is not for this waiter."""
    suspension = awaited.command.suspension
    if suspension.trigger not in (DAG_STATE, WORKFLOW):
        return None
    try:
        kwargs = _unpack(suspension.trigger_kwargs)
        if suspension.trigger == WORKFLOW:
            return Workflow(kwargs, as_sensor=awaited.command.kind is EndKind.RESCHEDULED)
        return RunStates(kwargs) if kwargs.get("run_ids") and isinstance(kwargs["run_ids"], list) else None
    except (KeyError, TypeError, ValueError) as error:
        log.warning("run %s: %s has kwargs of a form that is not known: %s", awaited.run.key, suspension.trigger, error)
        return None


def _items(value: Any) -> list[Any] | None:
    """A list, or another collection in serde's form; None and empty ones filter nothing."""
    if isinstance(value, dict):
        value = value["__data__"]
    if value is not None and not isinstance(value, list):
        raise TypeError(f"not a collection: {value!r}")
    return value or None


def _seconds(date: Any) -> float:
    """Of a datetime in serde's form (airflow/sdk/serde/serializers/datetime.py)."""
    return float(date["__data__"]["timestamp"])
