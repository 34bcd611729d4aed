"""What simulated processes do: the code of tasks, triggers and callbacks, and how it goes wrong.

What a try of a task does depends on nothing but the seed and which attempt it is.
"""

import random
from dataclasses import dataclass

import msgspec

from dagcall.model.notice import Call
from dagcall.model.plan import RETURN_VALUE, DagPlan, TaskPlan
from dagcall.testing.promises import Effect
from dagcall.workers.frames import (
    Ask,
    Chunk,
    Ended,
    Fired,
    Frame,
    Idle,
    Notify,
    Pushed,
    Reply,
    RunTrigger,
    Start,
    Suspended,
)

from .simulated_processes import Process

EARLY = "early"
"""The key of what tasks push before their end."""

_pack = msgspec.msgpack.encode


@dataclass
class Rates:
    """How often things go wrong: shares of 1."""

    failure: float = 0.0
    """Of tries that fail, or skip themselves."""
    suspension: float = 0.0
    death: float = 0.0
    """Of processes, while they work."""
    repeated: float = 0.0
    lost: float = 0.0
    no_fork: float = 0.0
    untold_exit: float = 0.0
    slow: float = 0.0
    """Of messages, that take long."""

    def calm(self) -> "Rates":
        """As they are when faults are over: the code of tasks is what it is."""
        return Rates(failure=self.failure, suspension=self.suspension)


