"""The values that a call is answered with, as plain JSON: made by the workers, joined here, never decoded."""

from hashlib import sha256

from dagcall.core.instance import TaskRun
from dagcall.core.xcoms import RunXComs
from dagcall.model.events import RunAccepted
from dagcall.model.ids import UNMAPPED
from dagcall.model.plan import RETURN_VALUE
from dagcall.model.references import Reference, encoded, href_of


def value_of(task: TaskRun, xcoms: RunXComs) -> bytes:
    """The return value of an ended task; of a mapped task the list a downstream task would get."""
    if not task.expanded:
        return task.instances[0].plain or b"null"
    pushed = [task.instances[index] for index in xcoms.map_indexes(task.task.task_id, RETURN_VALUE) if index >= 0]
    return b"[" + b",".join(ti.plain or b"null" for ti in pushed) + b"]"


def answer_of(task: TaskRun, xcoms: RunXComs, accepted: RunAccepted) -> bytes:
    """`value_of`, or a reference to it. One instance's value is within the limit: its worker has seen to that. A list of
    such values may be above it; it is stored nowhere, but can be read from where the reference says."""
    value = value_of(task, xcoms)
    if not task.expanded or accepted.inline_limit is None or len(value) <= accepted.inline_limit:
        return value
    href = href_of(accepted.dag_id, accepted.run_id, task.task.task_id, UNMAPPED, 0)
    return encoded(Reference(href, "application/json", len(value), sha256(value).hexdigest()), href)
