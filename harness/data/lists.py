"""Easy, medium and hard lists for the search split: its images are training images, and WIDER FACE lists none of these.

The official lists of the validation set follow face height almost alone: more than 50, 30 and 10 pixels in the official
images, all of which are 1,024 pixels wide. ``benchmarks/search_lists.py`` computes the limits below and how well they
reproduce the official lists (``benchmarks/results/search_lists.json``).
"""

import numpy as np
from numpy.typing import NDArray

WIDTH = 1_024
"""Image width at which heights are compared, pixels: the official one, so that a reduced copy has the same lists."""

LEAST_HEIGHT = {"easy": 50.5, "medium": 30.5, "hard": 10.5}
"""List name → least height of its faces at ``WIDTH``, pixels. Official heights are whole numbers: a limit halfway
between two of them leaves the most room for the rounding of a reduced copy's labels."""


def lists_by_height(boxes: NDArray[np.float64], width: int) -> dict[str, NDArray[np.bool_]]:
    """Return list name → (n,) bool. Easy ⊂ medium ⊂ hard; faces on no list are ignored, as in WIDER FACE.

    Args:
        boxes: (n, 4) x1, y1, x2, y2 in the image's pixels.
        width: width of the image, pixels.
    """
    height = (boxes[:, 3] - boxes[:, 1]) * WIDTH / width
    return {name: height >= least for name, least in LEAST_HEIGHT.items()}
