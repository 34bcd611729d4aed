"""Zygotes: processes that exist to be forked.

The *root zygote* imports Airflow once and no DAG file. It forks, for each DAG file, a *loader* that parses the file,
reports its plans and ends; and on the file's first call a *file zygote* that parses it, freezes, and forks that
file's workers. So a reload touches one file, heavy imports are shared by copy-on-write, and files cannot disturb
each other. Where the parsed file cannot be forked (it has started threads, say), each worker is a process that the root
zygote forks and that parses the file itself.

A zygote has one thread, reads one socket, reaps its children and reports how each ended. It refuses to outlive the
coordinator: when the connection closes, it ends. The workers it has forked do not depend on it any more.
"""

import gc
import json
import os
import select
import signal
import sys
from contextlib import suppress
from functools import partial
from typing import NoReturn, assert_never

from dagcall.workers import child, processes
from dagcall.workers.channel import Channel, ConnectionLost
from dagcall.workers.frames import (
    CancelTrigger,
    DeleteStored,
    Exited,
    Files,
    ForkLoader,
    ForkStore,
    ForkTriggerer,
    ForkWorker,
    ForkZygote,
    ListFiles,
    Notify,
    ReadStored,
    Ready,
    Reply,
    RunTrigger,
    ServeBundles,
    Start,
)
from dagcall.workers.runtime import TaskRuntime, load_runtime


def main() -> None:
    """Entry of the root zygote. Standard input is a JSON line {socket, token, runtime, folder, open_files}."""
    processes.die_with_parent()  # without its side process nobody would watch over what it forks
    bootstrap = json.loads(sys.stdin.readline())
    processes.set_title("zygote")
    processes.limit_open_files(bootstrap["open_files"])
    gc.disable()  # what importing Airflow makes stays: looking through it again and again took a quarter of the time
    zygote = Zygote(bootstrap["socket"], bootstrap["token"], load_runtime(bootstrap["runtime"]))
    zygote.serve_root(bootstrap["folder"])


class Zygote:
    """One zygote process, root or file."""

    def __init__(self, socket_path: str, token: str, runtime: TaskRuntime) -> None:
        self._socket_path = socket_path
        self._token = token
        self._runtime = runtime
        self._channel: Channel | None = None
        self._children: dict[int, int] = {}
        self._wakeup = (-1, -1)

    def serve_root(self, folder: str) -> None:
        channel = self._connect("root", 0)
        config = self._runtime.preload(folder)
        gc.enable()
        gc.collect()
        gc.freeze()
        channel.send(Ready(config))
        self._serve(channel)

    def _serve_file(self, ident: int, path: str, alone: bool) -> None:
        channel = self._connect("zygote", ident)
        loaded = self._runtime.load(ident, path, keep=True, channel=channel, alone=alone)
        gc.collect()
        gc.freeze()
        channel.send(loaded)
        if alone:
            child.serve(channel, self._runtime)
        elif not loaded.unforkable:
            self._serve(channel)

    def _load_only(self, ident: int, path: str) -> None:
        channel = self._connect("loader", ident)
        channel.send(self._runtime.load(ident, path, keep=False, channel=channel))

    def _connect(self, role: str, ident: int) -> Channel:
        self._channel = Channel(self._socket_path, self._token, role, ident)
        return self._channel

    def _serve(self, channel: Channel) -> None:
        self._watch_children()
        with suppress(ConnectionLost):
            while True:
                self._reap(channel)
                if not channel.has_pending:
                    ready, _, _ = select.select([channel.fileno(), self._wakeup[0]], [], [])
                    if self._wakeup[0] in ready:
                        os.read(self._wakeup[0], 4096)
                    if channel.fileno() not in ready:
                        continue
                message = channel.receive()
                match message:
                    case ServeBundles():
                        self._runtime.serve(message.bundles)
                    case ListFiles():
                        channel.send(Files(message.ident, self._runtime.list_files()))
                    case ForkLoader():
                        self._fork(message.ident, partial(self._load_only, message.ident, message.path))
                    case ForkZygote():
                        self._fork(message.ident, partial(self._serve_file, message.ident, message.path, message.alone))
                    case ForkStore():
                        self._fork(message.ident, partial(self._become_store, message.ident))
                    case ForkWorker():
                        self._fork(message.ident, partial(self._become_worker, message.ident))
                    case ForkTriggerer():
                        self._fork(message.ident, partial(self._become_triggerer, message.ident))
                    case Start() | Notify() | RunTrigger() | CancelTrigger() | Reply() | ReadStored() | DeleteStored():
                        raise ConnectionLost("a zygote was sent a worker's message")
                    case _:
                        assert_never(message)

    def _become_worker(self, ident: int) -> None:
        child.serve(Channel(self._socket_path, self._token, "worker", ident), self._runtime)

    def _become_store(self, ident: int) -> None:
        child.serve_store(Channel(self._socket_path, self._token, "store", ident), self._runtime)

    def _become_triggerer(self, ident: int) -> None:
        child.serve_triggers(Channel(self._socket_path, self._token, "triggerer", ident), self._runtime)

    def _fork(self, ident: int, entry: "child.Entry") -> None:
        pid = os.fork()
        if pid == 0:
            self._run_child(entry)
        self._children[pid] = ident

    def _run_child(self, entry: "child.Entry") -> NoReturn:
        """Run `entry` in the forked process. Its end must never unwind into the zygote's frames."""
        status = 1
        try:
            self._forget_zygote()
            entry()
            status = 0
        except ConnectionLost:
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            with suppress(BaseException):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def _forget_zygote(self) -> None:
        signal.set_wakeup_fd(-1)
        for signum in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
            signal.signal(signum, signal.SIG_DFL)
        for fd in self._wakeup:
            if fd >= 0:
                os.close(fd)
        self._wakeup = (-1, -1)
        self._children = {}
        if self._channel is not None:
            self._channel.close()

    def _watch_children(self) -> None:
        self._wakeup = os.pipe()
        for fd in self._wakeup:
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(self._wakeup[1], warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # Ctrl-C reaches the whole foreground process group; the coordinator decides what it means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _reap(self, channel: Channel) -> None:
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                ident = self._children.pop(pid, None)
                if ident is not None:
                    channel.send(Exited(ident, pid, os.waitstatus_to_exitcode(status)))


if __name__ == "__main__":
    main()
