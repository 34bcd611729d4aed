"""Who has the worker next, and where the time to an answer went."""

from pathlib import Path
from typing import Any

from .conftest import ServerFactory
from .serving import Server, eventually


def test_what_the_answer_waits_for_goes_first_then_the_nearest_deadline(serve: ServerFactory, tmp_path: Path) -> None:
    server = serve(workers=1)
    answer = server.call("answer_between_side_branches")
    assert answer.json() == 3
    path = answer.headers["Location"]
    eventually(lambda: server.run_state(path) == "success", 15, "the end of the run")
    begun = starts(server, path)
    assert [task_id for task_id, _ in sorted(begun.items(), key=lambda one: one[1])][:3] == [
        "root",
        "between",
        "answer",
    ]

    waited = server.http.get(f"{path}/critical-path").json()
    assert [step["task_id"] for step in waited["critical_path"]] == ["root", "between", "answer"]
    parts = {name: value for name, value in waited["ms"].items() if name != "total"}
    assert set(parts) == {"queue", "worker", "task", "journal", "wait"}
    assert abs(sum(parts.values()) - waited["ms"]["total"]) < 0.01
    assert parts["task"] > 0
    assert parts["journal"] > 0

    file = tmp_path / "go"
    server.start("holds_the_worker", file=str(file))
    paths = {
        timeout: server.http.post(
            f"/call/holds_the_worker{timeout}", json={}, headers={"Prefer": "respond-async"}
        ).headers["Location"]
        for timeout in ("", "?timeout=300", "?timeout=200", "?timeout=100")
    }
    file.touch()
    values = {timeout: server.http.get(path, params={"wait": 30}).json() for timeout, path in paths.items()}
    assert sorted(values, key=values.__getitem__) == ["?timeout=100", "?timeout=200", "?timeout=300", ""]


def starts(server: Server, path: str) -> dict[str, Any]:
    _, _, dag_id, run_id = path.split("/")
    found = server.http.get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances").json()
    return {one["task_id"]: one["start_date"] for one in found["task_instances"]}
