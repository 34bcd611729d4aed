"""The machine, driven as the loop of `dag.test()` drives a run: judge once, run all that is scheduled, judge again.

With mixed skips and failures the end depends on when the scheduler looks; in lockstep both look at the same moments.
"""

import random
from collections.abc import Callable

from dagcall.core.machine import RunMachine
from dagcall.model.commands import StartAttempt
from dagcall.model.events import AttemptEnded, AttemptStarted, Event, RetryDue
from dagcall.model.states import TaskState

Execute = Callable[[StartAttempt], AttemptEnded]
EPOCH = 1


class Lockstep(RunMachine):
    """Judges only when told to."""

    def take(self, event: Event) -> None:
        self._board.begin_step(event, 0.0)
        assert self._take(event)

    def judge_once(self) -> None:
        self._board.begin_step(RetryDue(""), 0.0)
        self._rounds.play_one()

    def rest(self) -> None:
        self._board.setback = True
        self._settle()
        self._conclude()

    @property
    def is_at_work(self) -> bool:
        return bool(self._board.dirty) or self._board.unfinished > self._board.waiting


def play(machine: Lockstep, order: list[str], execute: Execute) -> None:
    """From its acceptance to its end. `order`: of tasks within a wave; `execute`: runs one try."""
    while machine.is_at_work:
        machine.judge_once()
        for ti in machine.instances():
            if ti.state is TaskState.UP_FOR_RETRY:
                machine.take(RetryDue(*ti.key, ti.try_number))
        wave = [
            (order.index(key.task_id), key.map_index, attempt, key) for attempt, _, key, _ in machine.open_attempts()
        ]
        for _, _, attempt, key in sorted(wave):
            instance = machine.instance(key)
            if instance is None or instance.attempt != attempt:
                continue  # stopped by one that ended before it in this wave
            command = machine.start_of(attempt)
            assert command is not None
            machine.take(AttemptStarted(attempt, EPOCH))
            machine.take(execute(command))
    machine.rest()


def play_in_some_order(machine: Lockstep, rng: random.Random, execute: Execute) -> None:
    """From its acceptance to its end, as a scheduler might see it that looks from time to time: tries overlap, and any
    number of them may end before it looks again."""
    held: dict[int, AttemptEnded] = {}
    while machine.is_at_work:
        for _ in range(rng.randint(1, 3)):
            machine.judge_once()
        for ti in machine.instances():
            if ti.state is TaskState.UP_FOR_RETRY:
                machine.take(RetryDue(*ti.key, ti.try_number))
        waiting = [attempt for attempt, _, _, started in machine.open_attempts() if not started]
        for attempt in rng.sample(waiting, rng.randint(0 if held else len(waiting[:1]), len(waiting))):
            command = machine.start_of(attempt)
            assert command is not None
            machine.take(AttemptStarted(attempt, EPOCH))
            held[attempt] = execute(command)
        for attempt in rng.sample(sorted(held), rng.randint(len(list(held)[:1]), len(held))):
            ended = held.pop(attempt)
            if any(attempt == number for number, *_ in machine.open_attempts()):
                machine.take(ended)
    machine.rest()
