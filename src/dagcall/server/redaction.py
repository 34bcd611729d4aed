"""What Airflow does not show of Variables and Connections: values under sensitive names. Pure.

As `redact` and `merge` of airflow/_shared/secrets_masker, by names alone.
"""

from collections.abc import Iterable
from typing import Any

HIDDEN = "***"


class Redaction:
    """`sensitive`: parts of names whose values are hidden."""

    def __init__(self, sensitive: Iterable[str]) -> None:
        self._sensitive = tuple(sensitive)

    def hides(self, name: str | None) -> bool:
        return name is not None and any(part in name.strip().lower() for part in self._sensitive)

    def redacted(self, value: Any, name: str | None = None) -> Any:
        """The same without what is to be hidden. Numbers, true, false and null stay, as in Airflow."""
        return self._redacted(value, name, hidden=False)

    def _redacted(self, value: Any, name: str | None, *, hidden: bool) -> Any:
        hidden = hidden or self.hides(name)
        match value:
            case dict():
                return {key: self._redacted(item, key, hidden=hidden) for key, item in value.items()}
            case list():
                return [self._redacted(item, None, hidden=hidden) for item in value]
            case str() if hidden:
                return HIDDEN
        return value

    def restored(self, new: Any, old: Any, name: str | None = None, *, hidden: bool = False) -> Any:
        """`new`, in which what was hidden when `old` was shown is put back where it was left as it was."""
        hidden = hidden or self.hides(name)
        if isinstance(new, dict) and isinstance(old, dict):
            return {
                key: self.restored(item, old[key], key, hidden=hidden) if key in old else item
                for key, item in new.items()
            }
        if isinstance(new, list) and isinstance(old, list):
            both = [self.restored(one, other, hidden=hidden) for one, other in zip(new, old, strict=False)]
            return both + new[len(old) :]
        return old if hidden and new == HIDDEN else new
