"""Secrets leave no process of ours: masked in logs, errors and rendered fields; and one task's are not the next one's."""

import json

from ..serving import Serving

MASKING = """
from airflow.sdk import BaseOperator, DAG, Variable, dag, task
from airflow.sdk.log import mask_secret

class Rendered(BaseOperator):
    template_fields = ("text", "options")
    def __init__(self, text, options, **more):
        super().__init__(**more)
        self.text, self.options = text, options
    def execute(self, context):
        return None

@dag(schedule=None, params={"mask": True, "fail": False})
def masking():
    @task
    def use(params):
        word = "masked-word"
        if params["mask"]:
            mask_secret(word)
        print("said", word)
        if params["fail"]:
            raise ValueError(f"failed with {word}")
        return word

    use() >> Rendered(
        task_id="rendered",
        text="{{ var.value.mask_api_key }}",
        options={"password": "plain-password", "n": 1},
    )
masking()
"""


def test_what_is_masked(served: Serving) -> None:
    served.do(served.coordinator.kept.variables.put("mask_api_key", "the-api-key", None))
    served.write("masking.py", MASKING)
    served.wait_for_dag("masking")
    failed = served.start("masking", {"fail": True})
    outcome = served.outcome(failed)
    assert outcome.failure is not None
    assert outcome.failure.error.message == "failed with ***"
    assert "masked-word" not in served.log(failed, "use")
    assert "masked-word" not in json.dumps([record.data for record in failed.records])
    run = served.start("masking")
    served.value_of(run)
    assert "said ***" in served.log(run, "use")
    # As in Airflow an XCom is what the task returned.
    item = run.machine.xcoms.get("use", -1, "return_value")
    assert item is not None
    assert b"masked-word" in item.value
    (rendered,) = (ti for ti in run.machine.instances() if ti.task.task_id == "rendered")
    assert json.loads(rendered.rendered_fields) == {"text": "***", "options": {"password": "***", "n": 1}}


def test_what_one_task_masked_is_shown_of_the_next(served: Serving) -> None:
    served.do(served.coordinator.kept.variables.put("mask_api_key", "the-api-key", None))
    served.write("masking.py", MASKING)
    served.wait_for_dag("masking")
    for mask, shown in ((True, "said ***"), (False, "said masked-word")) * 3:
        run = served.start("masking", {"mask": mask})
        outcome = served.outcome(run)
        assert outcome.failure is None, outcome
        assert shown in served.log(run, "use")
