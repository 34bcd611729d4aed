"""`python -m dagcall.airflow_bridge.one_option SECTION KEY`: an option as Airflow has it, as a line of JSON.

For processes that import no Airflow and meet an option that only Airflow can tell: one in a secrets backend.
"""

import json
import sys

from airflow.sdk.configuration import conf

if __name__ == "__main__":
    section, key = sys.argv[1:]
    text = conf.get(section, key, fallback=None)
    sys.stdout.write("\n" + json.dumps(None if text is None else text.strip()) + "\n")
