"""Changed, added, removed and broken files while calls go on."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from textwrap import dedent

import pytest

from dagcall.errors import DagBroken, DagNotFound
from dagcall.model.states import RunState

from ..serving import Serving, eventually

VALUE = """
from airflow.sdk import dag, task

@dag(dag_id="{dag_id}", schedule=None)
def build():
    @task
    def value():
        return {value!r}
    return value()

build()
"""


def replace(path: Path, text: str) -> None:
    """As editors and git do: all at once."""
    other = path.with_suffix(".new")
    other.write_text(dedent(text))
    os.replace(other, path)


def write_value(served: Serving, dag_id: str, value: object) -> Path:
    return served.write(f"{dag_id}.py", VALUE.format(dag_id=dag_id, value=value))


def wait_for_value(served: Serving, dag_id: str, value: object) -> None:
    eventually(lambda: served.call(dag_id) == value, f"{dag_id} gives {value!r}", served.errors)


def test_no_call_fails_while_a_file_is_rewritten(served: Serving) -> None:
    """Rewritten in place, so that it is empty for a moment each time; some versions do not import."""
    path = write_value(served, "rewritten", 0)
    served.wait_for_dag("rewritten")
    seen: list[int] = []
    problems: list[BaseException] = []
    done = threading.Event()

    def keep_calling() -> None:
        while not done.is_set():
            try:
                seen.append(served.call("rewritten"))
            except BaseException as problem:
                problems.append(problem)
                return

    callers = [threading.Thread(target=keep_calling) for _ in range(3)]
    for caller in callers:
        caller.start()
    try:
        for number in range(1, 21):
            before = len(seen)
            if number % 4 == 0:
                path.write_text("from airflow.sdk import dag\nraise RuntimeError('half done')\n")
                eventually(lambda before=before: problems or len(seen) > before + 5, "calls go on")
            write_value(served, "rewritten", number)
            eventually(lambda before=before: problems or len(seen) > before + 12, "calls go on")
        eventually(lambda: problems or seen[-1] == 20, "the last version serves")
    finally:
        done.set()
        for caller in callers:
            caller.join()
    assert not problems, problems
    assert len(seen) > 200
    assert "rewritten.py" not in served.errors()


def test_a_run_ends_with_the_code_it_began_with(served: Serving, tmp_path: Path) -> None:
    text = """
        import inspect
        from airflow.sdk import dag, task
        from slow_helper import VERSION

        @dag(schedule=None, params={{"go": ""}})
        def long_running():
            @task
            def wait(params):
                import os, time
                while not os.path.exists(params["go"]):
                    time.sleep(0.005)
                return "{version}"

            @task
            def later(first):
                import slow_lazy
                return [first, "{version}", VERSION, slow_lazy.VERSION, "{version}" in inspect.getsource(build)]

            return later(wait())

        def build():
            return "{version}"

        long_running()
        """
    served.write("slow_helper.py", "VERSION = 'old'")
    served.write("slow_lazy.py", "VERSION = 'old'")
    path = served.write("long_running.py", text.format(version="old"))
    served.wait_for_dag("long_running")
    go, gone = tmp_path / "go", tmp_path / "gone"
    gone.touch()
    old = served.start("long_running", {"go": str(go)})
    eventually(lambda: old.first_start is not None, "it runs")
    version = served.version("long_running")
    served.write("slow_helper.py", "VERSION = 'new'")
    served.write("slow_lazy.py", "VERSION = 'new'")
    replace(path, text.format(version="new"))
    eventually(
        lambda: served.call("long_running", {"go": str(gone)}) == ["new", "new", "new", "new", True], "new calls use it"
    )
    assert served.version("long_running") != version
    assert old.outcome is None
    go.touch()
    assert served.value_of(old) == ["old", "old", "old", "old", True]


@pytest.mark.parametrize("name", ["used.py", "package/inner.py", "lazily.py", "data.json", "query.sql"])
def test_whatever_a_file_reads_is_followed(served: Serving, name: str) -> None:
    """Same length, same second: neither time nor size tells the versions apart."""
    identity = name.replace("/", "_").replace(".", "_")
    use = {
        "used.py": "import used\nVALUE = lambda: used.VALUE",
        "package/inner.py": "from package.inner import VALUE as INNER\nVALUE = lambda: INNER",
        "lazily.py": "def VALUE():\n    import lazily\n    return lazily.VALUE",
        "data.json": "import json, pathlib\n"
        "DATA = json.loads((pathlib.Path(__file__).parent / 'data.json').read_text())\nVALUE = lambda: DATA",
        "query.sql": "VALUE = None",
    }[name]
    content = {".py": "VALUE = {}\n", ".json": "{}", ".sql": "{}"}[Path(name).suffix]
    served.write(name, content.format(1))
    if name == "query.sql":
        body = (
            "    class Query(BaseOperator):\n        template_fields = ('sql',)\n        template_ext = ('.sql',)\n"
            "        def execute(self, context):\n            return int(self.sql)\n"
            "    task_ = Query(task_id='value')\n    task_.sql = 'query.sql'\n    dag.add_result(task_.output)"
        )
    else:
        body = "    @task\n    def value():\n        return VALUE()\n    dag.add_result(value())"
    served.write(
        f"reads_{identity}.py",
        f"from airflow.sdk import DAG, BaseOperator, task\n{use}\n"
        f"with DAG('reads_{identity}', schedule=None) as dag:\n{body}\n",
    )
    served.wait_for_dag(f"reads_{identity}")
    for number in (1, 2, 3):
        served.write(name, content.format(number))
        wait_for_value(served, f"reads_{identity}", number)


def test_a_factory_follows_its_folder(served: Serving) -> None:
    served.write("names/one.txt", "1")
    served.write(
        "names_factory.py",
        """
        import os
        import plain_missing_module_is_not_needed as _ if False else os
        """
        if False
        else """
        import os
        from airflow.sdk import DAG
        from airflow.providers.standard.operators.empty import EmptyOperator

        folder = os.path.join(os.path.dirname(__file__), "names")
        for name in os.listdir(folder):
            with DAG("named_" + name.removesuffix(".txt"), schedule=None):
                EmptyOperator(task_id="only")
        """,
    )
    served.wait_for_dag("named_one")
    served.write("names/two.txt", "2")
    served.wait_for_dag("named_two")
    (served.folder / "names/one.txt").unlink()
    eventually(lambda: "named_one" not in served.dag_ids(), "it is gone")
    assert "named_two" in served.dag_ids()


def test_a_broken_rewrite_leaves_the_old_version_serving(served: Serving) -> None:
    path = write_value(served, "breaks", "good")
    served.wait_for_dag("breaks")
    assert served.call("breaks") == "good"
    replace(path, "from airflow.sdk import dag\n\ndef helper():\n    raise ValueError('no such table')\n\nhelper()\n")
    text = eventually(lambda: served.errors().get("breaks.py"), "the error shows")
    assert "Traceback (most recent call last):" in text
    assert text.strip().endswith("ValueError: no such table")
    assert served.call("breaks") == "good"
    write_value(served, "breaks", "better")
    wait_for_value(served, "breaks", "better")
    assert "breaks.py" not in served.errors()


def test_a_missing_module_is_waited_for(served: Serving) -> None:
    served.write("needs_module.py", "import module_to_come\n" + VALUE.format(dag_id="needs_module", value="found"))
    text = eventually(lambda: served.errors().get("needs_module.py"), "the error shows")
    assert text.strip().endswith("ModuleNotFoundError: No module named 'module_to_come'")
    with pytest.raises(DagBroken, match=r"needs_module\.py does not import: ModuleNotFoundError: No module named"):
        served.start("needs_module")
    served.write("module_to_come.py", "")
    eventually(lambda: "needs_module" in served.dag_ids(), "it is served", served.errors)
    assert served.call("needs_module") == "found"
    assert "needs_module.py" not in served.errors()


def test_a_removed_file_is_gone(served: Serving) -> None:
    path = write_value(served, "removed", 1)
    served.wait_for_dag("removed")
    path.unlink()
    eventually(lambda: "removed" not in served.dag_ids(), "it is gone")
    with pytest.raises(DagNotFound):
        served.start("removed")


def test_an_ignored_file_is_gone(served: Serving) -> None:
    served.write("to_ignore/one.py", VALUE.format(dag_id="to_ignore", value=1))
    served.wait_for_dag("to_ignore")
    ignore = served.write("to_ignore/.airflowignore", "*.py\n")
    eventually(lambda: "to_ignore" not in served.dag_ids(), "it is gone")
    ignore.unlink()
    served.wait_for_dag("to_ignore")


def test_two_files_with_one_dag_id(served: Serving) -> None:
    first = write_value(served, "twice", "first")
    served.wait_for_dag("twice")
    served.write("twice_again.py", VALUE.format(dag_id="twice", value="second"))
    text = eventually(lambda: served.errors().get("twice_again.py"), "the error shows")
    assert text == ("AirflowDagDuplicatedIdException: Ignoring DAG twice from twice_again.py - also found in twice.py")
    assert served.call("twice") == "first"
    first.unlink()
    wait_for_value(served, "twice", "second")
    assert "twice_again.py" not in served.errors()


BAD_IMPORTS = {
    "exits": ("raise SystemExit('enough')", "SystemExit: enough"),
    "exits_hard": ("import os; os._exit(3)", "the process that imported it ended itself with exit code 3 (os._exit?)"),
    "crashes": ("import ctypes; ctypes.string_at(0)", "the process that imported it was ended by SIGSEGV"),
    "kills_itself": (
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "the process that imported it was ended by SIGKILL",
    ),
    "hangs": ("import time; time.sleep(1000)", "dagbag import timeout"),
    "spins": ("while True: pass", "dagbag import timeout"),
    "no_syntax": ("def (", "SyntaxError: invalid syntax"),
    "cycle": (
        "from airflow.providers.standard.operators.empty import EmptyOperator as E\n"
        "from airflow.sdk import DAG\n"
        "with DAG('cycle', schedule=None):\n    a = E(task_id='a'); b = E(task_id='b'); a >> b >> a",
        "AirflowDagCycleException: Cycle detected in Dag: cycle",
    ),
    "unstoppable": (
        "import time\nwhile True:\n    try:\n        time.sleep(1000)\n    except BaseException:\n        pass",
        "it was not imported within 4 s and was ended",
    ),
}


def test_bad_imports_are_reported_and_harm_no_other(served: Serving) -> None:
    for name, (code, _) in BAD_IMPORTS.items():
        served.write(f"bad_{name}.py", f"# from airflow.sdk import DAG\n{code}\n".replace("'cycle'", "'cycle'"))
    began = time.monotonic()
    write_value(served, "beside_bad", 1)
    served.wait_for_dag("beside_bad")
    assert served.call("beside_bad") == 1
    assert time.monotonic() - began < 4, "a file that hangs delayed another"
    eventually(
        lambda: all(f"bad_{name}.py" in served.errors() for name in BAD_IMPORTS), "all are reported", served.errors
    )
    errors = served.errors()
    for name, (_, sentence) in BAD_IMPORTS.items():
        assert sentence.lower() in errors[f"bad_{name}.py"].lower(), (name, errors[f"bad_{name}.py"])
    with pytest.raises(DagBroken, match="invalid syntax"):
        served.start("bad_no_syntax")
    for name in BAD_IMPORTS:
        (served.folder / f"bad_{name}.py").unlink()
    eventually(lambda: not any(path.startswith("bad_") for path in served.errors()), "all are forgotten")


def test_a_killed_loader_says_nothing_about_its_file(served: Serving, tmp_path: Path) -> None:
    """The kernel may kill it when memory is short. Nothing changes afterwards that would have the file parsed again."""
    killed = tmp_path / "killed"
    ends = f"import os\nif not os.path.exists({str(killed)!r}):\n    open({str(killed)!r}, 'x').close()\n    os.kill(os.getpid(), 9)\n"
    served.write("killed_once.py", ends + VALUE.format(dag_id="killed_once", value=1))
    served.wait_for_dag("killed_once")
    assert killed.exists()
    assert served.call("killed_once") == 1


def test_versions_name_content(served: Serving) -> None:
    path = write_value(served, "versioned", 1)
    served.wait_for_dag("versioned")
    first = served.version("versioned")
    write_value(served, "versioned", 2)
    eventually(lambda: served.version("versioned") != first, "it has another version")
    write_value(served, "versioned", 1)
    eventually(lambda: served.version("versioned") == first, "it has its first version again")
    os.utime(path)
    assert served.version("versioned") == first


def test_a_finished_old_version_leaves_no_process(served: Serving) -> None:
    write_value(served, "leaves", 1)
    served.wait_for_dag("leaves")
    run = served.start("leaves")
    assert served.value_of(run) == 1
    eventually(lambda: run.head.state is RunState.SUCCESS, "it has ended")
    for number in range(2, 6):
        write_value(served, "leaves", number)
        wait_for_value(served, "leaves", number)
    codes = served.coordinator._workers._codes  # type: ignore[attr-defined]
    eventually(
        lambda: len([code for code in codes if code.path.endswith("leaves.py") and code.zygote is not None]) == 1,
        "one version has processes",
    )


REWRITTEN = """
from pathlib import Path
from airflow.sdk import dag

source = Path(__file__)
source.write_text(source.read_text().replace("first", "second"))

@dag(schedule=None)
def first(): ...

first()
"""
PARSE = """
import sys
from dagcall.airflow_bridge.loader import parse_file

parsed = parse_file(sys.argv[1], sys.argv[2], {})
assert list(parsed.dags) == ["first"], parsed.errors
now = parse_file(sys.argv[1], sys.argv[2], {})
assert parsed.version not in (sys.argv[3], now.version)
(own,) = [one for one in parsed.dependencies if one.path == sys.argv[2]]
assert own.mark != sys.argv[3] and own.mark.startswith("changed while it was imported"), own
"""


def test_a_file_that_changes_while_it_is_imported_is_no_version_that_there_was(tmp_path: Path) -> None:
    """Else a process could be taken for one of the version before, or after, and not have its DAGs."""
    path = tmp_path / "changing.py"
    path.write_text(REWRITTEN)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    command = [sys.executable, "-c", PARSE, str(tmp_path), str(path), before]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert finished.returncode == 0, finished.stderr
