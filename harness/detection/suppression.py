"""Greedy non-maximum suppression (NMS). Needs no torch."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.core.evaluation import EvalConfig

Detections = NDArray[np.float32]
"""(k, 15): x1, y1, x2, y2, score, then five landmarks x, y; pixels, by descending score."""


def nms(boxes: NDArray[np.float32], scores: NDArray[np.float32], iou_threshold: float, limit: int) -> NDArray[np.int64]:
    """Return the indices of the boxes that greedy NMS keeps, by descending score.

    Args:
        boxes: (N, 4) as x1, y1, x2, y2.
        scores: (N,) above 0; equal scores keep their order.
        iou_threshold: a box is dropped if its IoU with a kept box of higher score exceeds this; two boxes without
            area count as equal.
        limit: largest number of boxes to keep; NMS stops when it is reached.
    """
    sized = boxes.astype(np.float64)
    sized[:, 2:] -= sized[:, :2]
    order = np.argsort(-scores, kind="stable")
    kept = order[:0]
    # Whether a box is kept depends only on boxes with higher scores, so boxes are processed in chunks until the limit.
    for start in range(0, len(order), limit):
        pool = np.concatenate((kept, order[start : start + limit]))
        # OpenCV reads a list several times faster than an array here.
        chosen = cv2.dnn.NMSBoxes(sized[pool].tolist(), scores[pool].tolist(), 0.0, iou_threshold)
        kept = pool[np.asarray(chosen, dtype=np.int64).reshape(-1)]
        if len(kept) >= limit:
            break
    return kept[:limit]


def suppress(rows: Detections, evaluation: EvalConfig) -> Detections:
    """Return the candidates (k, 15) of one image that NMS keeps, best first."""
    rows = rows[np.argsort(-rows[:, 4], kind="stable")[: evaluation.max_candidates]]
    return rows[nms(rows[:, :4], rows[:, 4], evaluation.nms_iou, evaluation.max_detections)]


def faces(rows: Detections) -> list[dict[str, Any]]:
    """Return ``box``, ``score`` and ``landmarks`` of each face as plain data: pixels to 2 decimals, scores to 4."""
    return [
        {
            "box": [round(value, 2) for value in row[:4]],
            "score": round(row[4], 4),
            "landmarks": [[round(x, 2), round(y, 2)] for x, y in zip(row[5::2], row[6::2], strict=True)],
        }
        for row in rows.tolist()
    ]
