"""The training augmentation of RetinaFace's published code (Deng et al., arXiv 1905.00641), on OpenCV.

A random square crop that keeps faces, colour jitter, and a horizontal flip that swaps left and right landmarks.
Settings that differ from the published code are listed at ``Augmentation``. Three operations differ too. The crop is
resized before its colours change, which is faster and equal up to rounding. The resizing method is one of four: the
slow Lanczos is left out, and area averaging is repeated halving. Landmarks outside the crop keep their position, while
the published code moves them to the crop's edge.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.core.retinaface import MEAN

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

SMOOTH = -1
"""Resizing by repeated halving, then linear interpolation; beside OpenCV's own methods."""

_MIRRORED = np.array([2, 3, 0, 1, 4, 5, 8, 9, 6, 7])
_METHODS = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC, SMOOTH)
_FIRST_TRIES = 10
_VALUES = np.arange(256, dtype=np.float32)


@dataclass(frozen=True)
class Augmentation:
    """Settings of the augmentation.

    RetinaFace's code has the same scales, flips and colour jitter, but tries 250 crops and keeps faces of any size.

    Attributes:
        scales: possible sides of the square crop, as shares of the image's shorter side; above 1, the crop reaches
            beyond the image and is padded with the mean colour.
        tries: number of crops that are tried before the whole image, padded to a square, is used instead.
        min_face: smallest shorter side of a face that a crop must contain, in the sample's pixels.
        least: faces with a shorter side below this are dropped from the sample, pixels.
        flip: probability of a horizontal flip.
        colour: probability of each of four changes: brightness, contrast, saturation and hue.
    """

    scales: tuple[float, ...] = (0.3, 0.45, 0.6, 0.8, 1.0)
    tries: int = 50
    min_face: float = 4.0
    least: float = 4.0
    flip: float = 0.5
    colour: float = 0.5


class Colours(NamedTuple):
    """What happens to a sample's colours, in this order.

    Attributes:
        brightness: is added to every value; 0 changes nothing.
        contrast: factor of every value; 1 changes nothing.
        saturation: factor of the saturation; 1 changes nothing.
        hue: is added to the hue, of 180; 0 changes nothing.
        late_contrast: as ``contrast``, which is then 1.
        in_hsv: whether saturation or hue is changed, and the sample rounded to whole HSV values on the way.
    """

    brightness: float
    contrast: float
    saturation: float
    hue: int
    late_contrast: float
    in_hsv: bool


class Plan(NamedTuple):
    """All that is random about one sample.

    Attributes:
        left, top, side: the crop in the image's pixels; it may reach beyond the image.
        method: how it is resized: one of OpenCV's ``INTER_NEAREST``, ``INTER_LINEAR``, ``INTER_CUBIC``, or ``SMOOTH``.
        colours: what happens to its colours.
        flip: whether it is mirrored.
    """

    left: int
    top: int
    side: int
    method: int
    colours: Colours
    flip: bool


def augment(
    image: Image,
    boxes: Floats,
    landmarks: Floats,
    size: int,
    rng: np.random.Generator,
    settings: Augmentation,
) -> tuple[Image, Floats, Floats]:
    """Return one training sample: image (size, size, 3) uint8 BGR, boxes (k, 4) and landmarks (k, 10) in its pixels.

    Args:
        image: (H, W, 3) uint8 BGR; left unchanged.
        boxes: (n, 4) x1, y1, x2, y2 in pixels.
        landmarks: (n, 10) in pixels, NaN if a face has none.
        size: side of the sample, pixels.
        rng: source of all random numbers, drawn in a fixed order.
        settings: the augmentation.
    """
    plan = draw(image.shape[0], image.shape[1], boxes, size, rng, settings)
    return render(image, size, plan), *follow(boxes, landmarks, size, plan, settings.least)


