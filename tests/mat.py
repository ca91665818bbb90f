"""The cells of the official ground truth's ``.mat`` files."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def column(items: Sequence[object]) -> NDArray[np.object_]:
    """Return a MATLAB cell array of one column."""
    cells = np.empty((len(items), 1), dtype=object)
    for row, item in enumerate(items):
        cells[row, 0] = item
    return cells
