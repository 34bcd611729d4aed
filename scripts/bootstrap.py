"""Makes `.venv`: the locked dependencies and this checkout, installed editable with its server extra.

    python3 scripts/bootstrap.py                    install what is missing; nothing when all is there
    python3 scripts/bootstrap.py lock [--upgrade]   write the lock files in requirements/ again

Needs Python >= 3.11 with pip and a package index, nothing else. Debian may lack the venv module and forbids pip to
touch its own Python, but never `pip install --target`: so pip fetches uv, and uv does the rest. All that is
downloaded is checked against the hashes in requirements/, and the checkout is built by the locked hatchling, offline.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
UV_HOME = ROOT / ".bootstrap"
UV = UV_HOME / "bin" / "uv"
VENV = ROOT / ".venv"
STAMP = VENV / "installed-from"
OLDEST = (3, 11)
# With .venv activated, `python3` is the one in it, which has no pip.
PYTHON = sys._base_executable if Path(sys.prefix) == VENV else sys.executable


def main(arguments: list[str]) -> None:
    use_a_recent_python()
    with open(__file__) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two `make` in one checkout must not build one environment
        if arguments[:1] == ["lock"]:
            write_locks(upgrade="--upgrade" in arguments)
        else:
            install()


def use_a_recent_python() -> None:
    if sys.version_info >= OLDEST:
        return
    for minor in range(14, OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            os.execv(found, [found, *sys.argv])
    sys.exit(f"dagcall needs Python >= {OLDEST[0]}.{OLDEST[1]}; {sys.executable} is {sys.version.split()[0]}")


def install() -> None:
    wanted = fingerprint()
    there = (VENV / "bin" / "python", VENV / "bin" / "dagcall", STAMP)
    if all(path.exists() for path in there) and STAMP.read_text() == wanted:
        return
    STAMP.unlink(missing_ok=True)
    environment = uv_environment()
    fetch_uv()
    say("installing into .venv")
    python = VENV / "bin" / "python"
    if not python.exists():
        run(UV, "venv", "--quiet", "--clear", "--python", PYTHON, VENV, env=environment)
    to = ("--quiet", "--python", python)
    locked = ("--require-hashes", "--compile-bytecode", REQUIREMENTS / "dev.txt")
    run(UV, "pip", "sync", *to, *locked, env=environment)
    checkout = ("--offline", "--no-deps", "--no-build-isolation", "--editable", f"{ROOT}[server]")
    run(UV, "pip", "install", *to, *checkout, env=environment)
    STAMP.write_text(wanted)


def fingerprint() -> str:
    """What the environment is made from; its path too, because the scripts in it name it."""
    digest = hashlib.sha256(os.fsencode(ROOT))
    for path in (ROOT / "pyproject.toml", Path(__file__), *sorted(REQUIREMENTS.glob("*.txt"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def fetch_uv() -> None:
    locked = REQUIREMENTS / "bootstrap.txt"
    fetched = UV_HOME / locked.name
    if UV.exists() and fetched.exists() and fetched.read_bytes() == locked.read_bytes():
        return
    say("fetching uv")
    shutil.rmtree(UV_HOME, ignore_errors=True)
    # `--user` and "only in a virtual environment", where the user configured them, contradict `--target`.
    environment = {**os.environ, "PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_ROOT_USER_ACTION": "ignore"}
    pip = (PYTHON, "-m", "pip", "--quiet", "--disable-pip-version-check", "install")
    what = ("--target", UV_HOME, "--no-deps", "--only-binary", ":all:", "--require-hashes", "--requirement", locked)
    run(*pip, *what, env=environment)
    shutil.copy(locked, fetched)


def uv_environment() -> dict[str, str]:
    """Tells uv what this machine configures for pip, which uv does not read; what is set for uv itself wins.

    `extra-index-url` is left out: it names where a company's own packages are, and none of the locked ones is such.
    """
    environment = dict(os.environ)
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"):
        environment.pop(name, None)
    environment.setdefault("UV_PYTHON_DOWNLOADS", "never")
    environment.setdefault("UV_HTTP_TIMEOUT", "180")  # seconds; a slow mirror is not a broken one
    pip = pip_settings()
    for name, option in {
        "UV_DEFAULT_INDEX": "index-url",
        "UV_INSECURE_HOST": "trusted-host",
        "SSL_CERT_FILE": "cert",
    }.items():
        if option in pip:
            environment.setdefault(name, pip[option])
    base = environment.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if not is_writable(Path(environment.get("UV_CACHE_DIR") or os.path.join(base, "uv"))):
        environment["UV_CACHE_DIR"] = str(ROOT / ".cache" / "uv")
    return environment


def pip_settings() -> dict[str, str]:
    """What `pip install` would use here: its files, and over them its environment variables."""
    command = [PYTHON, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout
    settings = {}
    for section in ("global.", "install.", ":env:."):
        for line in listed.splitlines():
            name, _, value = line.partition("=")
            if name.startswith(section):
                settings[name[len(section) :]] = " ".join(shlex.split(value))
    return settings


def is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # os.access says yes to root where a file system says no
            return True
    except OSError:
        return False


def write_locks(upgrade: bool) -> None:
    environment = uv_environment()
    fetch_uv()
    project = ROOT / "pyproject.toml"
    # Names and hashes only: a header or an annotation would name indexes and files of the machine that wrote them.
    form = ("--universal", "--python-version", ".".join(map(str, OLDEST)), "--generate-hashes", "--no-header")
    form += ("--no-annotate", "--quiet", *(("--upgrade",) if upgrade else ()))
    server = (project, "--extra", "server")
    for name, what in {
        "bootstrap": ("--group", f"{project}:bootstrap"),
        "server": server,
        "dev": (*server, "--group", f"{project}:dev", "--constraint", REQUIREMENTS / "server.txt"),
    }.items():
        say(f"locking requirements/{name}.txt")
        run(UV, "pip", "compile", *what, *form, "--output-file", REQUIREMENTS / f"{name}.txt", env=environment)


def run(*command: str | os.PathLike[str], env: dict[str, str]) -> None:
    finished = subprocess.run([os.fspath(part) for part in command], env=env, cwd=ROOT, stdin=subprocess.DEVNULL)
    if finished.returncode:
        sys.exit(
            f"bootstrap: {Path(command[0]).name} ended with {finished.returncode}; mend the cause and run it again"
        )


def say(what: str) -> None:
    print(f"bootstrap: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
