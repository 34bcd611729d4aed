"""Were the promises kept? A checker of what is left of a test in which servers, workers and databases were killed.

It reads what the journal holds, what clients were told, and what the code of tasks has left behind (effects), as plain
values, and shares no code with the engine: `entries_of_rows` reads the stored form itself. `violations` returns
sentences; none means that every promise held:

- *P1* a run whose id was told is in the journal. *P2* the code of an attempt ran at most once, and only after its start
  was recorded; an attempt has at most one recorded start and end; no try begins twice. *P3* no task was tried beyond its
  retries, a lost attempt counts as a used try, nothing is left running in a run that has ended. *P4* every run ended.
- *P5* calls of one caller with one key got one run, and the journal has one run for the key.
- *P6* an outcome that was told is the one that the journal has, its value included, and is the only one.
- *P9* a run's events have the ids 1, 2, 3, ...; what a reader saw is what is recorded.

"Worker lost" is a failure that only a kill explains: where the times of kills are given, one that has none in its run
is a violation too.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

FINAL = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
_SUSPENDING = frozenset({"deferred", "rescheduled", "awaiting_input"})
_AROUND = 2.0
"""Seconds: a process that is killed is seen to be gone a little later."""
BY_KILLS = frozenset({"WorkerLost", "CodeLost", "TriggererLost"})
"""Types of errors that only the end of a process explains."""

RunName = tuple[str, str]
"""DAG id and run id."""
Instance = tuple[str, int]
"""Task id and map index."""


@dataclass(frozen=True)
class Entry:
    """A record: its public part, and the event that it carries, if any: its stored name and fields."""

    id: int
    time: float
    kind: str
    data: dict[str, Any]
    event: str = ""
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredRun:
    """A run as the journal holds it."""

    dag_id: str
    run_id: str
    state: str
    outcome: str
    caller: str
    key: str | None
    entries: Sequence[Entry]
    retries: Mapping[str, int]
    """By task id."""

    @property
    def name(self) -> RunName:
        return self.dag_id, self.run_id

    def __str__(self) -> str:
        return f"run {self.dag_id}/{self.run_id}"


@dataclass(frozen=True)
class Told:
    """What one client was told about a run. `what`: accepted, or an outcome (success, failed, cancelled, deadline).

    `value`: the body that a success came with. `caller` and `key`: of the call."""

    dag_id: str
    run_id: str
    what: str
    value: bytes | None = None
    caller: str = ""
    key: str | None = None


@dataclass(frozen=True)
class Effect:
    """The code of a try has begun to run. `attempt`: its number, where the code knows it; `goes_on`: it is not the
    first attempt of its try."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int
    attempt: int | None = None
    goes_on: bool = False


@dataclass(frozen=True)
class Seen:
    """What one reader of a run's events has got, over all its connections: (id, kind)."""

    dag_id: str
    run_id: str
    events: Sequence[tuple[int, str]]


def violations(
    runs: Collection[StoredRun],
    told: Iterable[Told],
    effects: Iterable[Effect],
    seen: Iterable[Seen] = (),
    *,
    kills: Collection[float] | None = None,
) -> list[str]:
    """Sentences; empty: every promise was kept. `kills`: when some process was killed; None: at any time."""
    by_name = {run.name: run for run in runs}
    found: list[str] = []
    for run in runs:
        found += [f"{run}: {words}" for words in _of_run(run, kills=kills)]
    found += _of_keys(runs)
    found += _of_told(by_name, list(told))
    found += _of_effects(by_name, effects)
    found += _of_seen(by_name, seen)
    return found


# What a run's records must be


def _of_run(run: StoredRun, *, kills: Collection[float] | None) -> Iterator[str]:
    ids = [entry.id for entry in run.entries]
    if ids != list(range(1, len(ids) + 1)):
        yield f"P9: its events have the ids {ids}"
    kinds = Counter(entry.kind for entry in run.entries)
    if not run.entries or run.entries[0].kind != "accepted" or kinds["accepted"] != 1:
        yield "P1: it does not begin with its acceptance, once"
    if kinds["end"] != 1 or run.state not in ("success", "failed"):
        yield f"P4: it has not ended (state {run.state}, {kinds['end']} end events)"
    if kinds["result"] + kinds["failure"] != 1:
        yield f"P6: it has {kinds['result'] + kinds['failure']} outcomes"
    yield from _of_attempts(run)
    yield from _of_instances(run, kills=kills)


