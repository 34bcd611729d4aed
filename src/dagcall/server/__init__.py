"""The HTTP server: `/call` (DAGs as functions) and `/api/v2` (Airflow-compatible), over one `CoordinatorView`.

Guarantees the surface: what is asked, and how each outcome and each error looks on the wire. Authoritative on nothing
about runs: whatever it shows it reads from the coordinator. It runs no user code and does not import Airflow.

Where to look: `app` puts it together, `guard` stands in front of everything, `routes` is the one table of what there
is, `calls` and `answers` are `/call`, `streams` its events, the folder `api_v2` has one module per noun of Airflow's.
"""
