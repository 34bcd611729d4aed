"""Where a task's time goes inside a worker: `python bench/profile_worker.py [--profile] [--tasks N]`.

Runs the worker's runtime in this process, with a channel that only counts, so that the profiler sees everything a
worker does for a task: runner, log, restoration. CPU milliseconds, medians; with `--profile` also the functions that
took most of them.
"""

import argparse
import cProfile
import io
import os
import pstats
import statistics
import sys
import tempfile
import time
import uuid
from pathlib import Path

import msgspec
from process import environment

from dagcall.airflow_bridge.runtime import AirflowRuntime
from dagcall.workers.frames import Ended, Frame, Shipped, Start

DAGS = Path(__file__).resolve().parent / "dags"
PACK = msgspec.msgpack.encode
PASSAGE = PACK({"question": "q", "text": "What is a Dag? " * 1333, "source": "http://localhost"})
TASKS = {
    "one_task.answer": ("one_task.py", "one_task", "answer", -1, []),
    "nine.rephrase (params)": ("nine.py", "nine", "rephrase", -1, []),
    "nine.look_up (mapped)": (
        "nine.py",
        "nine",
        "look_up",
        1,
        [Shipped("rephrase", "return_value", False, [PACK("q")], 1, 3)],
    ),
    "nine.merge (reads mapped)": (
        "nine.py",
        "nine",
        "merge",
        -1,
        [Shipped("look_up", "return_value", True, [PACK({"text": "t", "source": "s"})] * 3)],
    ),
    "realistic.rephrase": ("realistic.py", "realistic", "rephrase", -1, []),
    "realistic.merge (60 kB)": (
        "realistic.py",
        "realistic",
        "merge",
        -1,
        [Shipped("look_up", "return_value", True, [PASSAGE] * 3)],
    ),
    "realistic.verify (20 kB)": (
        "realistic.py",
        "realistic",
        "verify",
        1,
        [Shipped("merge", "return_value", False, [PASSAGE], 1, 3)],
    ),
}


class Counting:
    """A channel to nobody."""

    def __init__(self) -> None:
        self.ended: list[Ended] = []

    def send(self, message: Frame) -> None:
        if isinstance(message, Ended):
            self.ended.append(message)

    def receive(self) -> Frame:
        raise AssertionError("these tasks have nothing to ask")


def start(number: int, folder: str, dag_id: str, task_id: str, map_index: int, xcoms: list[Shipped]) -> Start:
    now = time.time()
    return Start(
        attempt=number,
        epoch=1,
        dag_id=dag_id,
        run_id=f"run-{number}",
        task_id=task_id,
        map_index=map_index,
        try_number=1,
        max_tries=0,
        ti_id=str(uuid.uuid4()),
        conf=b"{}",
        run_type="manual",
        run_after=now,
        run_start=now,
        logical_date=None,
        triggered_by="call",
        want_plain=True,
        log_path=f"{folder}/dag_id={dag_id}/run_id=run-{number}/task_id={task_id}/attempt=1.log",
        xcoms=xcoms,
    )


def measure(name: str, count: int, profile: bool, out: io.TextIOBase) -> None:
    file, dag_id, task_id, map_index, xcoms = TASKS[name]
    runtime = AirflowRuntime()
    runtime.preload(str(DAGS))
    channel = Counting()
    loaded = runtime.load(1, str(DAGS / file), keep=True, channel=channel)  # type: ignore[arg-type]
    assert not loaded.errors, loaded.errors
    # In memory: what a disk takes to make a file varies more than all that is looked for here.
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        runtime.prepare(channel)  # type: ignore[arg-type]
        took: list[float] = []
        profiler = cProfile.Profile(time.process_time)
        for number in range(count + 50):
            frame = start(number, folder, dag_id, task_id, map_index, xcoms)
            if profile and number >= 50:  # anew for each task: restoring the process ends what traces it
                profiler.enable()
            begin = time.process_time()
            problem = runtime.run(frame)
            profiler.disable()
            took.append((time.process_time() - begin) * 1000)
            assert problem is None, problem
    failed = [ended for ended in channel.ended if ended.kind != "success"]
    assert not failed, failed[0]
    took = sorted(took[50:])
    print(
        f"{name:28} p50 {statistics.median(took):6.3f}  p02 {took[len(took) // 50]:6.3f} ms CPU", file=out, flush=True
    )
    if profile:
        text = io.StringIO()
        stats = pstats.Stats(profiler, stream=text)
        stats.sort_stats("cumulative").print_stats(70)
        stats.sort_stats("tottime").print_stats(40)
        print(text.getvalue().replace(sys.prefix, ""), file=out, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", action="store_true", help="print the costliest functions too")
    parser.add_argument("--tasks", type=int, default=500, help="tasks to run of each kind")
    parser.add_argument("--only", choices=list(TASKS), help="one kind only")
    arguments = parser.parse_args()
    out = os.fdopen(os.dup(1), "w")
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(environment(Path(home)))
        for name in [arguments.only] if arguments.only else list(TASKS):
            if (child := os.fork()) == 0:  # each kind in a process of its own: the runtime takes the process over
                try:
                    measure(name, arguments.tasks, arguments.profile, out)
                except BaseException as error:
                    print(f"{name}: {type(error).__name__}: {error}", file=out, flush=True)
                    os._exit(1)
                os._exit(0)
            os.waitpid(child, 0)


if __name__ == "__main__":
    main()
