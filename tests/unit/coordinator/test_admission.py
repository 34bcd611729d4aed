import pytest

from dagcall.coordinator.admission import Admission, AdmissionSettings
from dagcall.errors import Overloaded, RateLimited


def test_the_servers_limit() -> None:
    admission = Admission(AdmissionSettings(limit=2, share=5))
    admission.enter("a", "ann")
    admission.enter("b", "bea")
    with pytest.raises(Overloaded) as refused:
        admission.enter("c", "")
    assert refused.value.retry_after == 1.0
    assert admission.total == 2
    admission.leave("a", "ann")
    admission.enter("c", "")


@pytest.mark.parametrize(("dag_id", "caller"), [("a", "other"), ("other", "ann")])
def test_a_share(dag_id: str, caller: str) -> None:
    admission = Admission(AdmissionSettings(limit=100, share=2))
    admission.enter("a", "ann")
    admission.enter("a", "ann")
    with pytest.raises(RateLimited):
        admission.enter(dag_id, caller)
    admission.enter("b", "bea")
    assert admission.total == 3
    admission.leave("a", "ann")
    admission.enter(dag_id, caller)


def test_callers_without_a_name_share_nothing_but_the_dag() -> None:
    admission = Admission(AdmissionSettings(limit=100, share=1))
    admission.enter("a", "")
    admission.enter("b", "")
    with pytest.raises(RateLimited, match="DAG 'a'"):
        admission.enter("a", "")


def test_what_a_run_starts_is_counted_and_never_refused() -> None:
    admission = Admission(AdmissionSettings(limit=1, share=1))
    admission.enter("a", "ann")
    admission.enter("a", "ann", nested=True)
    assert admission.total == 2
    admission.leave("a", "ann")
    with pytest.raises(Overloaded):
        admission.enter("b", "")
    admission.leave("a", "ann")
    admission.enter("b", "")
