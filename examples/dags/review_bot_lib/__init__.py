"""What the release notes inside the installed packages say on a topic: offline and deterministic.

`release_notes` reads them, `kinds` tells a fix from a feature, `index` finds the notes on a topic and compares them,
`digest` chooses what to quote, and `wording` says it. Everything here is a pure function of its arguments and of the
installed files. The packages it needs, markdown-it-py and python-dateutil, come with Airflow.
"""
