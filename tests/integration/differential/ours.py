"""dagcall's side: reads lists of specs, one a line, runs each in lockstep, writes how everything ended.

    AIRFLOW_HOME=(an empty folder) python ours.py

Real are the compiler, the machine, the shipping of XComs, the answers to tasks' questions, and the task runtime of a
worker with its comms. Only the process boundary, the journal and the restoring after a task are not there.
"""

import contextvars
import json
import os
import random
import sys
from types import SimpleNamespace
from typing import Any

import msgspec
from lockstep import EPOCH, Lockstep, play, play_in_some_order
from specs import tasks_of

from dagcall.coordinator import questions
from dagcall.coordinator.attempt import Attempt
from dagcall.coordinator.shipping import Shipper
from dagcall.coordinator.starting import start_frame
from dagcall.model.commands import StartAttempt
from dagcall.model.events import AttemptEnded, RunAccepted
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan
from dagcall.workers.frames import Ask, Ended, Frame, Pushed, Reply, decode_from_process, decode_to_process, encode


class Side:
    """One run: the driver that its attempts report to, and the channel of the worker that runs them."""

    def __init__(self, runtime: Any, plan: DagPlan, order: list[str]) -> None:
        self.epoch = EPOCH
        key = RunKey(plan.dag_id, "r")
        self.machine = Lockstep(plan, key)
        self.run = SimpleNamespace(machine=self.machine, key=key, plan=plan, accepted_at=0.0)
        self._runtime = runtime
        self._plan = plan
        self._order = order
        self._shipper = Shipper(plan, self.machine)
        self._attempt: Attempt | None = None
        self._ended: AttemptEnded | None = None
        self._replies: list[Reply] = []

    def play(self, seed: int) -> None:
        """In lockstep (seed 0), or in some order."""
        self._runtime.connect(self)
        self.machine.take(RunAccepted(self._plan.dag_id, "r", self._plan.version))
        if seed:
            play_in_some_order(self.machine, random.Random(seed), self._execute)
        else:
            play(self.machine, self._order, self._execute)

    def _execute(self, command: StartAttempt) -> AttemptEnded:
        self._attempt = Attempt(self, command, None, 0.0)  # type: ignore[arg-type]
        self._ended = None
        xcoms = self._shipper.xcoms_for(self._plan.by_id[command.task_id], command.map_index)
        start = start_frame(self.run, command, EPOCH, os.devnull, xcoms)  # type: ignore[arg-type]
        contextvars.copy_context().run(self._runtime.run_task, decode_to_process(encode(start)[4:]))
        assert self._ended is not None
        return self._ended

    # The worker's channel

    def send(self, message: Frame) -> None:
        frame = decode_from_process(encode(message)[4:])
        assert self._attempt is not None
        match frame:
            case Pushed():
                self._attempt.pushed(frame)
            case Ended():
                self._attempt.ended(frame)
            case Ask():
                self._attempt.asked(frame)

    def receive(self) -> Reply:
        return self._replies.pop(0)

    # The attempt's driver

    def attempt_ended(self, attempt: Attempt, event: AttemptEnded) -> None:
        self._ended = event

    def attempt_asked(self, attempt: Attempt, frame: Ask) -> None:
        machine = self.machine if questions.run_of(frame.what, frame.args) == self.run.key else None
        self._replies.append(Reply(frame.number, questions.answer(frame.what, frame.args, machine), None))

    def attempt_leased(self, attempt: Attempt) -> None:
        raise AssertionError("nothing is leased here")


def results_of(machine: Lockstep) -> dict[str, Any]:
    xcoms = [
        [task_id, map_index, item.key, msgspec.msgpack.decode(item.value)]
        for task_id, map_index, item in machine.xcoms.items()
    ]
    assert machine.outcome is not None
    return {
        "state": machine.state.value,
        "instances": sorted([*ti.key, ti.state.value, ti.try_number] for ti in machine.instances()),
        "xcoms": sorted(xcoms, key=lambda row: row[:3]),
        "outcome": machine.outcome.kind.value,
        "open": len(machine.open_attempts()),
    }


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    from dagcall.airflow_bridge.runtime import AirflowRuntime

    runtime = AirflowRuntime()
    runtime.preload(os.environ["AIRFLOW_HOME"])
    from dags import build

    from dagcall.airflow_bridge.compile import compile_dag

    for line in sys.stdin:
        results = []
        for spec in json.loads(line):
            dag = build(spec)
            plan = compile_dag(dag, version="1", relative_fileloc="generated.py")
            if plan.refusals:
                results.append({"refused": [str(refusal) for refusal in plan.refusals]})
                continue
            plan = msgspec.msgpack.decode(msgspec.msgpack.encode(plan), type=DagPlan)
            runtime.keep({dag.dag_id: dag})
            ways = []
            for seed in range(spec.get("ways", 1)):
                side = Side(runtime, plan, [task["task_id"] for task in tasks_of(spec)])
                side.play(seed)
                ways.append(results_of(side.machine))
            results.append(ways[0] | {"ways": ways[1:]})
        print(json.dumps(results), file=answers, flush=True)


if __name__ == "__main__":
    main()
