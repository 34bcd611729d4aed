"""What is added to a run outside of its attempts: XComs that other code sets or deletes, and what callbacks and operator
links leave behind. The only events that a run takes in after its end; nothing is decided anew because of them.
"""

from dagcall.core.board import Board
from dagcall.core.xcoms import RunXComs
from dagcall.model.events import AttemptAmended, Event, XComChanged
from dagcall.model.ids import TaskKey


def is_amendment(event: Event) -> bool:
    return isinstance(event, XComChanged | AttemptAmended)


def change_xcom(event: XComChanged, board: Board, xcoms: RunXComs) -> bool:
    """False when nothing is changed: there is no such task instance, or nothing to delete."""
    if board.instance(TaskKey(event.task_id, event.map_index)) is None:
        return False
    if event.item is not None:
        xcoms.put(event.task_id, event.map_index, event.item)
    elif not xcoms.delete(event.task_id, event.map_index, event.key):
        return False
    _record(board, event, [event.key], is_set=event.item is not None)
    return True


def amend(event: AttemptAmended, board: Board, xcoms: RunXComs) -> bool:
    """False when the try that the attempt was part of is not the last one any more."""
    ti = board.instance(TaskKey(event.task_id, event.map_index))
    if ti is None or ti.first_attempt is None or event.attempt < ti.first_attempt:
        return False
    for item in event.xcoms:
        xcoms.put(event.task_id, event.map_index, item)
    if event.rendered_fields:
        ti.rendered_fields = event.rendered_fields
    _record(board, event, [item.key for item in event.xcoms], is_set=True)
    return True


def _record(board: Board, event: XComChanged | AttemptAmended, keys: list[str], *, is_set: bool) -> None:
    data = {"task_id": event.task_id, "map_index": event.map_index}
    board.record("xcom", data | {"set": keys if is_set else [], "deleted": [] if is_set else keys})
