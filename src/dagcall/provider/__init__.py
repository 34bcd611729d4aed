"""What an Airflow deployment gets from `pip install dagcall`: an Airflow provider.

Runs in Airflow's processes, never in the server's: `[dagcall]` in `airflow.cfg` and `airflow dagcall ...`
(`get_provider_info`, `commands`). It is a client of the server and nothing more: it imports Airflow's public parts,
`dagcall.client` and the table of options. `airflow` imports `get_provider_info` at every start, so that brings nothing
that costs time.
"""
