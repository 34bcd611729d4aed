"""scripts/bootstrap.py made the environment that these tests run in; here is what would not show in it."""

import importlib.util
import subprocess
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def bootstrap(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", root / "scripts" / "bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pip_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose pip has an index and a certificate in its file; no uv settings."""
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = https://mirror.test/simple\n[install]\ncert = /etc/own.pem\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    for name in ("PIP_INDEX_URL", "PIP_CERT", "SSL_CERT_FILE", "UV_DEFAULT_INDEX", "UV_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("pip_configured")
def test_what_pip_is_told_reaches_uv(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = bootstrap.uv_environment()
    assert environment["UV_DEFAULT_INDEX"] == "https://mirror.test/simple"
    assert environment["SSL_CERT_FILE"] == "/etc/own.pem"

    monkeypatch.setenv("PIP_INDEX_URL", "https://other.test/simple")
    assert bootstrap.uv_environment()["UV_DEFAULT_INDEX"] == "https://other.test/simple"

    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uv.test/simple")
    assert bootstrap.uv_environment()["UV_DEFAULT_INDEX"] == "https://uv.test/simple"


@pytest.mark.usefixtures("pip_configured")
def test_a_cache_that_cannot_be_written_is_replaced(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")  # nobody may make a folder there, root neither
    assert bootstrap.uv_environment()["UV_CACHE_DIR"] == str(bootstrap.ROOT / ".cache" / "uv")


def test_a_moved_checkout_or_a_changed_lock_is_installed_again(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = bootstrap.fingerprint()
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    (tmp_path / "pyproject.toml").write_bytes((Path(__file__).parents[2] / "pyproject.toml").read_bytes())
    moved = bootstrap.fingerprint()
    monkeypatch.setattr(bootstrap, "REQUIREMENTS", tmp_path)
    (tmp_path / "dev.txt").write_text("httpx==0.28.1\n")
    assert len({here, moved, bootstrap.fingerprint()}) == 3


def test_an_unset_target_lists_what_there_is(root: Path) -> None:
    listed = subprocess.run(
        ["make", "--no-print-directory"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    assert {line.split()[0] for line in listed.splitlines()} >= {
        "help",
        "demo",
        "serve",
        "test",
        "check",
        "bench",
        "ci",
    }
