"""The pure core: given what happened to a run, what is to be done. No I/O, no clock, no randomness, no Airflow."""
