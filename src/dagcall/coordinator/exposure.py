"""Which DAGs callers see, and which of them may be called now.

Of the folder that a server was given all DAGs are exposed, and none is ever paused. Of Airflow's bundles, which hold
batch DAGs too, those are exposed that are meant to be called (`[dagcall] expose`); what is not exposed is not there for
callers, other DAGs' tasks and assets. A DAG that is paused in Airflow is shown, and refuses calls; its runs go on. Who is
paused is Airflow's to say (`following`): what it said last counts while it cannot be asked, and before it has said
anything no call of these DAGs is taken.
"""

from collections.abc import Callable, Collection

from dagcall.errors import DagPaused, Unavailable
from dagcall.model.plan import DagPlan

TAG = "dagcall"


def is_tagged(plan: DagPlan) -> bool:
    """With `dagcall` itself, or with one of the wishes that only a call heeds (`dagcall:cache=60`)."""
    return any(tag == TAG or tag.startswith(f"{TAG}:") for tag in plan.tags)


def is_marked(plan: DagPlan) -> bool:
    return bool(plan.result_tasks) or is_tagged(plan)


RULES: dict[str, tuple[Callable[[DagPlan], bool], str]] = {
    "marked": (is_marked, "it has neither a result task nor the tag `dagcall`"),
    "tagged": (is_tagged, "it has not the tag `dagcall`"),
    "all": (lambda plan: True, ""),
}
"""Values of `[dagcall] expose`, and why a DAG is not exposed by them."""


class Exposure:
    """At first, and for ever of a folder: all DAGs, none paused."""

    def __init__(self) -> None:
        self._rule = "all"
        self._paused: Collection[str] = frozenset()
        self._unknown: str | None = None

    def apply(self, rule: str) -> None:
        """One of `RULES`."""
        self._rule = rule

    def wait_for_airflow(self, reason: str | None) -> None:
        """It is not known who is paused, and calls are refused with this; None: it is known, or nobody's business."""
        self._unknown = reason

    def still_unknown(self, reason: str) -> None:
        """If it is not known, that is why."""
        if self._unknown is not None:
            self._unknown = reason

    def pause(self, dag_ids: Collection[str]) -> None:
        """These are paused, and no others."""
        self._paused, self._unknown = frozenset(dag_ids), None

    def is_exposed(self, plan: DagPlan) -> bool:
        return RULES[self._rule][0](plan)

    @property
    def why_not(self) -> str:
        return f"{RULES[self._rule][1]} ([dagcall] expose = {self._rule})"

    def is_paused(self, dag_id: str) -> bool:
        return dag_id in self._paused

    def check(self, dag_id: str) -> None:
        """Raises DagPaused, Unavailable."""
        if self._unknown is not None:
            raise Unavailable(f"{self._unknown}; it is not known yet whether DAG {dag_id!r} is paused", retry_after=1.0)
        if dag_id in self._paused:
            raise DagPaused(dag_id=dag_id)
