"""Ten minutes of damaged tables."""

import pytest
from slow.fuzz_tables import fuzz


@pytest.mark.timeout(900)
def test_no_damaged_table_ends_in_a_traceback():
    counts = fuzz(seconds=600.0, seed=1)
    assert sum(counts.values()) > 10_000
