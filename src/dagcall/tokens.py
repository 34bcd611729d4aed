"""API tokens of servers without Airflow: made, listed and revoked by `dagcall token`, read by every server that is given
the file.

A token is 256 random bits, shown once. The file has its SHA-256, which is enough for such a text: nobody can try them
all, so that a slow hash would only slow the server down. It is of mode 600, and replaced as a whole: whoever reads it
sees all of a change or nothing. Refuses a file that others could write, or that is no such file: then nobody is let in.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path

from dagcall.errors import ConfigError

PREFIX = "dagcall_"
"""Tokens begin with it, so that scanners for secrets find those that were published."""
_NAME = re.compile(r"[\w.@+-]{1,100}", re.ASCII)


@dataclass(frozen=True)
class ApiToken:
    """`read`, `call`: patterns of DAG ids (`*`, `?`, `[...]`); who may call a DAG may read it, too. Times are seconds
    since the epoch."""

    name: str
    sha256: str
    read: tuple[str, ...] = ()
    call: tuple[str, ...] = ()
    admin: bool = False
    metrics: bool = False
    created: float = 0.0
    expires: float | None = None

    def reads(self, dag_id: str) -> bool:
        return self.admin or any(fnmatchcase(dag_id, pattern) for pattern in (*self.read, *self.call))

    def calls(self, dag_id: str) -> bool:
        return self.admin or any(fnmatchcase(dag_id, pattern) for pattern in self.call)


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class TokenFile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[ApiToken]:
        """None where there is no file. Raises ConfigError."""
        try:
            with open(self.path, encoding="utf-8") as file:
                status = os.fstat(file.fileno())
                if status.st_mode & 0o022 or status.st_uid not in (os.geteuid(), 0):
                    raise ConfigError(
                        f"{self.path}: others could write it; give it mode 600 and this user (chmod, chown)"
                    )
                document = json.load(file)
            return [_token(one) for one in document["tokens"]]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"{self.path} cannot be read as a file of tokens: {error}") from None

    def create(self, token: ApiToken) -> str:
        """Keep a token that is like this one; its hash is made here. Returns the secret, which nobody knows again. Raises
        ConfigError when the name is taken or is none, or the file cannot be written."""
        if _NAME.fullmatch(token.name) is None:
            raise ConfigError(f"a token's name has letters, digits and . @ + - _ only, 100 at most: not {token.name!r}")
        secret = PREFIX + secrets.token_urlsafe(32)
        with self._changing() as tokens:
            if any(one.name == token.name for one in tokens):
                raise ConfigError(f"there is a token {token.name!r} already: revoke it first, or choose another name")
            tokens.append(ApiToken(**asdict(token) | {"sha256": digest(secret)}))
        return secret

    def revoke(self, name: str) -> bool:
        """False when there is none of this name. Raises ConfigError."""
        with self._changing() as tokens:
            left = [one for one in tokens if one.name != name]
            found = len(left) < len(tokens)
            tokens[:] = left
        return found

    @contextlib.contextmanager
    def _changing(self) -> Iterator[list[ApiToken]]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.path.with_name(self.path.name + ".lock"), os.O_CREAT | os.O_RDWR, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                tokens = self.read()
                yield tokens
                self._write(tokens)
            finally:
                os.close(lock)
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be written: {error}") from None

    def _write(self, tokens: list[ApiToken]) -> None:
        new = self.path.with_name(self.path.name + ".new")
        new.unlink(missing_ok=True)
        with open(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            json.dump({"tokens": [asdict(one) for one in tokens]}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)


def _token(document: dict[str, object]) -> ApiToken:
    known = {one.name for one in fields(ApiToken)}
    values = {name: tuple(one) if isinstance(one, list) else one for name, one in document.items() if name in known}
    token = ApiToken(**values)  # type: ignore[arg-type]
    if not isinstance(token.sha256, str) or len(token.sha256) != 64:
        raise ValueError(f"the hash of token {token.name!r} is none")
    if not all(isinstance(one, str) for one in (*token.read, *token.call)):
        raise ValueError(f"the patterns of token {token.name!r} are none")
    if token.expires is not None and not isinstance(token.expires, int | float):
        raise ValueError(f"token {token.name!r} expires at no time")
    return token
