"""`[operators] default_deferrable`."""

from airflow.providers.standard.sensors.filesystem import FileSensor
from airflow.sdk import Param, dag


@dag(schedule=None, params={"file": Param("", type="string")})
def by_default():
    FileSensor(task_id="t", filepath="{{ params.file }}", poke_interval=0.05)


by_default()
