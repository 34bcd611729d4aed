"""`[dagcall]` as a server reads it before it has an Airflow, and as Airflow reads it: the same texts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("airflow.sdk")

from dagcall.airflow_cfg import AirflowConfig
from dagcall.errors import ConfigError
from dagcall.options import SENSITIVE, Launch

NAMES = tuple(Launch.__dataclass_fields__)
ORACLE = """
import json, sys
from airflow.configuration import conf
found = {name: conf.get("dagcall", name, fallback=None) for name in sys.argv[1:]}
print("\\n" + json.dumps(found | {"dags_folder": conf.get("core", "dags_folder")}))
"""
VAULT = """
from airflow.sdk.bases.secrets_backend import BaseSecretsBackend

class Vault(BaseSecretsBackend):
    def get_config(self, key):
        return {"journals/main": "postgresql://u:p@db/x"}.get(key)
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    return tmp_path


def assert_the_same() -> Launch:
    """Here and in Airflow itself."""
    done = subprocess.run([sys.executable, "-c", ORACLE, *NAMES], capture_output=True, text=True, check=True)
    airflows: dict[str, str | None] = json.loads(done.stdout.splitlines()[-1])
    config = AirflowConfig()
    assert config.dags_folder() == airflows.pop("dags_folder")
    for name in NAMES:
        ours = config.get("dagcall", name, sensitive=name in SENSITIVE)
        assert ours is None or ours == (airflows[name] or "").strip()
    assert Launch.read(airflows) == config.launch()
    return config.launch()


def test_from_the_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PLACE", "~/x"), ("NAME", "$OTHER"), ("OTHER", "proxy.example")):
        monkeypatch.setenv(name, value)
    (home / "airflow.cfg").write_text(
        "[core]\ndags_folder = $PLACE/dags\n[dagcall]\nhost = 127.0.0.9\nport = 9000\nurl = http://$NAME/100%%\n"
        "workers_cmd = echo 7\njournal_cmd = echo 'memory:'\nShare_Port = True\nmemory =\n"
    )
    assert assert_the_same() == Launch(host="127.0.0.9", port=9000, url="http://proxy.example/100%", journal="memory:")


def test_from_the_environment_and_secrets_backends(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "vault.py").write_text(VAULT)
    (home / "other.cfg").write_text("[dagcall]\nport = 9000\nworkers = 3\njournal = memory:\n")
    monkeypatch.setenv("AIRFLOW_CONFIG", "$AIRFLOW_HOME/other.cfg")
    monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", "vault.Vault")
    for name, value in (("PORT", "9001"), ("MEMORY_CMD", "echo 100"), ("JOURNAL_SECRET", "journals/main")):
        monkeypatch.setenv(f"AIRFLOW__DAGCALL__{name}", value)
    assert assert_the_same() == Launch(port=9001, workers=3, journal="postgresql://u:p@db/x")


def test_what_cannot_be_read_is_refused_without_telling_the_secret(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DAGCALL__JOURNAL_CMD", "sh -c 'echo canary >&2; echo canary; exit 3'")
    with pytest.raises(ConfigError, match=r"AIRFLOW__DAGCALL__JOURNAL_CMD: the command failed: exit code 3$"):
        AirflowConfig().launch()
    (home / "airflow.cfg").write_text("[dagcall\n")
    with pytest.raises(ConfigError, match=r"airflow\.cfg cannot be read"):
        AirflowConfig().launch()


def test_the_url_of_clients_is_where_the_server_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    assert AirflowConfig().url() == "http://127.0.0.1:8274"
    monkeypatch.setenv("AIRFLOW__DAGCALL__HOST", "::1")
    monkeypatch.setenv("AIRFLOW__DAGCALL__PORT", "9")
    assert AirflowConfig().url() == "http://[::1]:9"
    monkeypatch.setenv("AIRFLOW__DAGCALL__URL", "https://x")
    assert AirflowConfig().url() == "https://x"