def _of_attempts(run: StoredRun) -> Iterator[str]:
    started = Counter(entry.fields["attempt"] for entry in run.entries if entry.event == "attempt_started")
    ended = Counter(entry.fields["attempt"] for entry in run.entries if entry.event == "attempt_ended")
    yield from (f"P2: attempt {n} started {count} times" for n, count in started.items() if count > 1)
    yield from (f"P2: attempt {n} ended {count} times" for n, count in ended.items() if count > 1)
    epochs: dict[int, int] = {}
    for entry in run.entries:
        attempt = entry.fields.get("attempt", 0)
        if entry.event == "attempt_started":
            epochs[attempt] = entry.fields["epoch"]
        elif entry.event == "attempt_ended" and attempt in started and epochs.get(attempt) != entry.fields["epoch"]:
            yield f"P2: attempt {attempt} has an end of another epoch, or before its start"


def _of_instances(run: StoredRun, *, kills: Collection[float] | None) -> Iterator[str]:
    states: dict[Instance, str] = {}
    tries: dict[Instance, int] = {}
    ends: dict[int, str] = {}
    attempts: dict[Instance, tuple[int, int]] = {}
    """The attempt that was started last, and its try."""
    started: set[int] = set()
    for entry in run.entries:
        if entry.event == "attempt_ended":
            ends[entry.fields["attempt"]] = entry.fields["kind"]
        if entry.kind != "task":
            continue
        instance, state, number = _instance(entry), entry.data["state"], entry.data["try_number"]
        states[instance] = state
        error = entry.data.get("error") or {}
        if kills is not None and error.get("type") in BY_KILLS:
            began = run.entries[0].time
            if not any(began - _AROUND <= kill <= entry.time + _AROUND for kill in kills):
                yield f"P3: {_words(instance)} is lost ({error['message']}), and nothing was killed"
        if entry.event == "attempt_ended" and entry.fields["attempt"] not in started and state != "skipped":
            attempts[instance] = entry.fields["attempt"], number  # nobody could take it: that is a used try
        if state == "deferred" and entry.event not in ("attempt_ended", "attempt_started"):
            attempts[instance] = 0, number  # it begins with its trigger
            ends[0] = "deferred"
        if state != "running" or entry.event != "attempt_started":
            continue
        started.add(entry.fields["attempt"])
        last, last_try = attempts.get(instance, (0, 0))
        suspended = ends.get(last) in _SUSPENDING
        if not (number == last_try + 1 or (suspended and number == last_try)):
            yield f"P2: {_words(instance)} runs its try {number} after its try {last_try} ({ends.get(last, 'open')})"
        attempts[instance] = entry.fields["attempt"], number
        tries[instance] = max(tries.get(instance, 0), number)
    for instance, count in tries.items():
        allowed = run.retries.get(instance[0], 0) + 1
        if count > allowed:
            yield f"P3: {_words(instance)} had {count} tries, {allowed} are allowed"
    deadlock = any((entry.data.get("error") or {}).get("type") == "Deadlock" for entry in run.entries)
    for instance, state in states.items():
        if run.state in ("success", "failed") and state not in FINAL and not deadlock:
            yield f"P3: {_words(instance)} is left {state}"


# What was told, what ran, what was read


def _of_keys(runs: Iterable[StoredRun]) -> Iterator[str]:
    keyed: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for run in runs:
        if run.key is not None:
            keyed[run.dag_id, run.caller, run.key].append(run.run_id)
    yield from (f"P5: key {key} has the runs {ids}" for key, ids in keyed.items() if len(ids) > 1)


