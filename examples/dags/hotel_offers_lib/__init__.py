"""Hotel offers for a guest, from three real sources: a SQL database, an HTTP service and a file.

`database` asks the database, `rates` the HTTP service, `campaigns` reads the file; `scoring` says how well a hotel
suits a guest, and why, and `offers` puts it all together. `sample` makes the database and starts the service
(`rate_service`, a program of its own) where nobody has named others. All data is invented. What it needs beyond
`airflow.sdk`, Airflow's common SQL provider and httpx, comes with Airflow.
"""
