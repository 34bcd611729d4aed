"""Airflow's public API, as far as it exists here: one module per noun, field names and statuses as in Airflow 3.3.

What is not supported answers 501 with a sentence that says so; a filter that is not known is not ignored, because the
answer would then be wrong.
"""
