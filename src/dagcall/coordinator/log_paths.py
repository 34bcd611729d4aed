"""Where the log of a try is: Airflow's default `[logging] log_filename_template`."""

from dagcall.model.ids import RunKey


def log_path(base: str, key: RunKey, task_id: str, map_index: int, try_number: int) -> str:
    mapped = f"/map_index={map_index}" if map_index >= 0 else ""
    return f"{base}/dag_id={key.dag_id}/run_id={key.run_id}/task_id={task_id}{mapped}/attempt={try_number}.log"
