"""Tasks that do to their process what no task should. Each DAG has one task, `t`, whose result it is."""

import ctypes
import datetime
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Param, dag, result, task

SOON = datetime.timedelta(seconds=0.3)


def make(function: Any, **arguments: Any) -> DAG:
    @dag(dag_id=function.__name__, schedule=None, params={"file": Param("", type="string")})
    def one_task() -> None:
        result(task(task_id="t", **arguments)(function))()

    made: DAG = one_task()
    return made


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("this exception cannot be shown")


class NotAnException(BaseException):
    pass


def raises() -> None:
    raise ValueError("boom")


def raises_base() -> None:
    raise NotAnException("not even an Exception")


def raises_interrupt() -> None:
    raise KeyboardInterrupt


def raises_unprintable() -> None:
    raise Unprintable


def raises_surrogates() -> None:
    raise ValueError("half a pair: \udcff")


def raises_at_length() -> None:
    raise ValueError("long " * 2_000_000)


def recurses() -> None:
    recurses()


def exits() -> None:
    sys.exit(3)


def exits_at_once() -> None:
    os._exit(0)


def segfaults() -> None:
    ctypes.string_at(0)


def aborts() -> None:
    os.abort()


def kills_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kills_its_group() -> None:
    os.killpg(0, signal.SIGKILL)


def runs_out_of_memory() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), hard))
    bytearray(4 << 30)


def sleeps_too_long() -> None:
    time.sleep(60)


def is_stuck() -> None:
    for signum in (signal.SIGTERM, signal.SIGALRM, signal.SIGINT):
        signal.signal(signum, signal.SIG_IGN)
    while True:
        time.sleep(60)


def stops_itself() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def becomes_another_program() -> None:
    os.execvp("sleep", ["sleep", "60"])


def closes_everything() -> str:
    print("before")
    os.closerange(0, 4096)
    print("after")
    return "not told"


def returns_a_lock() -> Any:
    return threading.Lock()


def pushes_after_fork() -> str:
    """The child of this fork never exits by itself: it returns, and goes on as a second worker would."""
    return "child" if os.fork() == 0 else "parent"


def closes_standard_streams() -> str:
    print("before")
    os.closerange(0, 256)
    print("after")
    return "told"


def prints() -> str:
    print("to stdout")
    print("to stderr", file=sys.stderr)
    os.write(1, b"to descriptor 1\n")
    os.system("echo from a child; echo from a child too >&2")
    sys.stdout.write("no newline")
    return "printed"


def leaves_a_thread() -> int:
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    threading.Thread(target=time.sleep, args=(60,)).start()
    return os.getpid()


def leaves_descriptors() -> int:
    for _ in range(5):
        os.open("/dev/null", os.O_RDONLY)
    return os.getpid()


def leaves_a_daemon(params: dict[str, Any]) -> int:
    """A child in a session of its own, orphaned, without any trace of us in its environment."""
    script = f"setsid sleep 600 & echo $! > {params['file']}.new; mv {params['file']}.new {params['file']}"
    subprocess.run(["sh", "-c", script], env={}, start_new_session=True, close_fds=True, check=True)
    return os.getpid()


def leaves_a_daemon_and_waits(params: dict[str, Any]) -> int:
    pid = leaves_a_daemon(params)
    time.sleep(60)
    return pid


def waits_for_file(params: dict[str, Any]) -> int:
    """A bystander: runs until the test lets it go."""
    while not os.path.exists(params["file"]):
        time.sleep(0.01)
    return os.getpid()


def pid() -> int:
    return os.getpid()


def stuck_callback(context: Any) -> None:
    for signum in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(signum, signal.SIG_IGN)
    time.sleep(60)


def fails_with_stuck_callback() -> None:
    raise ValueError("its callback never returns")


for function in (
    raises,
    raises_base,
    raises_interrupt,
    raises_unprintable,
    raises_surrogates,
    raises_at_length,
    recurses,
    exits,
    exits_at_once,
    segfaults,
    aborts,
    kills_itself,
    kills_its_group,
    runs_out_of_memory,
    becomes_another_program,
    closes_everything,
    returns_a_lock,
    pushes_after_fork,
    closes_standard_streams,
    prints,
    leaves_a_thread,
    leaves_descriptors,
    leaves_a_daemon,
    leaves_a_daemon_and_waits,
    waits_for_file,
    pid,
):
    globals()[f"{function.__name__}_dag"] = make(function)
for function in (sleeps_too_long, is_stuck, stops_itself):
    globals()[f"{function.__name__}_dag"] = make(function, execution_timeout=SOON)
fails_with_stuck_callback_dag = make(fails_with_stuck_callback, on_failure_callback=stuck_callback)


@dag(schedule=None)
def fails_twice() -> None:
    """Worker lost on the first two tries, then well."""

    @result
    @task(retries=2, retry_delay=datetime.timedelta(milliseconds=10))
    def t(ti: Any = None) -> int:
        if ti.try_number < 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return int(ti.try_number)

    t()


@dag(schedule=None)
def fails_upstream() -> None:
    """The task that fails is two steps before the result."""

    @task
    def first() -> int:
        os._exit(9)

    @task
    def second(value: int) -> int:
        return value

    @result
    @task
    def third(value: int) -> int:
        return value

    third(second(first()))


fails_twice()
fails_upstream()
