"""What is hidden of Variables and Connections, compared with what the installed Airflow hides."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dagcall.server.redaction import Redaction

NAMES = st.sampled_from(["user", "password", " Api_Key ", "client_secret", "x", "tokens"])
SENSITIVE = ["password", "secret", "token", "api_key"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "hunter2", "***"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


def stock_masker() -> Any:
    from airflow.sdk._shared.secrets_masker import SecretsMasker

    masker = SecretsMasker()
    masker.sensitive_variables_fields = SENSITIVE
    return masker


@settings(deadline=None, max_examples=300)
@given(VALUES, st.none() | NAMES)
def test_redacted(value: Any, name: str | None) -> None:
    assert Redaction(SENSITIVE).redacted(value, name) == stock_masker().redact(value, name, max_depth=100)


@settings(deadline=None, max_examples=300)
@given(VALUES, VALUES, st.none() | NAMES)
def test_restored(new: Any, old: Any, name: str | None) -> None:
    assert Redaction(SENSITIVE).restored(new, old, name) == stock_masker().merge(new, old, name, max_depth=100)


@settings(deadline=None, max_examples=300)
@given(VALUES, st.none() | NAMES)
def test_what_was_shown_and_is_sent_back_is_what_it_was(value: Any, name: str | None) -> None:
    redaction = Redaction(SENSITIVE)
    assert redaction.restored(redaction.redacted(value, name), value, name) == value
