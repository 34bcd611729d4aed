"""A checksum for each stored row, so that a value which storage has changed is named and never handed out.

SQLite keeps none for its pages. CRC-32: it finds accidents (every change of up to 32 adjacent bits, of others all but
one in 4 billion), not forgeries. A row's key is part of it, so that a row that was moved is found too.
"""

from zlib import crc32

import msgspec

from dagcall.model.records import RunHead

_pack = msgspec.msgpack.Encoder().encode

NONE = -1
"""Of what cannot have been stored. No row has it."""


def checksum(*values: object) -> int:
    """Of the values of a row's columns, in the types in which they come back from storage."""
    try:
        # SQLite knows no negative zero.
        return crc32(_pack([value + 0.0 if value.__class__ is float else value for value in values]))
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError):
        return NONE


def of_head(head: RunHead) -> int:
    """Of a row of `runs`: the columns of `heads.sql` between the first and the last."""
    return checksum(
        head.key.dag_id, head.key.run_id, head.state.value, head.plan_version, float(head.queued_at),
        float(head.run_after), _real(head.logical_date), _real(head.start_date), _real(head.end_date), head.run_type,
        head.triggered_by, head.caller, head.conf, head.note, head.idempotency_key, head.outcome,
    )  # fmt: skip


def _real(value: float | None) -> float | None:
    return None if value is None else float(value)
