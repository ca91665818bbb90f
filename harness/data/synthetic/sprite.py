"""Flat objects, drawn with OpenCV at twice the resolution and returned as layers."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.data.synthetic.layers import Layer
from harness.data.synthetic.tiles import Array, Colour

FINE = 2
CIRCLE = np.array([(math.cos(k * math.pi / 12), math.sin(k * math.pi / 12)) for k in range(24)])
SHIFT = 4


class Sprite:
    """A drawing of ``width`` × ``height`` image pixels on a transparent background."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = max(2, int(np.ceil(width))), max(2, int(np.ceil(height)))
        self.colour = np.zeros((self.height * FINE, self.width * FINE, 3), dtype=np.uint8)
        self.alpha = np.zeros((self.height * FINE, self.width * FINE), dtype=np.uint8)

    def polygon(self, points: list[tuple[float, float]] | NDArray[np.float64], colour: Colour) -> None:
        """Fill a polygon. Points are image pixels from the sprite's top left corner."""
        fixed = [((np.asarray(points) * FINE - 0.5) * (1 << SHIFT)).astype(np.int32)]
        cv2.fillPoly(self.colour, fixed, _bytes(colour), cv2.LINE_AA, SHIFT)
        cv2.fillPoly(self.alpha, fixed, 255, cv2.LINE_AA, SHIFT)

    def oval(self, x: float, y: float, rx: float, ry: float, colour: Colour, turn: float = 0.0) -> None:
        """Fill an ellipse, turned by ``turn`` radians."""
        c, s = math.cos(turn), math.sin(turn)
        self.polygon(CIRCLE @ np.array([[c * rx, s * rx], [-s * ry, c * ry]]) + (x, y), colour)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        """Fill a rectangle."""
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour)

    def line(self, x0: float, y0: float, x1: float, y1: float, width: float, colour: Colour) -> None:
        """Draw a straight stroke ``width`` pixels wide."""
        along = np.array([x1 - x0, y1 - y0])
        across = np.array([-along[1], along[0]]) * (width / 2 / max(float(np.linalg.norm(along)), 1e-6))
        ends = np.array([[x0, y0], [x1, y1]])
        self.polygon(np.concatenate([ends + across, ends[::-1] - across]), colour)

    def grain(self, pattern: Array) -> None:
        """Multiply the colour by ``pattern`` (height, width), image pixels."""
        fine = cv2.resize(pattern, (self.alpha.shape[1], self.alpha.shape[0]))
        self.colour[:] = np.clip(self.colour * fine[:, :, None], 0, 255).astype(np.uint8)

    def layer(self, x: float, y: float, turn: float = 0.0) -> Layer:
        """Return the drawing with its middle at image pixel (x, y), turned by ``turn`` radians."""
        colour: Array = self.colour.astype(np.float32) * (self.alpha.astype(np.float32) / (255 * 255))[:, :, None]
        alpha: Array = self.alpha.astype(np.float32) / 255
        width, height = self.width, self.height
        if turn:
            reach = int(np.ceil(np.hypot(width, height)))
            matrix: Array = cv2.getRotationMatrix2D(
                (width * FINE / 2 - 0.5, height * FINE / 2 - 0.5), -np.degrees(turn), 1.0
            )
            matrix[:, 2] += ((reach - width) * FINE / 2, (reach - height) * FINE / 2)
            colour = cv2.warpAffine(colour, matrix, (reach * FINE, reach * FINE))
            alpha = cv2.warpAffine(alpha, matrix, (reach * FINE, reach * FINE))
            width = height = reach
        small = cv2.resize(colour, (width, height), interpolation=cv2.INTER_AREA)
        cover = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_AREA)
        return Layer(round(x - width / 2), round(y - height / 2), small, cover)


def _bytes(colour: Colour) -> tuple[int, int, int]:
    blue, green, red = (min(max(round(255 * channel), 0), 255) for channel in colour)
    return blue, green, red
