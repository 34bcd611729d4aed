"""The report over a folder, as plain values: made from what a server would know of its files, and from their sources."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from dagcall.doctor import fixes
from dagcall.doctor.places import Places
from dagcall.model.plan import DagPlan, Note
from dagcall.model.pool import DEFAULT_POOL
from dagcall.workers.file_zygote import LoadedFile

Verdict = Literal["callable", "change", "refused"]

HEAVY_SECONDS: Final = 0.2
HEAVY_SHARE: Final = 0.4
"""From when on a package is worth a word: so many seconds, and such a share of its file's import."""

_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
_PLACE = re.compile(r"(/\S+):(\d+)$")


@dataclass(frozen=True)
class Finding:
    """One thing about a DAG or a file. `file` is relative to the folder; `fix` is empty where there is nothing to do."""

    file: str
    line: int
    what: str
    fix: str = ""
    task_id: str | None = None


@dataclass(frozen=True)
class DagReport:
    """`stands_in_the_way` is empty exactly when the verdict is `callable`; `advice` never stands in the way."""

    dag_id: str
    file: str
    line: int
    verdict: Verdict
    results: Sequence[str] = ()
    stands_in_the_way: Sequence[Finding] = ()
    advice: Sequence[Finding] = ()


@dataclass(frozen=True)
class FileReport:
    """`seconds`: of its import, beyond what a server has loaded already. `dearest`: packages and their share of it."""

    file: str
    seconds: float
    dags: Sequence[str]
    errors: Sequence[Finding] = ()
    dearest: Sequence[tuple[str, float]] = ()
    not_forked: Sequence[Finding] = ()
    advice: Sequence[Finding] = ()


@dataclass(frozen=True)
class Report:
    folder: str
    airflow: str
    dags: Sequence[DagReport] = ()
    files: Sequence[FileReport] = ()
    summary: dict[str, float] = field(default_factory=dict)

    @property
    def is_well(self) -> bool:
        """Every DAG is callable as it is, and every file imports."""
        return all(one.verdict == "callable" for one in self.dags) and not any(one.errors for one in self.files)


def make(folder: str, airflow: str, loaded: Sequence[LoadedFile], source_of: Callable[[str], str]) -> Report:
    """`source_of`: what stands in a file, by its absolute path; empty where it cannot be read."""
    folder = os.path.realpath(folder)
    dags: list[DagReport] = []
    files: list[FileReport] = []
    for one in sorted(loaded, key=lambda file: file.path):
        places = Places(source_of(one.path))
        file = os.path.relpath(one.path, folder)
        files.append(_file(folder, file, one))
        dags += [_dag(plan, file, places) for _, plan in sorted(one.plans.items())]
    verdicts = Counter(dag.verdict for dag in dags)
    summary = {
        "dags": len(dags),
        "callable": verdicts["callable"],
        "change": verdicts["change"],
        "refused": verdicts["refused"],
        "files": len(files),
        "import_errors": sum(len(one.errors) for one in files),
        "not_forked": sum(bool(one.not_forked) for one in files),
        "import_seconds": round(sum(one.seconds for one in files), 3),
    }
    return Report(folder, airflow, dags, files, summary)


def _dag(plan: DagPlan, file: str, places: Places) -> DagReport:
    findings = []
    for one in plan.refusals:
        argument = "tags" if one.feature.startswith("tag ") else one.feature
        line = places.line(plan.dag_id, one.task_id, argument)
        fix = fixes.change(one.feature) or ""
        findings.append(Finding(file, line, f"{one.feature}: {one.reason}", fix, one.task_id))
    verdict: Verdict = "callable" if not findings else "change" if all(one.fix for one in findings) else "refused"
    return DagReport(
        plan.dag_id,
        file,
        places.line(plan.dag_id),
        verdict,
        plan.result_tasks,
        findings,
        list(_advice(plan, file, places)),
    )


def _advice(plan: DagPlan, file: str, places: Places) -> Iterator[Finding]:
    def finding(note: Note, fix: str = "") -> Finding:
        line = places.line(plan.dag_id, note.task_id, note.feature)
        return Finding(file, line, f"{note.feature} {note.text}", fix, note.task_id)

    for note in plan.notes:
        yield finding(note)
    for hint in plan.hints:
        yield finding(hint, fixes.HINTS.get(hint.feature, ""))
    for task in plan.tasks:
        if task.pool != DEFAULT_POOL:
            what = f"it takes a slot of the pool {task.pool!r}, and a server needs to know that pool"
            line = places.line(plan.dag_id, task.task_id, "pool")
            yield Finding(
                file, line, what, "Create it with `POST /api/v2/pools`, if the server does not have it.", task.task_id
            )


def _file(folder: str, file: str, loaded: LoadedFile) -> FileReport:
    advice = []
    for package, seconds in loaded.costs[:1]:
        share = seconds / loaded.seconds if loaded.seconds else 0.0
        if seconds >= HEAVY_SECONDS and share >= HEAVY_SHARE:
            advice.append(
                Finding(
                    file,
                    1,
                    f"its import takes {loaded.seconds:.2f} s",
                    fixes.HEAVY.format(package=package, share=share),
                )
            )
    return FileReport(
        file,
        round(loaded.seconds, 3),
        sorted(loaded.plans),
        [_error(folder, name, text) for name, text in loaded.errors],
        [(package, round(seconds, 3)) for package, seconds in loaded.costs],
        [_unforkable(folder, file, cause) for cause in loaded.unforkable],
        advice,
    )


def _error(folder: str, file: str, text: str) -> Finding:
    """The innermost line of the traceback that is in the folder; and the last line of the text, which says what it is."""
    inside = [
        (os.path.relpath(path, folder), int(line))
        for path, line in _FRAME.findall(text)
        if os.path.realpath(path).startswith(folder + os.sep)
    ]
    place, line = inside[-1] if inside else (file, 1)
    return Finding(place, line, text.strip().rpartition("\n")[2])


def _unforkable(folder: str, file: str, cause: str) -> Finding:
    place = _PLACE.search(cause)
    if place and place[1].startswith(folder + os.sep):
        return Finding(os.path.relpath(place[1], folder), int(place[2]), cause, fixes.NOT_FORKED)
    return Finding(file, 1, cause, fixes.NOT_FORKED)
