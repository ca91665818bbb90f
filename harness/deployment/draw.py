"""Draws detections on a picture. Needs no torch."""

import cv2
import numpy as np

from harness.detection.framing import Image
from harness.detection.suppression import Detections

BOX, POINTS = (80, 220, 80), (40, 40, 255)
"""BGR colours."""

LARGEST_JPEG = 65_500
"""Longest side that OpenCV writes as JPEG, pixels."""

_FRACTION = 4
"""Binary digits of OpenCV's positions behind the point."""


def draw(image: Image, rows: Detections) -> Image:
    """Return a copy of the picture with a box, a score and five landmarks for each of the detections (k, 15)."""
    shown = image.copy()
    width = max(1, round(max(image.shape[:2]) / 600))
    for row in rows[::-1]:  # The best ones on top.
        corners = _places(row[:4])
        cv2.rectangle(shown, corners[:2], corners[2:], BOX, width, cv2.LINE_AA, _FRACTION)
        radius = int(np.clip((row[3] - row[1]) / 40, 1, 4 * width) * 2**_FRACTION)
        for point in row[5:].reshape(5, 2):
            cv2.circle(shown, _places(point), radius, POINTS, -1, cv2.LINE_AA, _FRACTION)
        _label(shown, f"{row[4]:.2f}", round(float(row[0])), round(float(row[1])), width)
    return shown


def _places(coordinates: Detections) -> list[int]:
    """Return OpenCV's fixed-point positions: it puts the centre of the first pixel at 0, detections put it at 0.5."""
    # Positions far outside would overflow OpenCV's integers.
    found: list[int] = np.round((np.clip(coordinates, -1e5, 1e5) - 0.5) * 2**_FRACTION).astype(int).tolist()
    return found


def _label(shown: Image, text: str, left: int, bottom: int, width: int) -> None:
    scale = 0.4 * width
    (columns, rows), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, width)
    at = (min(max(0, left), max(0, shown.shape[1] - columns)), max(rows + 2, bottom - 2 * width))
    for colour, thickness in (((0, 0, 0), width + 2), (BOX, width)):
        cv2.putText(shown, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thickness, cv2.LINE_AA)
