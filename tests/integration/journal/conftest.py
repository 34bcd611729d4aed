"""The suite's assertions explain themselves, as those of tests do."""

import pytest

pytest.register_assert_rewrite(
    "dagcall.testing.journal_suite",
    "dagcall.testing.shared_suite",
    "dagcall.testing.store_suite",
    "dagcall.testing.asset_suite",
)
