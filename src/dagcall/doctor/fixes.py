"""What an author can do about it: a sentence for each feature that is refused and for each hint.

A refusal with a sentence is a *change*: without that argument the DAG is callable, and does what its author wanted of it
in another way. A refusal without one stays a refusal.
"""

from typing import Final

CHANGES: Final[dict[str, str]] = {
    "deadline": "Remove `deadline`: callers give their own with `timeout=`; `dagrun_timeout` binds here too.",
    "allowed_run_types": 'Add "manual" to `allowed_run_types`: a call is a run that somebody started.',
    "executor": "Remove `executor`: tasks run on dagcall's own workers.",
    "executor_config": "Remove `executor_config`: limit memory with `dagcall serve --memory`, isolate with the tag `dagcall:isolation=task`.",
    "max_active_tasks": "Set `max_active_tasks` to 1 or more, or leave it out.",
    "max_active_runs": "Set `max_active_runs` to 1 or more, or leave it out.",
    "max_active_tis_per_dag": "Set `max_active_tis_per_dag` to 1 or more, or leave it out.",
    "max_active_tis_per_dagrun": "Set `max_active_tis_per_dagrun` to 1 or more, or leave it out.",
}
REFUSED: Final[frozenset[str]] = frozenset(("run_as_user", "default_impersonation"))
"""What no change of the file makes callable without giving up what it asks for."""

_TAG = "Correct the tag, or remove it."

HINTS: Final[dict[str, str]] = {
    "result": "Return the value of the last task from the @dag function, or put `@result` on top of its `@task`.",
    "description": "Give the DAG a `description=` or a docstring: callers see it.",
    "return annotation": "Annotate what the result task returns: callers then get a schema of it.",
}

HEAVY = "Import `{package}` in the task that uses it: it takes {share:.0%} of the time that this file needs."
NOT_FORKED = (
    "Do on a task's first use what is now done when the file is imported; until then each worker parses it anew."
)


def change(feature: str) -> str | None:
    """The fix of a refused feature; None: there is none."""
    return _TAG if feature.startswith("tag ") else CHANGES.get(feature)
