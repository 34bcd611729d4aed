"""The store's filesystem, and how Airflow gets it."""

import os
import shutil

from fsspec import AbstractFileSystem

schemes = ["shelf"]


def get_fs(conn_id, storage_options=None):
    from airflow.sdk import Connection

    return ShelfFileSystem(Connection.get(conn_id).extra_dejson["folder"])


class ShelfFileSystem(AbstractFileSystem):
    protocol = "shelf"
    cachable = False

    def __init__(self, folder=None, **options):
        super().__init__(**options)
        self._folder = folder

    def _real(self, path):
        return os.path.join(self._folder, self._strip_protocol(path).lstrip("/"))

    def _open(self, path, mode="rb", **options):
        return open(self._real(path), mode)

    def info(self, path, **options):
        found = os.stat(self._real(path))
        kind = "directory" if os.path.isdir(self._real(path)) else "file"
        return {"name": self._strip_protocol(path), "size": found.st_size, "type": kind}

    def ls(self, path, detail=True, **options):
        names = [f"{self._strip_protocol(path)}/{name}" for name in os.listdir(self._real(path))]
        return [self.info(name) for name in names] if detail else names

    def mkdir(self, path, create_parents=True, **options):
        os.makedirs(self._real(path))

    def makedirs(self, path, exist_ok=False):
        os.makedirs(self._real(path), exist_ok=exist_ok)

    def rm(self, path, recursive=False, maxdepth=None):
        shutil.rmtree(self._real(path))