def draw(height: int, width: int, boxes: Floats, size: int, rng: np.random.Generator, settings: Augmentation) -> Plan:
    """Return the random part of a sample of an image with these faces, drawn from ``rng`` in a fixed order."""
    left, top, side = draw_crop(height, width, boxes, size, rng, settings) or (0, 0, max(height, width))
    method = _METHODS[int(rng.integers(len(_METHODS)))]
    return Plan(left, top, side, method, draw_colours(rng, settings.colour), bool(rng.random() < settings.flip))


def render(image: Image, size: int, plan: Plan) -> Image:
    """Return the sample (size, size, 3) of ``image`` that ``plan`` describes."""
    (x1, x2), (column, width) = visible(plan.left, plan.side, image.shape[1], size)
    (y1, y2), (row, height) = visible(plan.top, plan.side, image.shape[0], size)
    sample = recolour(resize(image[y1:y2, x1:x2], width, height, plan.method), plan.colours)
    if (height, width) != (size, size):
        below, right = size - height - row, size - width - column
        sample = cv2.copyMakeBorder(sample, row, below, column, right, cv2.BORDER_CONSTANT, value=MEAN)  # type: ignore[assignment]
    return cv2.flip(sample, 1) if plan.flip else sample  # type: ignore[return-value]


def follow(boxes: Floats, landmarks: Floats, size: int, plan: Plan, least: float) -> tuple[Floats, Floats]:
    """Return the faces of an image that ``plan``'s sample shows, in the sample's pixels; see ``move`` for ``least``."""
    boxes, landmarks = move(boxes, landmarks, plan.left, plan.top, plan.side, size, least)
    return mirror(boxes, landmarks, size) if plan.flip else (boxes, landmarks)


def draw_crop(
    height: int, width: int, boxes: Floats, size: int, rng: np.random.Generator, settings: Augmentation
) -> tuple[int, int, int] | None:
    """Return a crop's left, top and side in whole pixels, or None if no try contains a usable face.

    A crop that is longer than the image contains all of it along that axis. A usable face lies entirely inside the crop
    and has at least ``min_face`` pixels in the sample. For an image without faces, the first try is returned.
    """
    shorter = min(height, width)
    x1, y1, x2, y2 = boxes.T
    smaller = np.minimum(x2 - x1, y2 - y1)
    done = 0
    # Most images need few tries, so the first round is short.
    for tries in (min(_FIRST_TRIES, settings.tries), settings.tries - _FIRST_TRIES):
        if tries <= 0:
            break
        draws = rng.random((tries, 3))
        scale = np.array(settings.scales)[(draws[:, 0] * len(settings.scales)).astype(np.int64)]
        side = np.maximum(1, (scale * shorter).astype(np.int64))
        left = (draws[:, 1] * (width - side + 1)).astype(np.int64)
        top = (draws[:, 2] * (height - side + 1)).astype(np.int64)
        if len(boxes) == 0:
            return int(left[0]), int(top[0]), int(side[0])
        right, bottom, least = left + side, top + side, settings.min_face * side / size
        usable = (
            (x1 >= left[:, None])
            & (y1 >= top[:, None])
            & (x2 <= right[:, None])
            & (y2 <= bottom[:, None])
            & (smaller >= least[:, None])
        ).any(axis=1)
        if usable.any():
            row = int(usable.argmax())
            return int(left[row]), int(top[row]), int(side[row])
        done += tries
    return None


