"""A secrets backend, as of a vault: it knows who asks it, and fails for some names."""

from pathlib import Path

from airflow.secrets import BaseSecretsBackend


class ShelfSecrets(BaseSecretsBackend):
    def __init__(self, token: str, log: str) -> None:
        self._token = token
        self._log = Path(log)

    def get_conn_value(self, conn_id: str, team_name: str | None = None) -> str | None:
        self._note(f"connection {conn_id}")
        return f"http://user:{self._token}@vault.example:1" if conn_id == "vault" else None

    def get_variable(self, key: str, team_name: str | None = None) -> str | None:
        self._note(f"variable {key}")
        return self._token if key == "vaulted" else None

    def _note(self, what: str) -> None:
        asker = Path("/proc/self/cmdline").read_bytes().split(b"\0")[0].decode()
        with self._log.open("a") as log:
            log.write(f"{asker}: {what}\n")
        if "broken" in what:
            raise RuntimeError(f"the vault says no to {self._token}")
