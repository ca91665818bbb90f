"""Time of the evaluator on a published detector's prediction files for WIDER FACE's validation images."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.evaluator import against_loop
from benchmarks.timing import Case, Given, SkippedError, Variant
from harness.data.truth import LISTS, load_ground_truth
from harness.evaluation.ap import evaluate_ap
from harness.evaluation.predictions import load_predictions
from tests.evaluation.ap_oracle import REFERENCE

ARCHIVE = Path("published_predictions") / "retinaface_mnet025.tar.gz"
"""Where the detections lie in the copy of WIDER FACE."""


def cases(given: Given) -> Iterator[Case]:
    """Yield the plain loop on every tenth image (or thirtieth), and reading the detections of all images.

    Raises:
        SkippedError: there is no copy of WIDER FACE, or it lacks the detections.
    """
    if given.data is None:
        raise SkippedError("it reads WIDER FACE: give --data PATH/TO/WIDERFACE")
    if not (given.data / ARCHIVE).is_file():
        raise SkippedError(f"{given.data} has no {ARCHIVE}")
    archive, folder = given.data / ARCHIVE, given.data / "ground_truth"
    truth = load_ground_truth(folder)
    detections = load_predictions(archive, truth.ids)
    every = 300 if given.quick else 10
    some = load_ground_truth(folder, truth.ids[::every])
    yield against_loop(f"{len(some.ids):,} images", detections[::every], some, rounds=5)

    if given.quick:
        truth, detections = some, detections[::every]
    ap = evaluate_ap(detections, truth).to_dict()
    facts = {"images": len(truth.ids), "faces": truth.faces, "detections": sum(map(len, detections)), "ap": ap}
    if not given.quick:
        reference = zip(LISTS, REFERENCE["all"], strict=True)
        facts["largest_difference_to_reference"] = max(abs((ap[name] or 0.0) - value) for name, value in reference)
    yield Case(
        f"{len(truth.ids):,} images",
        Variant("reading the detections", lambda: load_predictions(archive, truth.ids)),
        Variant("evaluator", lambda: evaluate_ap(detections, truth)),
        rounds=9,
        facts=facts,
    )
