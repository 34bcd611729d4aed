"""A DAG bundle with versions, as of git: copied from a folder that a Connection names, when it is refreshed."""

import shutil
from pathlib import Path

from airflow.dag_processing.bundles.base import BaseDagBundle, BundleVersion
from airflow.sdk import Connection


class ShelfDagBundle(BaseDagBundle):
    supports_versioning = True

    def __init__(self, *, conn_id: str, **kwargs):
        super().__init__(**kwargs)
        self._conn_id = conn_id

    @property
    def path(self) -> Path:
        return self.base_dir / "copy"

    def initialize(self) -> None:
        self.refresh()
        super().initialize()

    def refresh(self) -> None:
        connection = Connection.get(self._conn_id)
        source = Path(connection.extra_dejson["folder"])
        if not source.is_dir():
            raise RuntimeError(f"cannot read shelf://reader:{connection.password}@{source}")
        with self.lock():
            shutil.rmtree(self.path, ignore_errors=True)
            shutil.copytree(source, self.path)

    def get_current_version(self) -> BundleVersion:
        return BundleVersion((self.path / "VERSION").read_text().strip())
