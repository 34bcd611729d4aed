"""Tasks that let go of their worker until a file exists."""

from pathlib import Path
from typing import Any

from airflow.providers.standard.triggers.file import FileTrigger
from airflow.sdk import BaseOperator, Context, Param, PokeReturnValue, dag, result, task


class UntilFile(BaseOperator):
    """Returns what the file holds, and the try in which it did."""

    def execute(self, context: Context) -> None:
        path = context["params"]["file"]
        self.defer(trigger=FileTrigger(filepath=path, poke_interval=0.05), method_name="resume", kwargs={"path": path})

    def resume(self, context: Context, path: str, event: Any) -> list[Any]:
        return [Path(path).read_text(), event, context["ti"].try_number]


@dag(schedule=None, params={"file": Param("", type="string")})
def deferred_until_file() -> None:
    @result
    @task
    def last(found: list[Any]) -> list[Any]:
        return found

    last(UntilFile(task_id="until").output)  # type: ignore[arg-type]


@dag(schedule=None, params={"file": Param("", type="string")})
def rescheduled_until_file() -> None:
    @result
    @task.sensor(poke_interval=0.2, timeout=600, mode="reschedule")
    def until(params: dict[str, Any], ti: Any = None) -> PokeReturnValue:
        path = Path(params["file"])
        found = path.exists()
        return PokeReturnValue(found, xcom_value=[path.read_text(), ti.try_number] if found else None)

    until()


deferred_until_file()
rescheduled_until_file()
