"""How an image becomes a network's input, and detections return to the image's pixels. Needs no torch."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.core.retinaface import MEAN
from harness.detection.suppression import Detections
from harness.errors import DataError

Image = NDArray[np.uint8]


def check_image(image: Image) -> None:
    """Refuse an array that is not (H, W, 3) uint8.

    Raises:
        DataError: says what was given.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise DataError(f"an image is (H, W, 3) uint8 in BGR order, got {image.shape} {image.dtype}")


class Shape(NamedTuple):
    """The sizes of one image in pixels: original, resized, and padded to the network's input."""

    height: int
    width: int
    resized_height: int
    resized_width: int
    input_height: int
    input_width: int


def plan(height: int, width: int, side: int, multiple: int) -> Shape:
    """Return the sizes that an image of ``height`` × ``width`` pixels is resized and then padded to.

    Args:
        side: the longest side after resizing, up or down; 0 keeps the size.
        multiple: both sides are padded up to a multiple of this.
    """
    scale = side / max(height, width) if side else 1.0
    resized = max(1, round(height * scale)), max(1, round(width * scale))
    padded = (-(-resized[0] // multiple) * multiple, -(-resized[1] // multiple) * multiple)
    return Shape(height, width, *resized, *padded)


def frame(images: Sequence[Image], shapes: Sequence[Shape]) -> Image:
    """Return images of one input size as (B, H, W, 3) BGR uint8, padded with the mean at the bottom and right.

    Images are shrunk by averaging over areas and enlarged bilinearly.
    """
    height, width = shapes[0].input_height, shapes[0].input_width
    batch = np.empty((len(images), height, width, 3), dtype=np.uint8)
    for row, (image, shape) in enumerate(zip(images, shapes, strict=True)):
        size = (shape.resized_width, shape.resized_height)
        if (shape.width, shape.height) != size:
            shrinks = shape.resized_width < shape.width
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)  # type: ignore[assignment]
        if size != (width, height):
            batch[row] = MEAN
        batch[row, : size[1], : size[0]] = image
    return batch


def restore(rows: Detections, shape: Shape) -> None:
    """Scale detections (k, 15) in place from pixels of the network's input to pixels of the original image."""
    rows[:, [0, 2, *range(5, 15, 2)]] *= shape.width / shape.resized_width
    rows[:, [1, 3, *range(6, 15, 2)]] *= shape.height / shape.resized_height
