"""Average precision by the validation protocol of WIDER FACE (Yang et al., arXiv 1511.06523), vectorised.

The rules are those of the evaluators in common use (the authors' MATLAB tools and their Python port):

- scores are mapped linearly to [0, 1] over the whole image set; if all are equal they become 1;
- each detection is matched to the face that it overlaps most, if their IoU is at least 0.5; sides are counted as
  x2 - x1 + 1;
- a detection on a face outside the difficulty's list is ignored; the detection of highest score on a listed face is a
  true positive; every other detection is a false positive;
- detections in an image without any annotated face are ignored, but their scores take part in the scaling;
- precision and recall at 1,000 score thresholds; AP is the area under the precision envelope.

The code does not loop over images. The match of a detection does not depend on the list, so it is computed once for all
three lists. A detection counts at every threshold that its score reaches, so cumulative sums over thresholds give every
precision and recall.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.truth import LISTS, Array, GroundTruth, Mask
from harness.errors import DataError

EVALUATOR_VERSION = "widerface-1"
"""Changed whenever the same detections could get another AP; part of every AP's protocol."""

IOU_THRESHOLD = 0.5
THRESHOLDS = 1_000

PAIRS_AT_ONCE = 1_000_000
"""Pairs of boxes compared at once: bounds the memory at about 100 MB for any data set."""

Integers = NDArray[np.int64]
Curve = tuple[Array, Array]


@dataclass(frozen=True, eq=False)
class APResult:
    """Average precision in [0, 1] on the three lists; None where a list holds no face.

    Attributes:
        mean: mean of the three; None if any is None.
        curves: list name → (precision, recall), (1,000,) each, from the highest threshold to the lowest. Precision is 1
            at thresholds without a detection. Lists without a face have no curve.
        images: number of evaluated images.
        faces: number of their faces; ``listed``: number of faces on each list.
    """

    easy: float | None
    medium: float | None
    hard: float | None
    mean: float | None
    curves: dict[str, Curve]
    images: int
    faces: int
    listed: dict[str, int]

    def to_dict(self) -> dict[str, float | None]:
        """Return easy, medium, hard and mean."""
        return {name: getattr(self, name) for name in (*LISTS, "mean")}


@dataclass(frozen=True, eq=False)
class Matches:
    """The D detections in images with annotated faces, grouped by image and sorted by descending score.

    Attributes:
        image: (D,) int64, index of the image.
        level: (D,) int64, index of the highest of the 1,000 thresholds that the detection's score reaches.
        face: (D,) int64, index among all faces of the set of the face that the detection is matched to, or -1.
        first: (D,) bool, whether it has the highest score of all detections that are matched to that face.
    """

    image: Integers
    level: Integers
    face: Integers
    first: Mask


def _windows(boxes: Array, image: Integers, faces: Array, face_image: Integers) -> tuple[Integers, Integers, Integers]:
    """Return an order of the faces, and for each box the range [low, high) in that order that can reach IoU 0.5.

    Such faces are half to twice as wide as the box, so their left edges lie at most one width to the left and half a
    width to the right of the box's left edge. Few pairs are left to compare.
    """
    origin = faces[:, 0].min()
    extent = float(np.ptp(faces[:, 0])) + 4
    key = face_image * extent + (faces[:, 0] - origin)
    order = np.argsort(key, kind="stable")
    start, width = boxes[:, 0] - origin, boxes[:, 2] - boxes[:, 0] + 1
    # One more pixel on both sides allows for rounding; the clipping keeps each window inside its own image.
    low = np.searchsorted(key[order], image * extent + np.clip(start - width - 1, -1, extent - 2))
    high = np.searchsorted(key[order], image * extent + np.clip(start + width / 2 + 1, -1, extent - 2))
    return order, low, np.maximum(low, high)


def _overlaps(a: Array, b: Array, row: Integers, column: Integers) -> Array:
    """Return the IoU of pairs ``a[:, row]`` and ``b[:, column]``; a and b hold x1, y1, x2, y2 and the area as rows."""
    shared = np.maximum(np.minimum(a[2, row], b[2, column]) - np.maximum(a[0, row], b[0, column]) + 1, 0)
    shared *= np.maximum(np.minimum(a[3, row], b[3, column]) - np.maximum(a[1, row], b[1, column]) + 1, 0)
    union = a[4, row] + b[4, column] - shared
    # The union of two boxes without area (x2 = x1 - 1) is 0.
    overlap: Array = np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)
    return overlap


def _with_area(boxes: Array) -> Array:
    x1, y1, x2, y2 = boxes.T
    return np.stack((x1, y1, x2, y2, (x2 - x1 + 1) * (y2 - y1 + 1)))


def best_faces(boxes: Array, image: Integers, faces: Array, face_image: Integers) -> Integers:
    """Return for each box the face of its image with the highest IoU, the first of equals; -1 below IoU 0.5.

    Args:
        boxes: (D, 4).
        image: (D,) the image of each box.
        faces: (F, 4).
        face_image: (F,) the image of each face.
    """
    best = np.full(len(boxes), -1, dtype=np.int64)
    if len(boxes) == 0 or len(faces) == 0:
        return best
    order, low, high = _windows(boxes, image, faces, face_image)
    ends = (high - low).cumsum()
    blocks = np.arange(PAIRS_AT_ONCE, int(ends[-1]), PAIRS_AT_ONCE)
    bounds = np.unique(np.concatenate(([0], np.searchsorted(ends, blocks), [len(boxes)]))).tolist()
    a, b = _with_area(boxes), _with_area(faces)
    for begin, end in pairwise(bounds):
        count = high[begin:end] - low[begin:end]
        before = count.cumsum() - count
        row = np.repeat(np.arange(begin, end), count)
        column = order[np.arange(len(row)) + np.repeat(low[begin:end] - before, count)]
        overlap = _overlaps(a, b, row, column)
        reached = np.flatnonzero(overlap >= IOU_THRESHOLD)
        row, column, overlap = row[reached], column[reached], overlap[reached]
        # Of several assignments to one index the last wins: the largest overlap, and of equal ones the first face.
        ascending = np.lexsort((-column, overlap))
        best[row[ascending]] = column[ascending]
    return best


