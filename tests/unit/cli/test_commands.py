"""The other commands, against answers in the shapes of the server's API."""

import json
import shlex
import sys
from dataclasses import dataclass
from types import ModuleType

import httpx
import pytest

from dagcall import __version__, errors
from dagcall.cli.exits import Exit, exit_code

from .conftest import page

RUN = {"dag_id": "d", "dag_run_id": "r1", "state": "failed", "run_after": "2026-01-01T00:00:00Z", "duration": 1.25}
TASKS = [
    {"task_id": "a", "map_index": -1, "state": "success", "try_number": 1, "start_date": "t", "duration": 0.5},
    {"task_id": "b", "map_index": 0, "state": "failed", "try_number": 2, "start_date": "t", "duration": 0.5},
    {"task_id": "b", "map_index": 1, "state": None, "try_number": 0, "start_date": None, "duration": None},
]
RUN_PATH = "GET /api/v2/dags/d/dagRuns/r1"


def test_dags_lists_and_is_the_default_action(dagcall):
    rows = [{"dag_id": "d", "callable": True, "result_tasks": ["a", "b"], "description": None}]
    dagcall.answers["GET /call"] = httpx.Response(200, json={"dags": rows})
    assert dagcall("dags") == dagcall("dags", "list") == 0
    assert dagcall.out.splitlines() == ["DAG ID  CALLABLE  RESULT TASKS  DESCRIPTION", "d       true      a, b"]
    assert dagcall("dags", "-o", "json") == 0
    assert json.loads(dagcall.out) == rows


def test_dags_show(dagcall):
    dagcall.answers["GET /call/d"] = httpx.Response(200, json={"dag_id": "d", "params_schema": {"type": "object"}})
    assert dagcall("dags", "show", "d") == 0
    assert json.loads(dagcall.out)["params_schema"] == {"type": "object"}
    assert dagcall("dags", "show", "other") == 3


def test_dags_check_asks_the_server_for_refused_and_broken_ones(dagcall):
    feature = {"task_id": "t", "feature": "run_as_user", "reason": "not supported"}
    dagcall.answers["GET /call"] = httpx.Response(
        200,
        json={
            "dags": [{"dag_id": "fine", "callable": True}, {"dag_id": "bad", "callable": False, "features": [feature]}]
        },
    )
    broken = {"import_error_id": 1, "filename": "x.py", "stack_trace": "Traceback\nNameError: y\n"}
    dagcall.answers["GET /api/v2/importErrors"] = page("import_errors", [broken])
    assert dagcall("dags", "check", "-o", "json") == 1
    found = [(row["kind"], row["dag_id"], row["reason"]) for row in json.loads(dagcall.out)]
    assert found == [("ok", "fine", None), ("refused", "bad", "not supported"), ("import-error", None, "NameError: y")]
    assert "2 of 3" in dagcall.err


@dataclass
class Row:
    dag_id: str | None
    file: str
    task_id: str | None
    feature: str | None
    reason: str | None
    kind: str


@pytest.mark.parametrize("kind, code", [("ok", 0), ("note", 0), ("refused", 1), ("import-error", 1)])
def test_dags_check_of_a_folder_is_local(dagcall, monkeypatch, tmp_path, kind, code):
    module = ModuleType("dagcall.check")
    module.check_folder = lambda folder: [Row("d", "d.py", "t", "f", str(folder), kind)]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dagcall.check", module)
    assert dagcall("dags", "check", str(tmp_path)) == code
    assert dagcall.out.splitlines()[1].split() == [kind, "d", "t", "f", str(tmp_path), "d.py"]
    assert dagcall.requests == []
    assert dagcall("dags", "check", str(tmp_path / "nowhere")) == 2


def test_runs_list_pages_over_all_dags(dagcall):
    dagcall.answers["GET /api/v2/dags/~/dagRuns"] = page("dag_runs", [RUN], total=9)
    assert dagcall("runs", "list", "--state", "failed", "--state", "success", "--limit", "1", "--offset", "2") == 0
    query = dagcall.requests[0].url.params
    assert (query["limit"], query["offset"], query["order_by"]) == ("1", "2", "-run_after")
    assert query.get_list("state") == ["failed", "success"]
    assert dagcall.out.splitlines()[1] == "d       r1          failed  2026-01-01T00:00:00Z  1.25"
    assert "3 of 9" in dagcall.err


