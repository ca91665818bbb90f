"""Sums over independent choices against their enumeration."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from harness.counting.totals import Totals


@pytest.mark.parametrize("kind", [np.int64, np.object_])
@pytest.mark.parametrize("spread", [1, 3, 40, 10**9])
@pytest.mark.parametrize("added", [[0], [7, 7, 7], [5, 0, 3, 3, 90], []])
def test_sums_are_those_of_all_pairs(kind: Any, spread: int, added: list[int]) -> None:
    """Whether sums lie close to each other (a cell for each integer) or far apart (sorted), the result is the same."""
    rng = np.random.default_rng(spread)
    values, counts = rng.integers(1, 60, 50) * spread, rng.integers(1, 5, 50).astype(kind)
    expected: Counter[int] = Counter()
    for value, often in zip(values.tolist(), counts.tolist(), strict=True):
        for more in added:
            expected[value + more * spread] += often
    found = Totals.of(values, counts).plus(np.array(added, np.int64) * spread)
    assert found.values.tolist() == sorted(expected)
    assert found.counts.tolist() == [expected[value] for value in sorted(expected)]
    assert found.up_to.tolist() == np.cumsum(found.counts).tolist()
    assert found.counts.dtype == kind
