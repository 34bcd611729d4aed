"""Write docs/compatibility.md from the table of features and the refusals' own words.

python scripts/compatibility_page.py            write it
python scripts/compatibility_page.py --check    exit 1 when it is not current
"""

import os
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "compatibility.md"

TEMPLATE = """\
# What runs as in Airflow

Written by `scripts/compatibility_page.py` from `src/dagcall/airflow_bridge/features/` and `refusals.py`; do not edit.

Every feature of Apache Airflow {airflow} that a DAG file may use, and what dagcall does with it:

- **runs as in Airflow**: the same end of every task and of the run; Airflow installed beside dagcall is the oracle.
- **runs, differs**: the row says how.
- **not acted upon**: the row says what happens instead. `dagcall dags check` notes it for a DAG that uses it.
- **refused**: a DAG that uses it is listed with the reason, and cannot be called. Nothing is run wrongly.

`dagcall dags check FOLDER` says it for your DAGs, task by task, without a server, and exits with 1 when a DAG is refused
or a file does not import: made for a CI (`-o json` for machines). `dagcall doctor FOLDER` tells more: file and line, what to
change, and what the import of each file costs. Airflow's own examples, run on both sides:
[compatibility-examples.md](compatibility-examples.md).

{figures}

{sections}
{quirks}"""

QUIRKS = """
## What looks like a fault in Airflow, and is copied

A DAG must not end differently here, so dagcall does as Airflow {airflow} does, also where that surprises:

{rows}
"""


def page() -> str:
    import airflow

    from dagcall.airflow_bridge.features import TABLE, Feature, Verdict
    from dagcall.airflow_bridge.refusals import reasons

    known = reasons()
    used: set[str] = set()
    counts: Counter[str] = Counter()

    def row(feature: Feature) -> str:
        whole, partly = (
            _sentence("; ".join(dict.fromkeys(known[name] for name in names if name in known)))
            for names in (feature.refused_as, feature.refused_partly)
        )
        used.update(feature.refused_as, feature.refused_partly)
        verdict = Verdict.REFUSED if whole else feature.verdict
        counts[verdict.value] += 1
        text = whole or f"{feature.text} {'Refused in part: ' + partly if partly else ''}".strip()
        return f"| `{feature.name}` | {verdict.value} | {text} |"

    sections = "\n".join(
        f"## {title}\n\n| | what dagcall does | |\n|---|---|---|\n" + "\n".join(map(row, features)) + "\n"
        for title, features in TABLE.items()
    )
    if missing := known.keys() - used:
        raise SystemExit(f"refusals that no feature of the table names: {sorted(missing)}")
    return TEMPLATE.format(
        airflow=airflow.__version__,
        figures=", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()) + ".",
        sections=sections,
        quirks=_quirks(airflow.__version__),
    )


def _quirks(version: str) -> str:
    from airflow_quirks import KNOWN_QUIRKS

    rows = "\n".join(f"- **{quirk.feature}**: {quirk.what} (`{quirk.source}`)" for quirk in KNOWN_QUIRKS)
    return QUIRKS.format(airflow=version, rows=rows)


def _sentence(text: str) -> str:
    is_word = text.partition(" ")[0].isalpha()
    return f"{text[:1].upper() if is_word else text[:1]}{text[1:]}." if text else ""


def main(arguments: list[str]) -> int:
    sys.path.insert(0, str(ROOT / "src"))
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        text = page()
    if arguments == ["--check"]:
        current = PAGE.exists() and PAGE.read_text() == text
        if not current:
            print(f"{PAGE} is not current: run scripts/compatibility_page.py", file=sys.stderr)
        return 0 if current else 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
