"""Values: ids, states, plan, events, commands, records.

The floor of the package: standard library only, nothing here does I/O, reads a clock or knows Airflow.
"""
