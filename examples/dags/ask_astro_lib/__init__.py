"""Question answering over the documentation inside the installed Airflow: offline and deterministic.

`corpus` reads the documentation, `index` finds passages in it, `language` is all that knows English or Airflow's
vocabulary, and `answers` merges, checks and quotes what was found. Everything here is a pure function of its arguments
and of the installed files. The only package it needs, PyYAML, comes with Airflow.
"""
