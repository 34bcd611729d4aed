"""`make compat`: every example DAG of the installed Airflow and its standard provider, here and under stock Airflow.

    python compat/run.py [--only TEXT] [--jobs N] [--keep FOLDER] [--stock FOLDER] [--no-page]

Both sides get the same files, plugins and settings, no network (a proxy that does not answer) and the same chance
(`chance/sitecustomize.py`). Each DAG is triggered by hand twice, without a logical date and with one, and must come to
the same state of the run and of every task instance. Writes docs/compatibility-examples.md; exits 1 when an end differs.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HERE = Path(__file__).resolve().parent
PAGE = ROOT / "docs" / "compatibility-examples.md"
SECONDS = 60.0
"""For a run under stock Airflow to end by itself."""
SECONDS_HERE = 180.0
"""Generous: that a run ends is what is compared, not how fast on a machine that does something else too."""
NOWHERE = "http://127.0.0.1:9"

TEMPLATE = """\
# Airflow's own example DAGs

Written by `make compat`; do not edit. Every example DAG of Apache Airflow {airflow} and its standard provider {standard}
({dags} DAGs) is triggered by hand twice, without and with a logical date, here and under stock Airflow (`dag.test()`, a
process and a database each, at most {seconds:g} s), without network. *Same*: the run and every task instance ended in the
same state.

{figures}

{table}

## Reasons

{remarks}
"""


def main() -> int:
    arguments = _arguments()
    folder = Path(arguments.keep or tempfile.mkdtemp(prefix="dagcall-compat-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return compare(folder, arguments)
    finally:
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)


def compare(folder: Path, arguments: argparse.Namespace) -> int:
    os.environ.update(_environment(folder))
    dags = folder / "dags"
    _copy_examples(dags)
    # Imported only now: what they start inherits the environment, and Airflow reads its settings when it is imported.
    sys.path.insert(0, str(ROOT / "src"))
    import here
    import verdicts

    from dagcall.check import check_folder

    files = {row.dag_id: row.file for row in check_folder(str(dags)) if row.dag_id}
    wanted = sorted(dag_id for dag_id in files if arguments.only in dag_id)
    date = datetime.now(UTC).replace(microsecond=0).isoformat()
    runs = [(dag_id, moment) for dag_id in wanted for moment in (None, date)]
    ours = here.run_all(str(dags), runs, SECONDS_HERE, arguments.jobs)
    (folder / "here.json").write_text(json.dumps(ours))
    stock = _known(Path(arguments.stock), runs) if arguments.stock else _run_under_stock(folder, runs, arguments.jobs)
    rows = [
        verdicts.Row(dag_id, files[dag_id], (stock[2 * i], stock[2 * i + 1]), (ours[2 * i], ours[2 * i + 1]))
        for i, dag_id in enumerate(wanted)
    ]
    for row in rows:
        for one, other, verdict in zip(row.stock, row.here, row.verdicts, strict=True):
            if verdict is verdicts.Verdict.DIFFERS:
                print(f"{row.dag_id} differs: {verdicts.differences(one, other)} {other.get('error', '')}")
    print(verdicts.figures(rows))
    if not arguments.no_page:
        PAGE.write_text(
            TEMPLATE.format(
                airflow=version("apache-airflow"),
                standard=version("apache-airflow-providers-standard"),
                dags=len(rows),
                seconds=SECONDS,
                figures=verdicts.figures(rows),
                table=verdicts.table(rows),
                remarks=verdicts.remarks(rows),
            )
        )
    return 1 if any(verdicts.Verdict.DIFFERS in row.verdicts for row in rows) else 0


def _run_under_stock(folder: Path, runs: list[tuple[str, str | None]], jobs: int) -> list[dict[str, object]]:
    home = folder / "stock"
    home.mkdir()
    order, results = folder / "order.json", folder / "stock.json"
    order.write_text(json.dumps({"seconds": SECONDS, "jobs": jobs, "home": str(home), "runs": runs}))
    environment = os.environ | {"AIRFLOW_HOME": str(home)}
    subprocess.run([sys.executable, HERE / "under_stock.py", order, results], env=environment, check=True)
    found: list[dict[str, object]] = json.loads(results.read_text())
    return found


def _known(folder: Path, runs: list[tuple[str, str | None]]) -> list[dict[str, object]]:
    """What an earlier comparison found under stock Airflow, kept with `--keep`. Its logical date was another one."""
    order = json.loads((folder / "order.json").read_text())["runs"]
    results = json.loads((folder / "stock.json").read_text())
    found = {(dag_id, bool(date)): result for (dag_id, date), result in zip(order, results, strict=True)}
    return [found[dag_id, bool(date)] for dag_id, date in runs]


def _environment(folder: Path) -> dict[str, str]:
    home = folder / "home"
    home.mkdir()
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), NOWHERE)
    return proxies | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(HERE / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": str(HERE / "chance"),
        "PIP_NO_INDEX": "1",
        "UV_OFFLINE": "1",
        "no_proxy": "127.0.0.1,localhost",
    }


def _copy_examples(target: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "plugins")
    for name, package in (("core", "airflow"), ("standard", "airflow.providers.standard")):
        spec = find_spec(package)
        assert spec is not None
        assert spec.submodule_search_locations is not None
        shutil.copytree(Path(spec.submodule_search_locations[0]) / "example_dags", target / name, ignore=ignored)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="TEXT", help="DAGs whose id contains it; writes no page")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once (default 2)")
    parser.add_argument("--keep", metavar="FOLDER", help="leave logs and databases there")
    parser.add_argument("--stock", metavar="FOLDER", help="take stock Airflow's side from a folder kept before")
    parser.add_argument("--no-page", action="store_true", help="only tell, write no page")
    arguments = parser.parse_args()
    arguments.no_page |= bool(arguments.only)
    return arguments


if __name__ == "__main__":
    sys.exit(main())
