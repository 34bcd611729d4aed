"""The report over a folder, from what was loaded of it."""

import pytest

from dagcall.cli.doctor_folder import lines
from dagcall.doctor import report
from dagcall.doctor.fixes import CHANGES, REFUSED
from dagcall.model.plan import DagPlan, Refusal, TaskPlan
from dagcall.workers.file_zygote import LoadedFile

TRACEBACK = """Traceback (most recent call last):
  File "/usr/lib/python/importlib.py", line 7, in load
  File "/dags/broken.py", line 3, in <module>
    import helper
  File "/dags/helper.py", line 9, in <module>
    1 / 0
ZeroDivisionError: division by zero"""


def plan(dag_id: str, *refusals: Refusal, pool: str = "default_pool") -> DagPlan:
    task = TaskPlan("t", is_result=True, pool=pool)
    return DagPlan(dag_id, "v", f"/dags/{dag_id}.py", f"{dag_id}.py", (task,), refusals=refusals)


def loaded(plan: DagPlan | None = None, **more: object) -> LoadedFile:
    plans = {} if plan is None else {plan.dag_id: plan}
    path = more.pop("path", f"/dags/{plan.dag_id if plan else 'broken'}.py")
    known: dict[str, object] = {"errors": [], "dependencies": [], "seconds": 1.0}
    return LoadedFile(path, "v", plans, **known | more)  # type: ignore[arg-type]


def made(*files: LoadedFile) -> report.Report:
    return report.make("/dags", "3.3.2", files, lambda path: "")


def test_verdicts() -> None:
    fixable, forbidden = (Refusal("t", name, "why") for name in ("executor", "run_as_user"))
    found = made(
        loaded(plan("fine", pool="gpu")), loaded(plan("almost", fixable)), loaded(plan("never", fixable, forbidden))
    )
    assert [(dag.dag_id, dag.verdict) for dag in found.dags] == [
        ("almost", "change"),
        ("fine", "callable"),
        ("never", "refused"),
    ]
    (almost,) = found.dags[0].stands_in_the_way
    assert (almost.what, almost.fix, almost.task_id) == ("executor: why", CHANGES["executor"], "t")
    assert "'gpu'" in found.dags[1].advice[0].what
    assert not found.is_well
    assert made(loaded(plan("fine"))).is_well
    printed = "\n".join(lines(found))
    assert "almost.py:1: task 't': executor: why" in printed
    assert printed.endswith(
        "3 DAGs: 1 callable as is, 1 with a change, 1 refused; 3 files, 0 import errors (Airflow 3.3.2)"
    )


def test_an_import_error_is_where_the_folder_is_left() -> None:
    (file,) = made(loaded(errors=[("broken.py", TRACEBACK)])).files
    assert [(one.file, one.line, one.what) for one in file.errors] == [
        ("helper.py", 9, "ZeroDivisionError: division by zero")
    ]
    (file,) = made(loaded(errors=[("broken.py", "it takes too long")])).files
    assert [(one.file, one.line) for one in file.errors] == [("broken.py", 1)]


@pytest.mark.parametrize(
    ("seconds", "costs", "is_heavy"),
    [
        (2.0, (("torch", 1.5),), True),
        (2.0, (("torch", 0.5),), False),
        (0.1, (("torch", 0.1),), False),
        (0.0, (), False),
    ],
)
def test_a_package_that_dominates_is_named(
    seconds: float, costs: tuple[tuple[str, float], ...], is_heavy: bool
) -> None:
    (file,) = made(loaded(plan("d"), seconds=seconds, costs=costs)).files
    assert [("`torch`" in one.fix and "75%" in one.fix) for one in file.advice] == [True] * is_heavy


def test_what_stands_in_the_way_of_forking_has_its_place() -> None:
    causes = ("thread 'poll' was started at /dags/d.py:12", "`import grpc` started threads")
    (file,) = made(loaded(plan("d"), unforkable=causes)).files
    assert [(one.file, one.line) for one in file.not_forked] == [("d.py", 12), ("d.py", 1)]
    assert made(loaded(plan("d"), unforkable=causes)).summary["not_forked"] == 1


def test_no_refusal_is_both() -> None:
    assert not REFUSED & CHANGES.keys()
