"""Exponents: how a quantity grows with a number, by least squares of the logarithms."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import linregress, t

FEWEST = 3
"""Least number of points: an interval needs one more than a line has parameters."""


def exponent(sizes: Sequence[float], values: Sequence[float]) -> dict[str, Any]:
    """Return ``exponent`` and the ends ``low`` and ``high`` of its 95 % interval for values ∝ sizes ** exponent.

    All three are None with fewer than ``FEWEST`` points, or where a value is not positive.
    """
    if len(sizes) < FEWEST or min(values) <= 0:
        return {"exponent": None, "low": None, "high": None}
    found = linregress(np.log(sizes), np.log(values))
    slope, half = float(found.slope), float(t.ppf(0.975, len(sizes) - 2) * found.stderr)
    return {"exponent": round(slope, 3), "low": round(slope - half, 3), "high": round(slope + half, 3)}