class Player:
    """Implements what `simulated_processes.Play` says of code. `effects`: where the code of a try says that it runs."""

    chance: random.Random
    rates: Rates
    effects: list[Effect]
    called_back: set[tuple[str, str]]
    """Runs whose callbacks of the DAG have begun."""
    seed: int
    plans: dict[str, DagPlan]

    def later(self, seconds: float, action: object) -> None:
        raise NotImplementedError

    def start(self, process: Process, start: Start) -> None:
        self.effects.append(
            Effect(
                start.dag_id,
                start.run_id,
                start.task_id,
                start.map_index,
                start.try_number,
                start.attempt,
                goes_on=start.continues is not None,
            )
        )
        code = random.Random(f"{self.seed} {start.dag_id} {start.task_id} {start.map_index} {start.attempt}")
        task = self.plans[start.dag_id].by_id[start.task_id]
        at = 0.0
        if code.random() < 0.1:
            at = self._say(process, start, at, Pushed(start.attempt, start.epoch, EARLY, _pack(start.attempt)))
        for number in range(code.choice([0, 0, 0, 0, 1, 3])):
            chunk = Chunk(start.attempt, start.epoch, [msgspec.json.encode(number)])
            at = self._say(process, start, at + code.choice([0.0, 0.001, 0.02]), chunk)
        if code.random() < 0.1:
            args = [start.dag_id, start.run_id, start.task_id, start.map_index, RETURN_VALUE]
            at = self._say(process, start, at, Ask(start.attempt, start.epoch, 1, "xcom", args))
        at += code.choice([0.0, 0.001, 0.01, 0.3, 2.0])
        if self.chance.random() < self.rates.death:
            self.later(self.chance.random() * (at + 0.01), lambda: process.die(-9))
        self._say(process, start, at, self._end(code, start, task))
        self._rest(process, start, at)

    def _say(self, process: Process, about: Start | Notify, at: float, frame: Frame) -> float:
        def say() -> None:
            if process.attempt is about:
                process.send(frame)

        self.later(at, say)
        return at

    def _rest(self, process: Process, about: Start | Notify, at: float) -> None:
        """After the end: `Idle`."""
        retire = "it is worn" if self.chance.random() < 0.03 else None
        idle = Idle(about.attempt, about.epoch, retire, at, 0.0)
        self._say(process, about, at + self.chance.choice([0.0, 0.001, 0.05]), idle)

    def _end(self, code: random.Random, start: Start, task: TaskPlan) -> Ended:
        kind = "success"
        if code.random() < self.rates.failure:
            kind = code.choices(["retry", "failed", "skipped"], [3, 1, 1])[0]
        elif code.random() < self.rates.suspension and not task.is_setup and start.attempt < 20:
            kind = code.choice(["deferred", "rescheduled"])
        value = f"{start.task_id}[{start.map_index}].{start.try_number}.{start.attempt}"
        xcoms: list[tuple[str, bytes, int | None]] = []
        if kind == "success":
            length = None
            if task.mapping is None and any(
                other.mapping is not None and start.task_id in other.mapping.upstreams
                for other in self.plans[start.dag_id].tasks
            ):
                length = code.choice([0, 1, 2])
            xcoms = [(RETURN_VALUE, _pack([value] * (length or 0) if length is not None else value), length)]
        return Ended(
            attempt=start.attempt,
            epoch=start.epoch,
            kind=kind,
            error=("Boom", f"{kind} in try {start.try_number}") if kind in ("retry", "failed") else None,
            reject=None,
            retry_delay=None,
            xcoms=xcoms,
            plain=msgspec.json.encode(value) if start.want_plain and kind == "success" else None,
            skip=self._skips(code, start, task) if kind == "success" else [],
            rendered_map_index=None,
            rendered_fields=b"",
            suspension=self._suspended(code, start, kind) if kind in ("deferred", "rescheduled") else None,
        )

    def _skips(self, code: random.Random, start: Start, task: TaskPlan) -> list[tuple[str, int]]:
        if not task.can_skip_downstream:
            return []
        return [(down, -1) for down in task.downstream if code.random() < 0.5]

    def _suspended(self, code: random.Random, start: Start, kind: str) -> Suspended:
        if kind == "rescheduled":
            return Suspended(None, b"", self.wall_clock() + code.choice([0.1, 2.0]), None, b"")
        due = None if code.random() < 0.7 else self.wall_clock() + code.choice([0.5, 5.0])
        return Suspended("resume", b"", due, "t.T", b"")

    def wall_clock(self) -> float:
        raise NotImplementedError

    def notify(self, process: Process, notify: Notify) -> None:
        if not {Call.DAG_SUCCESS, Call.DAG_FAILURE}.isdisjoint(notify.calls):
            self.called_back.add((notify.start.dag_id, notify.start.run_id))
        at = self.chance.choice([0.0, 0.01, 0.5])
        if self.chance.random() < self.rates.death:
            self.later(self.chance.random() * (at + 0.01), lambda: process.die(-9))
        end = Ended(notify.attempt, notify.epoch, "success", None, None, None, [], None, [], None, b"")
        self._say(process, notify, at, end)
        self._rest(process, notify, at)

    def trigger(self, process: Process, trigger: RunTrigger) -> None:
        code = random.Random(f"{self.seed} trigger {trigger.start.task_id} {trigger.start.attempt}")
        at = code.choice([0.0, 0.01, 1.0, 4.0])
        how, end = code.choices([("event", None), ("failed", None), ("ended", "success")], [8, 1, 1])[0]
        payload = _pack({"error": "simulated"}) if how == "failed" else _pack("fired")
        fired = Fired(trigger.number, how, payload, [], end, b'"by trigger"' if end else None)
        self.later(at, lambda: process.send(fired))
        if self.chance.random() < self.rates.death:
            self.later(self.chance.random() * (at + 0.01), lambda: process.die(-9))

    def replied(self, process: Process, reply: Reply) -> None:
        """Nobody's code depends on it."""

    def terminated(self, process: Process) -> None:
        """`on_kill` takes a moment, or for ever; some code reports its end all the same."""
        if self.chance.random() < 0.7:
            self.later(self.chance.random(), lambda: process.die(-15))

    def repeats(self, frame: Frame) -> int:
        what = self.chance.random()
        if what < self.rates.lost and isinstance(frame, Ended | Chunk | Pushed):
            return 0  # of an `Ended` the `Idle` after it tells; other messages are owed by nobody
        return 2 if what < self.rates.lost + self.rates.repeated else 1

    def forks(self) -> bool:
        return self.chance.random() >= self.rates.no_fork

    def exit_is_told(self) -> bool:
        return self.chance.random() >= self.rates.untold_exit

    def delay(self) -> float:
        chance = self.chance
        if chance.random() < self.rates.slow:
            return chance.random() * 2.0
        return chance.choice((0.0, 0.0001, 0.0005, 0.002))
