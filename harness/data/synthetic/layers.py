"""Layers with soft edges, painted over one another into a picture that records the face visible in each pixel."""

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.data.synthetic.tiles import Array

Mask = NDArray[Any]
"""An array of bool."""

NOBODY = -1
"""Owner of a pixel that shows no face."""


@dataclass
class Layer:
    """One cut-out person or thing.

    Attributes:
        left, top: image pixel of its first column and row; may lie outside the image.
        colour: (h, w, 3), multiplied by ``alpha``.
        alpha: (h, w), 1 where opaque.
        face: (h, w), the pixels of the face, covered or not; None if the layer has no face.
        bare: (h, w), the part of ``face`` that the person's own glasses or mask leave visible.
        box: the face's x1, y1, x2, y2 in image pixels.
        landmarks: (10,) in image pixels.
        blur: standard deviation of the blur that was applied, pixels.
    """

    left: int
    top: int
    colour: Array
    alpha: Array
    face: Mask | None = None
    bare: Mask | None = None
    box: NDArray[np.float64] | None = None
    landmarks: NDArray[np.float64] | None = None
    blur: float = 0.0


@dataclass
class Picture:
    """An image while it is painted.

    Attributes:
        colour: (S, S, 3) in [0, 1].
        owner: (S, S) int16, the index in ``faces`` of the face visible in each pixel, or ``NOBODY``.
        faces: the layers with a face, in the order of painting.
    """

    colour: Array
    owner: NDArray[np.int16]
    faces: list[Layer] = field(default_factory=list)

    @classmethod
    def on(cls, backdrop: Array) -> "Picture":
        """Return a picture that shows only ``backdrop``."""
        return cls(backdrop, np.full(backdrop.shape[:2], NOBODY, dtype=np.int16))

    def put(self, layer: Layer) -> None:
        """Paint ``layer`` over the picture. Pixels where its alpha exceeds 0.5 no longer show another face."""
        height, width = self.owner.shape
        rows = slice(max(0, layer.top), min(height, layer.top + layer.alpha.shape[0]))
        columns = slice(max(0, layer.left), min(width, layer.left + layer.alpha.shape[1]))
        if layer.face is not None:
            self.faces.append(layer)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        own = (
            slice(rows.start - layer.top, rows.stop - layer.top),
            slice(columns.start - layer.left, columns.stop - layer.left),
        )
        alpha = layer.alpha[own]
        part = self.colour[rows, columns]
        clear = 1 - alpha
        part *= cv2.merge([clear, clear, clear])
        part += layer.colour[own]
        seen = self.owner[rows, columns]
        seen[alpha > 0.5] = NOBODY
        if layer.bare is not None:
            seen[layer.bare[own]] = len(self.faces) - 1

    def occlusion(self) -> NDArray[np.float64]:
        """Return the hidden share of each face's pixels: hidden by things, by its own mask or by the image's border."""
        seen = np.bincount(self.owner[self.owner != NOBODY], minlength=len(self.faces))
        whole = np.array([0 if layer.face is None else layer.face.sum() for layer in self.faces], dtype=np.float64)
        return 1 - seen / np.maximum(whole, 1)


def blurred(layer: Layer, sigma: float) -> Layer:
    """Return ``layer`` out of focus. The masks stay the same, since blur does not make a face smaller."""
    if sigma < 0.2:
        return layer
    margin = int(np.ceil(2.5 * sigma))
    both = np.dstack([layer.colour, layer.alpha])
    both = cv2.copyMakeBorder(both, margin, margin, margin, margin, cv2.BORDER_CONSTANT)
    both = cv2.GaussianBlur(both, (0, 0), sigma)

    def padded(mask: Mask | None) -> Mask | None:
        return None if mask is None else np.pad(mask, margin)

    return Layer(
        layer.left - margin,
        layer.top - margin,
        np.ascontiguousarray(both[:, :, :3]),
        np.ascontiguousarray(both[:, :, 3]),
        padded(layer.face),
        padded(layer.bare),
        layer.box,
        layer.landmarks,
        float(np.hypot(layer.blur, sigma)),
    )