def test_runs_list_of_one_dag(dagcall):
    dagcall.answers["GET /api/v2/dags/d/dagRuns"] = page("dag_runs", [RUN])
    assert dagcall("runs", "list", "d", "-o", "json") == 0
    assert json.loads(dagcall.out) == [RUN]
    assert dagcall.err == ""


def test_runs_show(dagcall):
    dagcall.answers[RUN_PATH] = httpx.Response(200, json=RUN)
    dagcall.answers[f"{RUN_PATH}/taskInstances"] = page("task_instances", TASKS)
    parts = {"queue": 0.0, "worker": 1.5, "task": 20.25, "journal": 0.125, "wait": 0.0}
    step = {"task_id": "a", "map_index": -1, "try_number": 1, "ms": parts}
    went = {"ms": {"total": 21.875, **parts}, "critical_path": [step]}
    dagcall.answers["GET /call/d/r1/critical-path"] = httpx.Response(200, json={"dag_id": "d"} | went)
    assert dagcall("runs", "show", "d", "r1") == 0
    assert "b        0          failed   2" in dagcall.out
    assert "a        -1         1           0      1.5     20.25  0.125    0" in dagcall.out
    assert dagcall("runs", "show", "d", "r1", "-o", "json") == 0
    assert json.loads(dagcall.out) == RUN | {"task_instances": TASKS} | went
    assert dagcall("runs", "show", "d", "other") == 3


def test_runs_attach_is_the_second_half_of_call(dagcall):
    dagcall.answers["GET /call/d/r1"] = httpx.Response(200, json=[1])
    assert dagcall("runs", "attach", "d", "r1", "--wait", "5") == 0
    assert dagcall.out == "[1]\n"


@pytest.mark.parametrize("status, was_running", [(202, True), (200, False)])
def test_runs_cancel(dagcall, status, was_running):
    dagcall.answers["DELETE /call/d/r1"] = httpx.Response(status)
    assert dagcall("runs", "cancel", "d", "r1", "-o", "json") == 0
    assert json.loads(dagcall.out)["cancelled"] is was_running
    assert dagcall("runs", "cancel", "d", "unknown") == 3


def test_runs_logs_of_every_task_that_started(dagcall):
    message = {
        "timestamp": "2026-01-01T00:00:00Z",
        "level": "error",
        "event": "Task failed",
        "error_detail": [
            {"exc_type": "KeyError", "exc_value": "'x'", "frames": [{"filename": "d.py", "lineno": 3, "name": "f"}]}
        ],
    }
    pages = {None: ([message], "next"), "next": (["a plain line"], "again"), "again": ([], "again")}

    def log_of_b(request: httpx.Request) -> httpx.Response:
        assert request.url.params["map_index"] == "0"
        content, token = pages[request.url.params.get("token")]
        return httpx.Response(200, json={"content": content, "continuation_token": token})

    dagcall.answers[f"{RUN_PATH}/taskInstances"] = page("task_instances", TASKS)
    dagcall.answers[f"{RUN_PATH}/taskInstances/a/logs/1"] = httpx.Response(
        200, json={"content": ["hello"], "continuation_token": None}
    )
    dagcall.answers[f"{RUN_PATH}/taskInstances/b/logs/2"] = log_of_b
    assert dagcall("runs", "logs", "d", "r1") == 0
    assert dagcall.out.splitlines() == [
        "==> a try 1 <==",
        "hello",
        "==> b[0] try 2 <==",
        "2026-01-01T00:00:00Z ERROR Task failed",
        '    File "d.py", line 3, in f',
        "    KeyError: 'x'",
        "a plain line",
    ]
    assert dagcall("runs", "logs", "d", "r1", "a") == 0
    assert dagcall.out == "hello\n"
    assert dagcall("runs", "logs", "d", "r1", "nothing") == 3
    assert dagcall("runs", "logs", "d", "r1", "b", "--map-index", "7") == 3


