"""Airflow DAGs whose tasks are tried once."""

from shapes import shapes

chain, wide, cleaned, deferred, failing = shapes("once", retries=0)
