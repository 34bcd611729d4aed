"""The wire between the server and its Airflow-side processes (`dagcall: airflow`, `dagcall: recorder`).

As `frames`: a length and one MessagePack message, no pickle; the process says `Hello` first. Then the server asks and
the process answers, many questions in flight, in any order.

    airflow side   Hello, Began       <- Use, Question   -> Answer
"""

from typing import Any

import msgspec

from dagcall.workers.frames import Frame, Hello, ProtocolError


class Began(Frame, frozen=True, array_like=True, tag=True):
    """Airflow is imported: questions are answered from now on. Those of before wait in the socket."""

    airflow_version: str


class Use(Frame, frozen=True, array_like=True, tag=True):
    """Questions of this topic will come: prepare it, with this."""

    topic: str
    setup: dict[str, Any]


class Question(Frame, frozen=True, array_like=True, tag=True):
    """`what`: topic and question, such as `identity.resolve`: a function of the module of that name in `airflow_bridge`."""

    number: int
    what: str
    args: dict[str, Any]


class Answer(Frame, frozen=True, array_like=True, tag=True):
    """A value; or why there is none: `kind`, which the asker knows, and a sentence. The kind is empty when it is nobody's
    business but the log's."""

    number: int
    value: Any
    kind: str | None = None
    error: str = ""


FromAirflow = Hello | Began | Answer

_from_airflow: msgspec.msgpack.Decoder[FromAirflow] = msgspec.msgpack.Decoder(FromAirflow)
_to_airflow: msgspec.msgpack.Decoder[Use | Question] = msgspec.msgpack.Decoder(Use | Question)


def decode_from_airflow(body: bytes) -> FromAirflow:
    try:
        return _from_airflow.decode(body)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"the Airflow side sent a malformed frame: {error}") from error


def decode_to_airflow(body: bytes) -> Use | Question:
    try:
        return _to_airflow.decode(body)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"the server sent a malformed question: {error}") from error
