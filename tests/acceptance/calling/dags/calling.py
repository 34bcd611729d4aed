"""DAGs that call DAGs. Each has a task `ask`; what it fails with is written to a file named after the DAG."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Context, Param, dag, result, task

from dagcall.provider import CallDagOperator


def note(context: Context) -> None:
    folder = Path(context["params"]["folder"])
    part = folder / f"{context['ti'].dag_id}.part"
    part.write_text(str(context.get("exception")))
    part.rename(part.with_suffix(".txt"))


class LosesItsFirstTry(CallDagOperator):
    """As if the worker had died after the call."""

    def execute(self, context: Context) -> Any:
        value = super().execute(context)
        if context["ti"].try_number == 1:
            raise RuntimeError("lost")
        return value


def calling(dag_id: str, call_dag_id: str, operator: type[CallDagOperator] = CallDagOperator, **arguments: Any) -> DAG:
    @dag(dag_id, schedule=None, params={"folder": Param("", type="string")})
    def made() -> None:
        ask = operator(
            task_id="ask",
            call_dag_id=call_dag_id,
            on_failure_callback=note,
            retry_delay=timedelta(milliseconds=1),
            **arguments,
        )

        @result
        @task
        def answer(told: Any) -> Any:
            return told

        answer(ask.output)

    return made()


file = "{{ params.folder }}/{{ dag.dag_id }}.count"
calls = [
    calling("now", "pair", conf={"left": 1, "right": "{{ dag.dag_id }}"}, deferrable=False),
    calling("deferred", "pair", conf={"left": 400, "right": "late"}, deferrable=True, defer_after=0),
    calling("other_result", "pair", conf={"left": 3}, result="left"),
    calling(
        "deferred_other_result", "pair", conf={"left": 400}, result=["left", "both"], deferrable=True, defer_after=0
    ),
    calling("by_reference", "large"),
    calling("failing", "breaks"),
    calling("failing_deferred", "breaks", deferrable=True, defer_after=0),
    calling("unknown", "nobody", retries=3),
    calling("refused", "pair", conf={"left": "three"}, retries=3),
    calling("rejected", "says_no", retries=3),
    calling("second_try", "counts", conf={"file": file, "good_from": 2}, retries=1),
    calling("lost_try", "counts", LosesItsFirstTry, conf={"file": file}, retries=1),
    calling("own_key", "counts", LosesItsFirstTry, conf={"file": file}, retries=1, idempotency_key="{{ run_id }}"),
    calling("over_its_time", "never_ends", timeout=0.2),
]
killed = [
    calling("killed", "never_ends", deferrable=False),
    calling("killed_deferred", "never_ends", deferrable=True, defer_after=0),
]
