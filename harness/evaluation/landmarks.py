"""How far detected landmarks lie from the annotated ones, as a share of the face's size.

The size of a face is √(w · h) of its annotated box, as on AFLW and as RetinaFace measures its landmarks on WIDER FACE
(Deng et al., arXiv 1905.00641, section 4.5). Unlike the distance between the eyes it does not vanish on a face in
profile, so that every face with landmarks counts. The share of errors above 10 % of the size is that section's
failure rate.

A face is matched to the detection that overlaps it most, if their IoU is at least 0.5. The error of a matched face is
the mean distance of its five points, divided by its size. Faces that are not matched have no error; the number of
matched faces is given with every mean.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from harness.data.faces import FaceSet
from harness.data.truth import Array
from harness.detection.boxes import iou
from harness.detection.suppression import Detections
from harness.evaluation.attributes import by_height

MATCH_IOU = 0.5

FAILURE = 0.1
"""Errors above this share of the face's size are failures."""

EYES_APART = 10.0
"""Least distance between the eyes, in pixels, for the interocular error: below, 1 px of label noise is over 10 %."""


def landmark_error(
    detections: Sequence[Detections], faces: FaceSet, indices: NDArray[np.int64] | None = None
) -> dict[str, Any]:
    """Return the normalised mean error (NME) of the landmarks of ``detections``.

    Args:
        detections: for each image (k, 15).
        faces: the face set of the images.
        indices: the images of the set, one per entry of ``detections``; all by default.

    Returns:
        plain data, empty where no face has landmarks:

        - ``nme``: mean error of the matched faces, as a share of their size;
        - ``failure_rate``: share of the matched faces whose error is above ``FAILURE``;
        - ``matched`` and ``faces``: how many faces are matched, and how many have landmarks;
        - ``by_size``: height of the face (``attributes.SIZES``) → ``nme``, ``matched`` and ``faces`` of these faces;
        - ``interocular``: ``nme``, ``matched`` and ``faces`` of the faces whose eyes are at least ``EYES_APART`` apart,
          as a share of the distance between the eyes.

        ``nme`` and ``failure_rate`` are None where no face is matched.
    """
    wanted = range(len(faces)) if indices is None else indices.tolist()
    boxes, points, distances = [np.zeros((0, 4))], [np.zeros((0, 10))], [np.zeros(0)]
    for found, index in zip(detections, wanted, strict=True):
        known = np.isfinite(faces.faces(index)[1]).all(axis=1)
        box, point = (of[known].astype(np.float64) for of in faces.faces(index))
        boxes.append(box)
        points.append(point)
        distances.append(_distances(found.astype(np.float64), box, point))
    box, point, distance = np.concatenate(boxes), np.concatenate(points), np.concatenate(distances)
    if not len(box):
        return {}
    width, height = (box[:, 2:] - box[:, :2]).T
    eyes = np.hypot(point[:, 0] - point[:, 2], point[:, 1] - point[:, 3])
    apart = eyes >= EYES_APART
    error = _ratio(distance, np.sqrt(width * height))
    whole = _summary(error)
    return {
        **whole,
        "failure_rate": float((error > FAILURE).sum() / whole["matched"]) if whole["matched"] else None,
        "by_size": {name: _summary(error[group]) for name, group in by_height(height).items() if group.any()},
        "interocular": _summary(_ratio(distance[apart], eyes[apart])),
    }


def _distances(found: Array, boxes: Array, points: Array) -> Array:
    """Return each face's mean point distance (n,) to its matched detection, in pixels; NaN if there is none."""
    distance = np.full(len(boxes), np.nan)
    if len(boxes) and len(found):
        overlap, best = iou(torch.from_numpy(boxes), torch.from_numpy(found[:, :4])).max(dim=1)
        matched = overlap.numpy() >= MATCH_IOU
        apart = (found[best.numpy(), 5:] - points)[matched].reshape(-1, 5, 2)
        distance[matched] = np.hypot(apart[..., 0], apart[..., 1]).mean(axis=1)
    return distance


def _ratio(distance: Array, scale: Array) -> Array:
    """Return ``distance / scale`` (n,), NaN where a face is not matched, whatever its scale."""
    matched = np.isfinite(distance)
    return np.divide(distance, scale, out=np.full_like(distance, np.nan), where=matched)


def _summary(error: Array) -> dict[str, Any]:
    matched = error[np.isfinite(error)]
    return {"nme": float(matched.mean()) if len(matched) else None, "matched": len(matched), "faces": len(error)}
