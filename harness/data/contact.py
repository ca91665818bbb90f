"""Contact sheets: many images of a face set in one picture, for a visual check before training."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.data.faces import FaceSet

COLOURS = {"easy": (80, 220, 80), "medium": (60, 200, 240), "hard": (60, 110, 250), "": (200, 200, 200)}
"""List name → BGR colour of a face's box, by the easiest list that the face is on; grey for none."""


def contact_sheet(faces: FaceSet, indices: Sequence[int], boxes: bool = True, cell: int = 240) -> NDArray[Any]:
    """Return images side by side, (rows · cell, columns · cell, 3) BGR uint8.

    Args:
        faces: the face set.
        indices: the images to show.
        boxes: draw each face's box (coloured by its list) and landmarks.
        cell: side of the square that each image is fitted into, pixels.
    """
    columns = max(1, int(np.ceil(np.sqrt(len(indices) * 1.6))))
    rows = -(-len(indices) // columns)
    sheet = np.full((rows * cell, columns * cell, 3), 32, dtype=np.uint8)
    for place, index in enumerate(indices):
        image = faces.image(int(index))
        factor = (cell - 4) / max(image.shape[:2])
        size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
        shown = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC if factor > 1 else cv2.INTER_AREA)
        if boxes:
            _draw(shown, faces, int(index), factor)
        top, left = place // columns * cell + 2, place % columns * cell + 2
        sheet[top : top + size[1], left : left + size[0]] = shown
    return sheet


def _draw(shown: NDArray[Any], faces: FaceSet, index: int, factor: float) -> None:
    boxes, landmarks = faces.faces(index)
    first = int(faces.offsets[index])
    for face, (box, points) in enumerate(zip(boxes, landmarks, strict=True)):
        name = next((name for name in COLOURS if name in faces.keep and faces.keep[name][first + face]), "")
        corners = np.round(box * factor * 16 - 8).astype(int)
        cv2.rectangle(shown, corners[:2].tolist(), corners[2:].tolist(), COLOURS[name], 1, cv2.LINE_AA, 4)
        # In sixteenths of a pixel, like positions. It grows with the face, because a large dot hides a small face.
        radius = int(np.clip((box[3] - box[1]) * factor, 6, 20))
        for point in points.reshape(5, 2)[~np.isnan(points.reshape(5, 2)).any(axis=1)]:
            place = np.round(point * factor * 16 - 8).astype(int).tolist()
            cv2.circle(shown, place, radius, (40, 40, 255), -1, cv2.LINE_AA, 4)