def visible(start: int, side: int, length: int, size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return what a crop shows along one axis: pixels ``first`` … ``end`` of the image, and where the sample has them.

    The second pair is the first pixel of the sample that shows the image, and how many do.
    """
    first, end = max(start, 0), min(start + side, length)
    at = round((first - start) * size / side)
    return (first, end), (at, max(1, round((end - start) * size / side) - at))


def resize(image: Image, width: int, height: int, method: int) -> Image:
    """Return ``image`` resized. ``SMOOTH`` halves it by area averaging while possible, then interpolates linearly."""
    if method == SMOOTH:
        method = cv2.INTER_LINEAR
        while image.shape[0] >= 2 * height and image.shape[1] >= 2 * width:
            halves = (max(1, image.shape[1] // 2), max(1, image.shape[0] // 2))
            image = cv2.resize(image, halves, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    return cv2.resize(image, (width, height), interpolation=method)  # type: ignore[return-value]


def move(
    boxes: Floats, landmarks: Floats, left: int, top: int, side: int, size: int, least: float
) -> tuple[Floats, Floats]:
    """Return the faces whose centre lies in the crop, in pixels of the resized crop.

    Boxes are clipped to the crop. A face whose shorter side is then below ``least`` is dropped.
    """
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 - (left, top)
    inside = ((centre > 0) & (centre < side)).all(axis=1)
    scale = np.float32(size / side)
    origin = np.array([left, top], dtype=np.float32)
    moved = np.clip((boxes[inside] - np.tile(origin, 2)) * scale, 0, size)
    large = (moved[:, 2:] - moved[:, :2]).min(axis=1) >= least if len(moved) else np.zeros(0, dtype=np.bool_)
    return moved[large], ((landmarks[inside] - np.tile(origin, 5)) * scale)[large]


def mirror(boxes: Floats, landmarks: Floats, width: int) -> tuple[Floats, Floats]:
    """Return the faces of the horizontally mirrored image, with left and right eyes and mouth corners swapped."""
    flipped = boxes.copy()
    flipped[:, 0], flipped[:, 2] = width - boxes[:, 2], width - boxes[:, 0]
    points = landmarks[:, _MIRRORED]
    points[:, 0::2] = width - points[:, 0::2]
    return flipped, points


def jitter(image: Image, rng: np.random.Generator, probability: float) -> Image:
    """Return ``image`` with the changed colours that ``draw_colours`` draws."""
    return recolour(image, draw_colours(rng, probability))


def draw_colours(rng: np.random.Generator, probability: float) -> Colours:
    """Return a brightness (±32), contrast, saturation (× 0.5 to 1.5) and hue (±18 of 180).

    Each is changed with ``probability``. Contrast comes before or after saturation and hue, with equal chance.
    """
    brighter, contrasted, saturated, tinted = (rng.random(4) < probability).tolist()
    contrast_first = bool(rng.random() < 0.5)
    brightness, hue = rng.uniform(-32, 32), int(rng.integers(-18, 19))
    contrast, saturation = rng.uniform(0.5, 1.5, size=2).tolist()
    return Colours(
        brightness=brightness if brighter else 0.0,
        contrast=contrast if contrasted and contrast_first else 1.0,
        saturation=saturation if saturated else 1.0,
        hue=hue if tinted else 0,
        late_contrast=contrast if contrasted and not contrast_first else 1.0,
        in_hsv=saturated or tinted,
    )


def recolour(image: Image, colours: Colours) -> Image:
    """Return ``image`` with changed colours, the same object where nothing changes. Each step cuts to whole values."""
    if colours.brightness != 0 or colours.contrast != 1:
        offset = np.clip(_VALUES + colours.brightness, 0, 255)
        image = _look_up(image, _scaled(offset, colours.contrast))
    if colours.in_hsv:
        image = _saturate(image, colours.saturation, colours.hue)
    if colours.late_contrast != 1:
        image = _look_up(image, _scaled(_VALUES, colours.late_contrast))
    return image


def _scaled(values: Floats, factor: float) -> NDArray[np.float64]:
    # A plain float would be rounded to float32 and cut some products to another whole value.
    return np.clip(values * np.float64(factor), 0, 255)


def _look_up(image: Image, table: NDArray[Any]) -> Image:
    return cv2.LUT(image, table.astype(np.uint8))  # type: ignore[return-value]


def _saturate(image: Image, saturation: float, hue: int) -> Image:
    table = np.empty((1, 256, 3), dtype=np.uint8)
    table[0, :, 0] = (_VALUES + hue) % 180
    table[0, :, 1] = _scaled(_VALUES, saturation)
    table[0, :, 2] = _VALUES
    hsv = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_BGR2HSV), table)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)  # type: ignore[return-value]
