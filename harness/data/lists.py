"""Easy, medium and hard lists for the search split, whose images are training images without official lists.

The official lists of the validation set depend almost only on face height: more than 50, 30 and 10 pixels in the
official images, which are all 1,024 pixels wide. ``benchmarks/search_lists.py`` computes the limits below and how well
they reproduce the official lists (``benchmarks/results/search_lists.json``).
"""

import numpy as np
from numpy.typing import NDArray

WIDTH = 1_024
"""Image width to which heights are scaled, pixels: the official width, so that a reduced copy has the same lists."""

LEAST_HEIGHT = {"easy": 50.5, "medium": 30.5, "hard": 10.5}
"""List name → smallest height of its faces at ``WIDTH``, pixels. Official heights are integers: a limit halfway between
two of them is least affected by the rounding of a reduced copy's labels."""


def lists_by_height(boxes: NDArray[np.float64], width: int) -> dict[str, NDArray[np.bool_]]:
    """Return list name → (n,) bool. Easy ⊂ medium ⊂ hard; faces on no list are ignored, as in WIDER FACE.

    Args:
        boxes: (n, 4) x1, y1, x2, y2 in the image's pixels.
        width: width of the image, pixels.
    """
    height = (boxes[:, 3] - boxes[:, 1]) * WIDTH / width
    return {name: height >= least for name, least in LEAST_HEIGHT.items()}
