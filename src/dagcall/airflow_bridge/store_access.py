"""The life of a process that reads from, and deletes in, a store for the server, which has no access to any.

It does what it is asked, one thing at a time, until the connection is lost. What it needs to open the store, Airflow's
connections, it finds like any code: in secrets backends and the environment, and by asking the server.
"""

from typing import Any

from airflow.sdk import ObjectStoragePath
from airflow.sdk.execution_time import task_runner

from dagcall.airflow_bridge.comms import ParseTimeComms
from dagcall.workers.channel import Channel
from dagcall.workers.frames import DeleteStored, ReadStored, Stored


def serve(channel: Channel) -> None:
    task_runner.SUPERVISOR_COMMS = ParseTimeComms(channel)  # type: ignore[assignment]
    opened: dict[str, Any] = {}
    while True:
        asked = channel.receive()
        data, error, is_gone = b"", None, False
        try:
            match asked:
                case ReadStored():
                    data = _read(asked, opened)
                case DeleteStored():
                    _delete(asked.uri)
        except FileNotFoundError:
            error, is_gone = f"{asked.uri} is not there any more", True  # type: ignore[union-attr] # one of the two
        except _Changed:
            error, is_gone = f"{asked.uri} was changed after its task had ended", True  # type: ignore[union-attr]
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"
        channel.send(Stored(data, error, is_gone))


class _Changed(Exception):
    pass


def _read(asked: ReadStored, opened: dict[str, Any]) -> bytes:
    file = opened.get(asked.uri)
    if file is None:
        path = ObjectStoragePath(asked.uri)
        if path.fs.size(path.path) != asked.size:
            raise _Changed
        file = opened[asked.uri] = path.fs.open(path.path, "rb")
    file.seek(asked.begin)
    data: bytes = file.read(asked.end - asked.begin)
    return data


def _delete(uri: str) -> None:
    path = ObjectStoragePath(uri)
    if path.exists():
        path.fs.rm(path.path, recursive=True)
