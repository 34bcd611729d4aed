"""One seed played to its end, and judged."""

from collections.abc import Iterable
from typing import Any

from dagcall.core.machine import RunMachine
from dagcall.core.replay import replay
from dagcall.journal.encoding import decode_plan, decode_record
from dagcall.journal.memory import StoredRun as MemoryRun
from dagcall.testing import promises

from .play import EARLY
from .simulated_processes import signals_of
from .world import Faults, World


def violations_of(seed: int, faults: Faults | None = None) -> list[str]:
    """Plays the seed. Empty: all promises were kept."""
    return judge(played(seed, faults))


def played(seed: int, faults: Faults | None = None) -> World:
    return play(World(seed, faults))


def play(world: World) -> World:
    with signals_of(lambda pid: world.fleet_of(pid)):
        world.play()
        for life in (*world.graves, *world.replaced, *([world.life] if world.life else [])):
            life.end()
    return world


def judge(world: World) -> list[str]:
    runs = [_stored(world, run) for run in world.storage.runs.values()]
    seen = [reader.seen for reader in world.readers]
    found = [*world.complaints, *promises.violations(runs, world.told, world.effects, seen)]
    found += _unlike_their_replay(world)
    found += _never_called_back(world)
    if world.life is not None and not found:
        found += _left_over(world)
    return found


def _stored(world: World, run: MemoryRun) -> promises.StoredRun:
    head = run.head
    rows = ((id, *row) for id, row in enumerate(run.rows, 1))
    return promises.StoredRun(
        head.key.dag_id,
        head.key.run_id,
        head.state.value,
        head.outcome,
        head.caller,
        head.idempotency_key,
        promises.entries_of_rows(rows),
        promises.retries_of_plan(world.storage.plans[head.key.dag_id, head.plan_version]),
    )


def _unlike_their_replay(world: World) -> Iterable[str]:
    """The machines of the last server are those that a replay gives."""
    life = world.life
    for key, run in () if life is None else life.coordinator._recent.items():
        stored = world.storage.runs[key]
        plan = decode_plan(world.storage.plans[key.dag_id, run.plan.version])
        records = [decode_record(key, id, row) for id, row in enumerate(stored.rows, 1)]
        if _picture(replay(plan, key, records)) != _picture(run.machine):
            yield f"run {key}: its replay differs from the machine that wrote it"
        shown = [record.id for record in run.records]
        end = next((record.id for record in records if record.kind == "end"), len(records))
        if shown != list(range(1, len(shown) + 1)) or len(shown) < end:
            yield f"run {key}: readers are shown {shown}, and it has ended with {end}"


def _never_called_back(world: World) -> Iterable[str]:
    """The callbacks of a DAG are called at least once, unless somebody ended the run by hand, or its deadline did. That no
    process could be started for them, or that it died before it told anything, is recorded."""
    for key, run in world.storage.runs.items():
        plan = decode_plan(world.storage.plans[key.dag_id, run.head.plan_version])
        records = [decode_record(key, id, row) for id, row in enumerate(run.rows, 1)]
        machine = replay(plan, key, records)
        by_hand = machine.accepted.deadline is not None or any(record.kind == "cancel" for record in records)
        told = any(record.kind == "callback" and "error" in record.data for record in records)
        if plan.callbacks and not by_hand and not told and machine.state.is_final and key not in world.called_back:
            yield f"run {key}: its callbacks were never called"


def _picture(machine: RunMachine) -> Any:
    """What was pushed by attempts whose end is not recorded is left out, as `core.replay` says."""
    names = [name for ti in machine.instances()[:1] for name in type(ti).__slots__ if name != "task"]
    return (
        [(ti.key, [getattr(ti, name) for name in names]) for ti in machine.instances()],
        sorted((entry for entry in machine.xcoms.items() if entry[2].key != EARLY), key=lambda entry: entry[:2]),
        (machine.state, machine.start_date, machine.end_date, machine.outcome),
    )


def _left_over(world: World) -> Iterable[str]:
    """What a server at rest still holds."""
    assert world.life is not None
    coordinator = world.life.coordinator
    if coordinator.statistics()["waiting_for_outcome"]:
        yield f"{coordinator.statistics()['waiting_for_outcome']} runs are counted as without an outcome"
    for name, slots in (("limits", coordinator._limits._slots), ("runs", coordinator._turns._slots)):
        if slots._active or slots._waiting:
            yield f"slots of {name} are left taken: {slots._active} {slots._waiting}"
