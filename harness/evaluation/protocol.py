"""The protocol of an AP, as plain data with a digest: only APs of one protocol may share a column."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.digest import digest
from harness.core.evaluation import EvalConfig
from harness.data.faces import FaceSet
from harness.data.truth import LISTS, GroundTruth
from harness.evaluation.ap import EVALUATOR_VERSION, IOU_THRESHOLD, THRESHOLDS

PROTOCOL_VERSION = 2
"""Incremented when the figures of a trained network change their meaning with the same images and settings.

Version 2: selection uses a search split of the training images, and the validation images take no part in it; landmark
errors are divided by the face's size. In version 1, pruning, objective and best epoch used the validation images, so
that their AP was optimistic, and landmark errors were divided by the distance between the eyes.
"""

Sides = int | Sequence[int]
"""The longest side, or several, that images are resized to, in pixels; 0 keeps their size."""


def as_sides(side: Sides) -> tuple[int, ...]:
    """Return one or several sides as a tuple."""
    return (side,) if isinstance(side, int) else tuple(side)


def ap_protocol(
    faces: FaceSet, evaluation: EvalConfig, side: Sides, indices: NDArray[np.int64] | None = None
) -> dict[str, Any]:
    """Return the protocol of a network's AP on these images.

    Args:
        faces: the images.
        evaluation: threshold, NMS, limits and padding.
        side: longest side, or several, that images are resized to; several are given as a list in ``eval_side``.
        indices: the images that are evaluated, in any order; all by default.
    """
    sides = as_sides(side)
    some = indices is not None and len(indices) < len(faces)
    chosen = np.arange(len(faces)) if indices is None else np.sort(indices)
    return _with_digest(
        {
            "version": PROTOCOL_VERSION,
            "images": len(chosen),
            "faces": int(np.diff(faces.offsets)[chosen].sum()),
            "val_digest": digest({"of": faces.digest, "images": chosen.tolist()}) if some else faces.digest,
            "eval_side": sides[0] if len(sides) == 1 else list(sides),
            **asdict(evaluation),
            "evaluator": EVALUATOR_VERSION,
        }
    )


def files_protocol(truth: GroundTruth) -> dict[str, Any]:
    """Return the protocol of the AP of prediction files on these images; how they were made is not known."""
    return _with_digest(
        {
            "images": len(truth.ids),
            "faces": truth.faces,
            "val_digest": truth_digest(truth),
            "detections": "as given",
            "iou": IOU_THRESHOLD,
            "thresholds": THRESHOLDS,
            "evaluator": EVALUATOR_VERSION,
        }
    )


def truth_digest(truth: GroundTruth) -> str:
    """Return 16 hex digits of a ground truth: names, boxes and lists, in order."""
    found = hashlib.sha256("\n".join(truth.ids).encode())
    for boxes in truth.boxes:
        found.update(np.ascontiguousarray(boxes, dtype=np.float64).tobytes())
    for name in LISTS:
        found.update(np.concatenate([np.zeros(0, dtype=np.bool_), *truth.keep[name]]).tobytes())
    return found.hexdigest()[:16]


def _with_digest(protocol: dict[str, Any]) -> dict[str, Any]:
    return {**protocol, "digest": digest(protocol)}
