"""WIDER FACE's protocol written out box by box in plain Python; it shares nothing with the evaluator it checks."""

from typing import Any

THRESHOLDS = 1_000

REFERENCE = {
    "all": (0.8978665559972287, 0.8732664854984611, 0.7594359398644278),
    "part": (0.8867421359757705, 0.8766141776925465, 0.7677506414336969),
}
"""Easy, medium and hard of the evaluator in common use for the published detections."""


def overlap(a: list[float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    if width <= 0 or height <= 0:
        return 0.0
    area_a = (a[2] - a[0] + 1) * (a[3] - a[1] + 1)
    area_b = (b[2] - b[0] + 1) * (b[3] - b[1] + 1)
    return width * height / (area_a + area_b - width * height)


def normalise(detections: list[list[list[float]]]) -> list[list[list[float]]]:
    scores = [row[4] for rows in detections for row in rows]
    if not scores:
        return detections
    low, high = min(scores), max(scores)
    return [
        [[*row[:4], (row[4] - low) / (high - low) if high > low else 1.0] for row in sorted(rows, key=lambda r: -r[4])]
        for rows in detections
    ]


def image_counts(rows: list[list[float]], faces: list[list[float]], keep: list[bool]) -> list[tuple[float, int, int]]:
    """Return after each detection its score, and the numbers of proposed and correct detections so far."""
    taken = [False] * len(faces)
    proposed = right = 0
    counts = []
    for row in rows:
        best, best_overlap = -1, 0.0
        for index, face in enumerate(faces):
            value = overlap(row, face)
            if value > best_overlap:
                best, best_overlap = index, value
        if best_overlap >= 0.5 and not keep[best]:
            pass
        else:
            proposed += 1
            if best_overlap >= 0.5 and not taken[best]:
                taken[best] = True
                right += 1
        counts.append((row[4], proposed, right))
    return counts


def area_under(points: list[tuple[float, float]]) -> float:
    """Sum, over the steps of recall, the step times the best precision at that recall or more."""
    total, previous = 0.0, 0.0
    for position, (recall, _) in enumerate(points):
        if recall > previous:
            total += (recall - previous) * max(precision for _, precision in points[position:])
            previous = recall
    return total


def average_precision(detections: list[Any], faces: list[Any], keep: list[Any]) -> float | None:
    """Return the AP of one list.

    Args:
        detections: for each image rows of x1, y1, x2, y2, score.
        faces: for each image rows of x1, y1, x2, y2.
        keep: for each image one flag per face.
    """
    total = sum(bool(flag) for flags in keep for flag in flags)
    if total == 0:
        return None
    images = [
        image_counts(rows, boxes, flags)
        for rows, boxes, flags in zip(normalise(detections), faces, keep, strict=True)
        if rows and boxes
    ]
    points = []
    for step in range(THRESHOLDS):
        threshold = 1 - (step + 1) / THRESHOLDS
        proposed = right = 0
        for counts in images:
            passed = [entry for entry in counts if entry[0] >= threshold]
            if passed:
                proposed += passed[-1][1]
                right += passed[-1][2]
        points.append((right / total, right / proposed if proposed else 0.0))
    return area_under(points)
