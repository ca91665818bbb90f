"""Time of the evaluator against the plain loop that the tests compare it with."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.timing import Case, Given, Variant
from harness.data.truth import LISTS, GroundTruth
from harness.evaluation.ap import EVALUATOR_VERSION, evaluate_ap

# The tests' loop, because it is independent of the evaluator and tested itself.
from tests.evaluation.ap_oracle import average_precision

SIDE = 1_024
"""Width and height of the images, pixels."""


def cases(given: Given) -> Iterator[Case]:
    """Yield one case. The finding: time of the plain loop over that of the evaluator."""
    images, faces, spurious = (3, 4, 10) if given.quick else (40, 12, 100)
    yield against_loop(f"{images} generated images", *generated(images, faces, spurious), rounds=5)


def generated(images: int, faces: int, spurious: int) -> tuple[list[NDArray[np.float64]], GroundTruth]:
    """Return detections and faces: each face is found with a small error, and ``spurious`` detections hold none."""
    rng = np.random.default_rng(0)
    found, truth = [], []
    for _ in range(images):
        corner = rng.uniform(0, SIDE - 200, (faces + spurious, 2))
        side = 8 * 25 ** rng.uniform(0, 1, (faces + spurious, 1))
        boxes = np.concatenate((corner, corner + side), axis=1)
        truth.append(boxes[:faces])
        moved = boxes + 0.1 * side * rng.normal(size=boxes.shape)
        scores = np.concatenate((rng.uniform(0.3, 1, faces), rng.uniform(0.02, 0.7, spurious)))
        found.append(np.concatenate((moved, scores[:, None]), axis=1))
    heights = [boxes[:, 3] - boxes[:, 1] for boxes in truth]
    keep = {name: [height >= least for height in heights] for name, least in zip(LISTS, (50, 30, 10), strict=True)}
    return found, GroundTruth(truth, keep, [f"{index}" for index in range(images)])


def against_loop(name: str, detections: Sequence[NDArray[Any]], truth: GroundTruth, rounds: int, **facts: Any) -> Case:
    """Return the comparison on these detections. Its facts hold the largest difference between the two answers."""
    rows, faces = [found.tolist() for found in detections], [boxes.tolist() for boxes in truth.boxes]
    keep = {name: [mask.tolist() for mask in truth.keep[name]] for name in LISTS}

    def loop() -> dict[str, float | None]:
        return {name: average_precision(rows, faces, keep[name]) for name in LISTS}

    own, plain = evaluate_ap(detections, truth).to_dict(), loop()
    return Case(
        name,
        Variant("plain loop", loop),
        Variant("evaluator", lambda: evaluate_ap(detections, truth)),
        rounds=rounds,
        facts={
            "evaluator": EVALUATOR_VERSION,
            "images": len(truth.ids),
            "faces": truth.faces,
            "detections": sum(map(len, detections)),
            "largest_difference": max(abs((own[name] or 0.0) - (plain[name] or 0.0)) for name in LISTS),
        }
        | facts,
    )
