"""What running code asks about XComs that were not shipped with its start. (Changes of XComs: `xcom_questions`.)

Answers are values of MessagePack. A question about another run of the same server is answered from that run. What
cannot be answered raises `LookupError` with the sentence that the task will see. Questions about runs and task
instances are in `run_questions`.
"""

from typing import Any

from dagcall.core.machine import RunMachine
from dagcall.model.ids import RunKey

_ASKED = ("xcom", "xcoms")


def run_of(what: str, args: list[Any]) -> RunKey:
    """The run that a question is about."""
    if what not in _ASKED:
        raise LookupError(f"dagcall does not know the question {what!r}")
    return RunKey(args[0], args[1])


def answer(what: str, args: list[Any], machine: RunMachine | None) -> object:
    """From the run that `run_of` names; None when it is not here. Raises LookupError."""
    match what:
        case "xcom":
            _, _, task_id, map_index, key = args
            item = None if machine is None else machine.xcoms.get(task_id, map_index, key)
            return None if item is None else item.value
        case "xcoms":
            return [] if machine is None else [item.value for item in machine.xcoms.all_of(args[2], args[3])]
        case _:
            raise LookupError(f"dagcall does not know the question {what!r}")