def _of_told(runs: Mapping[RunName, StoredRun], told: Sequence[Told]) -> Iterator[str]:
    keyed: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for one in told:
        if one.key is not None:
            keyed[one.dag_id, one.caller, one.key].add(one.run_id)
        run = runs.get((one.dag_id, one.run_id))
        if run is None:
            yield f"P1: {one.what} was told of run {one.dag_id}/{one.run_id}, which the journal does not have"
        elif one.what != "accepted":
            yield from (f"{run}: {words}" for words in _of_outcome(run, one))
    yield from (f"P5: key {key} was answered with the runs {sorted(ids)}" for key, ids in keyed.items() if len(ids) > 1)


def _of_outcome(run: StoredRun, told: Told) -> Iterator[str]:
    if told.what != recorded_outcome(run):
        yield f"P6: {told.what} was told, and {recorded_outcome(run)} is recorded"
    elif told.value not in (None, b"null", *(values := recorded_values(run))):  # null: of a task without a value
        yield f"P6: the value {told.value!r} was told, and is none of those recorded: {values}"


def recorded_outcome(run: StoredRun) -> str:
    for entry in run.entries:
        if entry.kind == "result":
            return "success"
        if entry.kind == "failure":
            return str(entry.data["outcome"])
    return "running"


def recorded_values(run: StoredRun) -> list[bytes]:
    """The values of result tasks, each as it came from the task."""
    fields = [entry.fields for entry in run.entries if entry.event in ("attempt_ended", "resumed")]
    return [one["plain"] for one in fields if one.get("plain") is not None]


def _of_effects(runs: Mapping[RunName, StoredRun], effects: Iterable[Effect]) -> Iterator[str]:
    attempts: Counter[tuple[RunName, int]] = Counter()
    tries: Counter[tuple[RunName, Instance, int]] = Counter()
    for effect in effects:
        name, instance = (effect.dag_id, effect.run_id), (effect.task_id, effect.map_index)
        where = f"run {effect.dag_id}/{effect.run_id}: {_words(instance)}, try {effect.try_number}"
        run = runs.get(name)
        if run is None:
            yield f"P1: {where} ran, and the journal does not have the run"
            continue
        if (instance, effect.try_number) not in _started(run):
            yield f"P2: {where} ran, and its start is not recorded"
        if not effect.goes_on:
            tries[name, instance, effect.try_number] += 1
        if effect.attempt is not None:
            attempts[name, effect.attempt] += 1
    for (name, instance, number), count in tries.items():
        if count > 1:
            yield f"P2: run {'/'.join(name)}: {_words(instance)}, try {number}, ran {count} times"
    for (name, attempt), count in attempts.items():
        if count > 1:
            yield f"P2: run {'/'.join(name)}: attempt {attempt} ran {count} times"


def _started(run: StoredRun) -> set[tuple[Instance, int]]:
    return {(_instance(entry), entry.data["try_number"]) for entry in run.entries if entry.event == "attempt_started"}


def _of_seen(runs: Mapping[RunName, StoredRun], seen: Iterable[Seen]) -> Iterator[str]:
    for one in seen:
        run = runs.get((one.dag_id, one.run_id))
        recorded = [] if run is None else [(entry.id, entry.kind) for entry in run.entries]
        if list(one.events) != recorded[: len(one.events)]:
            yield f"P9: a reader of run {one.dag_id}/{one.run_id} saw {list(one.events)}, recorded is {recorded}"


def _instance(entry: Entry) -> Instance:
    return entry.data["task_id"], entry.data["map_index"]


def _words(instance: Instance) -> str:
    task_id, map_index = instance
    return f"task {task_id}" if map_index < 0 else f"task {task_id}[{map_index}]"


def entries_of_rows(rows: Iterable[Sequence[Any]]) -> list[Entry]:
    """From the stored form: id, time, kind, data (JSON), event (MessagePack `[version, name, fields]`, or None)."""
    entries = []
    for id, time, kind, data, event in rows:
        _, name, fields = (0, "", {}) if event is None else msgspec.msgpack.decode(event)
        entries.append(Entry(id, time, kind, msgspec.json.decode(data), name, fields))
    return entries


def retries_of_plan(stored: bytes) -> dict[str, int]:
    """By task id, from a stored plan: MessagePack `[version, "plan", fields]`."""
    _, _, fields = msgspec.msgpack.decode(stored)
    return {task["task_id"]: int(task["retry"]["retries"]) for task in fields["tasks"]}
