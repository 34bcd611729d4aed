"""docs/api-compatibility.md is what the two OpenAPI documents and the table of reasons say."""

import subprocess
import sys
from pathlib import Path


def test_it_is_current(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(root / "scripts" / "api_compatibility_page.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
