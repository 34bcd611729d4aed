"""Airflow DAGs whose tasks are tried up to four times."""

from shapes import shapes

chain, wide, cleaned, deferred, failing = shapes("again", retries=3)