def test_doctor_reports_without_a_server(dagcall):
    dagcall.answers["GET /api/v2/version"] = httpx.ConnectError("refused")
    assert dagcall("doctor", "-o", "json") in (0, 1)
    rows = {row["check"]: row for row in json.loads(dagcall.out)}
    assert {
        "python",
        "airflow",
        "AIRFLOW_HOME",
        "metadata database",
        "cpus",
        "memory",
        "/dev/shm",
        "pidfd",
        "server",
    } <= rows.keys()
    assert rows["python"]["status"] == "ok"
    assert rows["server"]["status"] == "warn"
    assert "refused" in rows["server"]["found"]


@pytest.mark.parametrize(
    ("environment", "access", "journal"),
    [
        ({}, ("ok", "auth = none"), "made by the first start"),
        ({"AIRFLOW__DAGCALL__HOST": "0.0.0.0"}, ("fail", "no loopback address"), "made by the first start"),
        (
            {"AIRFLOW__DAGCALL__JOURNAL": "postgresql://me:geheim@db/runs"},
            ("ok", "auth = none"),
            "postgresql://db/runs",
        ),
    ],
)
def test_doctor_tells_who_is_let_in_and_where_runs_are_kept(
    dagcall, monkeypatch, tmp_path, environment, access, journal
):
    for name, value in {"AIRFLOW_HOME": str(tmp_path), **environment}.items():
        monkeypatch.setenv(name, value)
    dagcall("doctor", "-o", "json")
    rows = {row["check"]: row for row in json.loads(dagcall.out)}
    assert rows["access"]["status"] == access[0]
    assert access[1] in rows["access"]["found"]
    assert journal in rows["journal"]["found"]
    assert "geheim" not in dagcall.out


def test_doctor_reports_an_impossible_home(dagcall, monkeypatch, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("AIRFLOW_HOME", str(home))
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert dagcall("doctor") == 1
    assert "cannot be written to" in dagcall.out


def test_doctor_asks_a_server_for_its_health(dagcall):
    dagcall.answers |= {
        "GET /api/v2/version": httpx.Response(200, json={"version": "3.3.2"}),
        "GET /api/v2/monitor/health": httpx.Response(200, json={"scheduler": {"status": "unhealthy"}}),
        "GET /call": httpx.Response(200, json={"dags": [{"dag_id": "d", "callable": False}]}),
    }
    dagcall("doctor", "-o", "json")
    rows = {row["check"]: row for row in json.loads(dagcall.out)}
    assert rows["server"]["status"] == "ok"
    assert rows["health"] == {"check": "health", "status": "warn", "found": "scheduler unhealthy"}
    assert rows["dags"]["found"] == "0 of 1 can be called"


def test_version(dagcall, capsys):
    assert dagcall("version") == 0
    assert dagcall.out.startswith(f"dagcall {__version__} python 3.")
    with pytest.raises(SystemExit) as leaving:
        dagcall("--version")
    assert leaving.value.code == 0
    assert __version__ in capsys.readouterr().out


class Serving(ModuleType):
    def __init__(self) -> None:
        super().__init__("dagcall.server.serve")
        self.options: dict[str, object] = {}

    def serve(self, **options: object) -> int:
        self.options = options
        return 0


def test_serve_hands_its_options_over(dagcall, monkeypatch, tmp_path):
    module = Serving()
    monkeypatch.setitem(sys.modules, "dagcall.server", ModuleType("dagcall.server"))
    monkeypatch.setitem(sys.modules, "dagcall.server.serve", module)
    assert dagcall("serve") == 0
    unsaid = dict.fromkeys(("dags_folder", "workers", "journal", "durability", "on_restart", "memory"))
    assert module.options == {"host": "127.0.0.1", "port": 8274, "share_port": False, "log_format": "text"} | unsaid
    assert dagcall("serve", str(tmp_path), "--port", "0", "--workers", "3", "--journal", "memory:") == 0
    assert module.options["dags_folder"] == str(tmp_path)
    assert (module.options["port"], module.options["workers"], module.options["journal"]) == (0, 3, "memory:")
    assert dagcall("serve", "--durability", "power", "--on-restart", "fail") == 0
    assert (module.options["durability"], module.options["on_restart"]) == ("power", "fail")
    assert dagcall("serve", "--memory", "600", "--share-port") == 0
    assert (module.options["memory"], module.options["share_port"]) == (600 << 20, True)
    assert dagcall("serve", str(tmp_path / "nowhere")) == 2


def test_every_error_but_a_bug_has_an_exit_code_of_its_own():
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.DagcallError)]
    without = {kind.__name__ for kind in kinds if exit_code(kind()) is Exit.BUG}
    assert without == {"DagcallError", "InternalError", "Problem", "RolledBack"}  # the last: no command uses `chunks`


