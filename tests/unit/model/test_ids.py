import uuid

from hypothesis import given
from hypothesis import strategies as st

from dagcall.model import ids
from dagcall.model.ids import RunKey, attempt_uuid


@given(st.text(), st.text(), st.integers(1, 1 << 40))
def test_the_id_of_an_attempt_is_a_version_5_uuid(dag_id: str, run_id: str, attempt: int) -> None:
    expected = uuid.uuid5(ids._ATTEMPTS, f"{dag_id}/{run_id}/{attempt}")
    assert attempt_uuid(RunKey(dag_id, run_id), attempt) == str(expected)
