"""Values of results, and what they refer to, as events make them."""

import hashlib
import json

from dagcall.core.replay import replay
from dagcall.model.events import RetryDue
from dagcall.model.plan import Mapping, MapSource, Retry, TaskPlan
from dagcall.model.references import Reference

from .conftest import KEY, Run

REFERENCE = Reference("file:///x", "text/plain", 1, "ab")


def mapped(limit: int | None) -> Run:
    mapping = Mapping((MapSource("literal", length=3),))
    run = Run(TaskPlan("m", operator="Scripted", mapping=mapping, is_result=True), accept={"inline_limit": limit})
    for index in range(3):
        run.start("m", map_index=index)
        run.end("m", map_index=index, length=None, plain=b'"%d"' % index)
    return run


def test_a_list_over_the_limit_is_referred_to() -> None:
    value = b'["0","1","2"]'
    for limit in (None, len(value)):
        outcome = mapped(limit).outcome
        assert outcome is not None
        assert outcome.results == {"m": value}
    run = mapped(len(value) - 1)
    assert run.outcome is not None
    reference = json.loads(run.outcome.results["m"])["reference"]
    assert reference["href"] == reference["uri"] == "/call/d/r/value/m"
    assert (reference["size"], reference["sha256"]) == (len(value), hashlib.sha256(value).hexdigest())
    assert run.machine.value_of("m") == value


def test_references_are_those_of_the_last_try() -> None:
    run = Run(TaskPlan("a", operator="Scripted", is_result=True, retry=Retry(1, delay=0.0)))
    run.end("a", "retry", plain=b"{}", references=(REFERENCE, REFERENCE))
    run.feed(RetryDue("a"))
    run.start("a")
    assert run.machine.instances()[0].references == ()
    run.end("a", length=None, plain=b"{}", references=(REFERENCE,))
    again = replay(run.plan, KEY, run.records)
    assert [machine.instances()[0].references for machine in (run.machine, again)] == [(REFERENCE,)] * 2
