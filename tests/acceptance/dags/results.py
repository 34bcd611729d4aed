"""Results that are not plain JSON, or too much of it."""

import decimal
import os
import pathlib

import pydantic
from airflow.sdk import Asset, ObjectStoragePath, dag, result, task

BLOCK = bytes(range(256)) * 4096


class Report(pydantic.BaseModel):
    title: str
    price: decimal.Decimal
    picture: bytes = b"PNG"


def _file(name: str, size: int) -> pathlib.Path:
    """No two of its megabytes are the same."""
    path = pathlib.Path(os.environ["AIRFLOW_HOME"], name)
    with path.open("wb") as file:
        for begin in range(0, size, len(BLOCK)):
            file.write((begin.to_bytes(8, "big") + BLOCK[8:])[: size - begin])
    return path


KINDS = {
    "text": lambda size: "é" * size,
    "bytes": lambda size: BLOCK[:size],
    "object": lambda size: ObjectStoragePath(f"file://{_file('object.csv', size)}"),
    "path": lambda size: _file("path.tar.gz", size),
    "open file": lambda size: _file("open.png", size).open("rb"),
    "no object": lambda size: ObjectStoragePath("file:///nowhere/x.txt"),
    "within": lambda size: {"n": 1, "all": [ObjectStoragePath(f"file://{_file('within', size)}")], "none": None},
    "model": lambda size: Report(title="x" * size, price=decimal.Decimal("1.10")),
    "asset": lambda size: Asset("report", uri="s3://bucket/report", extra={"rows": size}),
    "echo": lambda size: {"reference": {"uri": "file:///etc/passwd", "href": "/call/x/y/value", "size": size}},
}


@dag(schedule=None, params={"kind": "bytes", "size": 3})
def returns():
    @task
    def make(params):
        return KINDS[params["kind"]](params["size"])

    @task
    def read(value):
        """What a downstream task gets."""
        return [type(value).__name__, len(value) if hasattr(value, "__len__") else str(value)]

    made = make()
    read(made)
    return made


@dag(schedule=None)
def returns_many():
    @task
    def each(n):
        return b"%d" % n if n else None

    return each.expand(n=[0, 1, 2])


@dag(schedule=None)
def returns_two():
    @result
    @task
    def small():
        return 1

    @result
    @task
    def large():
        return [0.5] * 300_000

    @task
    def fails(value):
        raise ValueError("bytes are no XCom" if isinstance(value, bytes) else str(len(value)))

    small()
    fails(large())


@dag(schedule=None)
def returns_bytes_inside():
    """As in Airflow: a task whose value nobody asked for cannot return bytes."""

    @task
    def inner():
        return b"bytes"

    @task
    def outer(value):
        return str(value)

    return outer(inner())


@dag(schedule=None)
def returns_asset_and_value():
    @task(outlets=[Asset("order list", uri="s3://bucket/orders")])
    def make():
        return b"the value wins"

    return make()


returns()
returns_many()
returns_two()
returns_bytes_inside()
returns_asset_and_value()
