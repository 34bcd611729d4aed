"""What a coordinator is told when it is made; Airflow's settings come later, with its processes."""

from dataclasses import dataclass

from dagcall.metadata_database import NONE, MetadataDatabase
from dagcall.model.survival import Durability, OnRestart


@dataclass(frozen=True)
class CoordinatorSettings:
    """`folder`: None: Airflow's DAG bundles. `durability`, `on_restart`: None is what Airflow's settings say.
    `kept_runs`: ended runs kept in memory. `watch`: follow changes of the folder. `ephemeral_results`: the folder of
    stored values that end with the server."""

    folder: str | None
    database: MetadataDatabase = NONE
    durability: Durability | None = None
    on_restart: OnRestart | None = None
    kept_runs: int = 500
    watch: bool = True
    resume: bool = True
    ephemeral_results: str | None = None