def _flatten(detections: Sequence[NDArray[Any]], truth: GroundTruth) -> tuple[Array, Integers]:
    """Return all detections (D, 5) and the image of each (D,), after checking them."""
    if len(detections) != len(truth.ids):
        raise DataError(f"{len(detections):,} lists of detections for {len(truth.ids):,} images: give one per image")
    for given, name in zip(detections, truth.ids, strict=True):
        if given.ndim != 2 or given.shape[1] < 5:
            raise DataError(f"{name}: detections are (k, 5) x1, y1, x2, y2, score, got shape {given.shape}")
    image = np.repeat(np.arange(len(detections)), [len(given) for given in detections])
    rows = np.concatenate([np.zeros((0, 5)), *(given[:, :5] for given in detections)])
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        bad = int(finite.argmin())
        position = bad - int(np.searchsorted(image, image[bad]))
        raise DataError(
            f"{truth.ids[image[bad]]}: detection {position + 1:,} is not finite: {rows[bad].tolist()}; every box and "
            "score must be a number"
        )
    return rows, image


def match(detections: Sequence[NDArray[Any]], truth: GroundTruth) -> Matches:
    """Match every detection to a face, and find the highest threshold that its score reaches.

    Args:
        detections: for each image (k, 5 or more), x1, y1, x2, y2, score, in any order.
        truth: the same images.

    Raises:
        DataError: a wrong shape or a value that is not finite; names the image.
    """
    rows, image = _flatten(detections, truth)
    spread = float(np.ptp(rows[:, 4])) if len(rows) else 0.0
    score = (rows[:, 4] - rows[:, 4].min()) / spread if spread > 0 else np.ones(len(rows))

    counts = np.array([len(boxes) for boxes in truth.boxes], dtype=np.int64)
    used = counts[image] > 0
    rows, image, score = rows[used], image[used], score[used]
    if ((score[1:] > score[:-1]) & (image[1:] == image[:-1])).any():
        order = np.lexsort((-score, image))
        rows, image, score = rows[order], image[order], score[order]

    faces = np.concatenate([np.zeros((0, 4)), *truth.boxes])
    face = best_faces(rows[:, :4], image, faces, np.repeat(np.arange(len(counts)), counts))
    thresholds = 1 - np.arange(1, THRESHOLDS + 1) / THRESHOLDS
    return Matches(image, np.searchsorted(-thresholds, -score, side="left"), face, first_on_face(face))


def first_on_face(face: Integers) -> Mask:
    """Return which detections (D,), in the order of ``Matches``, are the first on their ``face``; -1 is no face."""
    found, position = np.unique(face, return_index=True)
    first = np.zeros(len(face), dtype=np.bool_)
    first[position[found >= 0]] = True
    return first


def curve(matches: Matches, keep: Mask) -> Curve:
    """Return precision and recall, (1,000,) each, on the listed faces ``keep`` (F,), a mask over all faces."""
    on_face = matches.face >= 0
    listed = np.zeros_like(on_face)
    listed[on_face] = keep[matches.face[on_face]]
    proposed = np.bincount(matches.level[listed | ~on_face], minlength=THRESHOLDS).cumsum()
    right = np.bincount(matches.level[listed & matches.first], minlength=THRESHOLDS).cumsum()
    precision = np.where(proposed > 0, right / np.maximum(proposed, 1), 1.0)
    return precision, right / keep.sum()


def average_precision(precision: Array, recall: Array) -> float:
    """Return the area under the precision envelope, as PASCAL VOC has computed it since 2010."""
    recall = np.concatenate(([0.0], recall, [1.0]))
    envelope = np.maximum.accumulate(np.concatenate(([0.0], precision, [0.0]))[::-1])[::-1]
    return float((np.diff(recall) * envelope[1:]).sum())


def evaluate_ap(detections: Sequence[NDArray[Any]], truth: GroundTruth) -> APResult:
    """Return the AP of ``detections`` on the easy, medium and hard list.

    Args:
        detections: for each image (k, 5 or more), x1, y1, x2, y2, score, in any order; k may be 0.
        truth: the same images, in the same order.

    Raises:
        DataError: a wrong number of images, a wrong shape, or a value that is not finite; names the image.
    """
    matches = match(detections, truth)
    curves: dict[str, Curve] = {}
    ap: dict[str, float | None] = dict.fromkeys(LISTS)
    listed: dict[str, int] = {}
    for name in LISTS:
        keep = np.concatenate([np.zeros(0, dtype=np.bool_), *truth.keep[name]])
        listed[name] = int(keep.sum())
        if listed[name]:
            curves[name] = curve(matches, keep)
            ap[name] = average_precision(*curves[name])
    known = [value for value in ap.values() if value is not None]
    mean = sum(known) / len(LISTS) if len(known) == len(LISTS) else None
    return APResult(**ap, mean=mean, curves=curves, images=len(truth.ids), faces=truth.faces, listed=listed)
