"""What holds for every test: its tier, a private Airflow, and no silent skip on CI."""

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from dagcall.testing.postgres_server import PostgresServer

TIERS = ("unit", "architecture", "integration", "acceptance")


def make_airflow_private() -> None:
    """Airflow reads its settings, and creates AIRFLOW_HOME, when it is imported: so before any test module is."""
    for name in list(os.environ):
        if name.startswith("AIRFLOW_") or name in ("DAGCALL_URL", "DAGCALL_TOKEN"):
            del os.environ[name]
    home = tempfile.mkdtemp(prefix="dagcall-tests-")
    owner = os.getpid()
    # Workers are forked from this process: one that ends normally must not take the folder with it.
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(home, ignore_errors=True))
    os.environ["AIRFLOW_HOME"] = home
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"


make_airflow_private()

# A shell has its background jobs ignore SIGINT, and so would all that the tests start from there.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples each time: a run says something of the change, not of its luck. `HYPOTHESIS_PROFILE=default` looks
# for others.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.hookimpl(tryfirst=True)  # before `-m` selects by mark
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks each test with its folder's name, and runs the quick tiers first."""
    tests = Path(__file__).parent
    tiers: dict[pytest.Item, int] = {}
    for item in items:
        folder = item.path.relative_to(tests).parts[0] if item.path.is_relative_to(tests) else ""
        if folder not in TIERS:
            raise pytest.UsageError(f"{item.nodeid}: a test lies in one of tests/{{{','.join(TIERS)}}}")
        item.add_marker(folder)
        tiers[item] = TIERS.index(folder)
    items.sort(key=tiers.__getitem__)


class ByFolder(LoadScopeScheduling):
    """One process has all tests of a file, or of a folder below its tier's: what fixtures of a whole session start there
    is started once. (`--dist loadgroup` does nothing since pytest 9.2: pytest-xdist names groups in a way that it ignores.)
    """

    def _split_scope(self, nodeid: str) -> str:
        return "/".join(nodeid.partition("::")[0].split("/")[:3])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFolder:
    return ByFolder(config, log)


def fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """CI is where everything can run: a test that does not run there runs nowhere."""
    if os.environ.get("CI") and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason} (CI is set, where a skipped test counts as failed)"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    fail_if_skipped(report)
    return report


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests that need one; each takes a schema of its own."""
    with PostgresServer("fsync=off") as server:
        yield server
