"""A diagnosis as ``harness.diagnose`` leaves it, with invented numbers."""

from typing import Any


def row(share: float, cosine: float | None) -> dict[str, Any]:
    return {"norm": 10 * share, "share": share, "cosine": cosine, "cosine_std": None, "parts": {"head": share}}


def moment(distill: float | None, box_share: float = 0.3) -> dict[str, Any]:
    terms = {"box": row(box_share, 0.9), "class": row(0.2, 0.4), "landmark": row(0.1, 0.2)}
    taught = {"distill_class": row(0.6 - box_share, distill)}
    sums = {"truth": row(0.6, 1.0), "teacher": row(0.4, distill), "total": row(1.0, 0.8)}
    return terms | taught | sums


def answers(**values: Any) -> dict[str, Any]:
    usual = {"positives": 1_200, "score": 0.8, "missed_share": 0.25, "box_error": 1.0, "landmark_error": None}
    usual |= {"confident": 2_000, "unmatched_share": 0.4, "false_alarm_share": 0.125, "entropy_positive": 0.5}
    return usual | {"entropy_negative": 0.4, "spread_positive": 0.04, "spread_negative": 0.03} | values


def diagnosis(**students: dict[str, Any]) -> dict[str, Any]:
    return {
        "study": "mini",
        "command": "python -m harness.diagnose mini",
        "data": "images of a WIDER FACE copy",
        "teacher": {"label": "v1", "params": 487_103},
        "seed": 0,
        "epoch": 0,
        "students": students,
    }


def student(start: dict[str, Any] | None, end: dict[str, Any], **values: Any) -> dict[str, Any]:
    weights = {"box": 0.6, "class": 0.3, "landmark": 0.3, "distill_class": 0.7}
    fixed = {"distill": {"temperature": 4.0, "score_threshold": 0.1}, "weights": weights, "batches": 8, "images": 32}
    return fixed | {"start": start, "end": end, "teacher": answers(), "student": answers(), "notes": []} | values
