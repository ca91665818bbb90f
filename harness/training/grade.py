"""Evaluation of a network on the search split, on which all choices depend, and on the validation images."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data import load_held_out, load_split
from harness.data.faces import FaceSet, choose
from harness.detection.suppression import Detections
from harness.evaluation.ap import APResult, evaluate_ap
from harness.evaluation.inference import predict
from harness.evaluation.landmarks import landmark_error
from harness.evaluation.predictions import save_detections
from harness.models.detector import Detector
from harness.training.job import PREDICTIONS, Job

_CURVE_POINTS = 101


@dataclass(frozen=True)
class Grade:
    """Results on the validation images: ``ap``, ``curves`` and ``landmark`` as in ``TrainResult``."""

    ap: dict[str, float | None]
    curves: dict[str, dict[str, list[float]]]
    landmark: dict[str, Any]


def search_ap(job: Job, detector: Detector, images: int = 0, side: int = 0) -> dict[str, float | None]:
    """Return easy, medium, hard and mean AP on the search split.

    Args:
        job: gives data, evaluation and device.
        detector: the network, on the job's device.
        images: number of images, always the same; 0 uses all.
        side: longest side to which they are resized, pixels; 0 uses that of the job's data.
    """
    faces = load_split(job.data, "search", job.cache)
    rows = choose(len(faces), images, seed=0)
    found = predict(detector, faces, job.evaluation, side or job.data.eval_side, rows, device=job.device)
    return evaluate_ap(_boxes(found), faces.truth().pick(rows.tolist())).to_dict()


def val_ap(job: Job, detector: Detector) -> dict[str, float | None]:
    """Return easy, medium, hard and mean AP on the validation images, on which no choice may depend."""
    faces = load_split(job.data, "val", job.cache)
    return evaluate_ap(_boxes(_detect(job, detector, faces)), faces.truth()).to_dict()


def grade(job: Job, detector: Detector) -> Grade:
    """Evaluate a detector by the job's protocol on all validation images; write ``predictions.npz`` to its folder.

    The landmark error is measured on the held-out landmark images if the data has any, otherwise on the validation
    images.

    Args:
        job: gives data, evaluation, device and folder.
        detector: the network, on the job's device.
    """
    faces = load_split(job.data, "val", job.cache)
    found = _detect(job, detector, faces)
    ap = evaluate_ap(_boxes(found), faces.truth())
    held_out = load_held_out(job.data, job.cache)
    landmark = landmark_error(found, faces)
    if held_out is not None:
        landmark = landmark_error(_detect(job, detector, held_out), held_out)
    save_detections(job.folder / PREDICTIONS, faces.ids, found)
    return Grade(ap.to_dict(), _thin_curves(ap), landmark)


def _detect(job: Job, detector: Detector, faces: FaceSet) -> list[Detections]:
    return predict(detector, faces, job.evaluation, job.data.eval_side, device=job.device)


def _boxes(found: list[Detections]) -> list[NDArray[np.float32]]:
    return [rows[:, :5] for rows in found]


def _thin_curves(ap: APResult) -> dict[str, dict[str, list[float]]]:
    thin = {}
    for name, (precision, recall) in ap.curves.items():
        at = np.unique(np.linspace(0, len(precision) - 1, _CURVE_POINTS).round().astype(int))
        pairs = {"precision": precision, "recall": recall}
        thin[name] = {key: [round(float(value), 5) for value in values[at]] for key, values in pairs.items()}
    return thin
