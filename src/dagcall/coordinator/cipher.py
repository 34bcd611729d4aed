"""Encryption at rest of Variables and Connections, with the Fernet keys of Airflow's configuration.

Guarantees that what was sealed is opened to the same bytes with any of the configured keys, and that nothing but the
length can be learnt from it without them. As in Airflow an empty setting means that nothing is encrypted.
"""

from typing import Any, Final

from dagcall.errors import ConfigError, JournalError

_PLAIN: Final = b"\x00"
_FERNET: Final = b"\x01"


class Cipher:
    """`keys`: Airflow's `[core] fernet_key`, several with commas between; the first one encrypts."""

    def __init__(self, keys: str = "") -> None:
        self._keys = keys
        self._made: Any = None

    def seal(self, data: bytes) -> bytes:
        """Raises `ConfigError` when the setting is no Fernet key."""
        fernet = self._fernet()
        return _PLAIN + data if fernet is None else _FERNET + fernet.encrypt(data)

    def open(self, sealed: bytes) -> bytes:
        """Raises `JournalError` when none of the keys fits, `ConfigError` as `seal`."""
        if not is_encrypted(sealed):
            return sealed[1:]
        fernet = self._fernet()
        if fernet is None:
            raise JournalError("it is encrypted, and [core] fernet_key is empty")
        from cryptography.fernet import InvalidToken

        try:
            opened: bytes = fernet.decrypt(sealed[1:])
        except InvalidToken:
            raise JournalError("it was encrypted with another key than [core] fernet_key has") from None
        return opened

    def _fernet(self) -> Any:
        if self._made is None and self._keys:
            from cryptography.fernet import Fernet, MultiFernet

            try:
                self._made = MultiFernet([Fernet(key) for key in self._keys.split(",")])
            except ValueError:
                raise ConfigError("[core] fernet_key is not a Fernet key: 32 bytes in URL-safe base64") from None
        return self._made


def is_encrypted(sealed: bytes) -> bool:
    return sealed.startswith(_FERNET)