@pytest.mark.parametrize("arguments", ["--workers 0", "--port 70000", "--port x"])
def test_serve_refuses_impossible_numbers(dagcall, arguments):
    with pytest.raises(SystemExit) as leaving:
        dagcall("serve", *shlex.split(arguments))
    assert leaving.value.code == 2


def test_a_missing_extra_is_told_with_the_command_that_helps(dagcall, monkeypatch, tmp_path):
    class Missing:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "dagcall.server":
                raise ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn")
            if name == "dagcall.check":
                raise ModuleNotFoundError("No module named 'msgspec'", name="msgspec")

    for name in ("dagcall.server", "dagcall.server.serve", "dagcall.check"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    assert dagcall("serve") == 2
    assert "needs uvicorn" in dagcall.err
    assert "pip install 'dagcall[server]'" in dagcall.err
    assert dagcall("dags", "check", str(tmp_path)) == 2
    assert "needs msgspec" in dagcall.err


@pytest.mark.parametrize(
    "words, expected",
    [
        ("", {"serve", "call", "dags", "runs", "journal", "token", "doctor", "version", "completion"}),
        ("d", {"dags", "doctor"}),
        ("runs ''", {"list", "show", "attach", "cancel", "logs"}),
        ("runs logs --t", {"--try"}),
        ("call ''", {"one", "two"}),
        ("call --wait 5 o", {"one"}),
        ("call one -o ''", {"json", "table"}),
        ("call one ''", set()),
        ("completion z", {"zsh"}),
    ],
)
def test_completion_offers_what_may_come_next(dagcall, words, expected):
    dagcall.answers["GET /call"] = httpx.Response(200, json={"dags": [{"dag_id": "one"}, {"dag_id": "two"}]})
    assert dagcall("__complete", *(shlex.split(words) or [""])) == 0
    assert set(dagcall.out.split()) == expected


def test_completion_without_a_server_offers_nothing(dagcall):
    dagcall.answers["GET /call"] = errors.Loading()
    assert dagcall("__complete", "call", "") == 0
    assert (dagcall.out, dagcall.err) == ("", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_ask_the_command_itself(dagcall, shell):
    assert dagcall("completion", shell) == 0
    assert "dagcall __complete" in dagcall.out


@pytest.mark.parametrize("command", ["", "serve", "call", "dags", "dags check", "runs", "runs logs", "completion"])
def test_every_help_has_examples(dagcall, capsys, command):
    with pytest.raises(SystemExit) as leaving:
        dagcall(*command.split(), "--help")
    assert leaving.value.code == 0
    assert "examples:" in capsys.readouterr().out


def test_a_bug_is_told_apart_from_a_failed_run(dagcall):
    dagcall.answers["GET /call"] = httpx.Response(200, json={"unexpected": 1})
    assert dagcall("dags") == 70
    assert "report it" in dagcall.err


def test_tokens_are_made_listed_and_revoked(dagcall, monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW__DAGCALL__TOKENS", str(tmp_path / "tokens.json"))
    assert dagcall("token", "create", "shop") == 2
    assert "needs a scope" in dagcall.err
    assert dagcall("token", "create", "shop", "--call", "order_*", "--read", "*", "--expires", "2d") == 0
    secret = dagcall.out.strip()
    assert secret.startswith("dagcall_")
    assert dagcall("token", "create", "shop", "--admin") == 2
    assert dagcall("token", "list", "-o", "json") == 0
    [row] = json.loads(dagcall.out)
    assert (row["name"], row["call"], row["read"]) == ("shop", "order_*", "*")
    assert secret not in dagcall.out
    assert dagcall("token", "revoke", "shop") == 0
    assert dagcall("token", "revoke", "shop") == 3
