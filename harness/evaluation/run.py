"""One evaluation: the AP of prediction files or of a network, with its protocol."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import harness
from harness.core.arch import ArchConfig
from harness.core.digest import digest
from harness.core.evaluation import EvalConfig
from harness.data.faces import FaceSet
from harness.data.truth import GroundTruth, load_ground_truth
from harness.evaluation.ap import APResult, evaluate_ap
from harness.evaluation.predictions import load_predictions
from harness.evaluation.protocol import Sides, ap_protocol, files_protocol

if TYPE_CHECKING:
    from harness.models.detector import Detector


@dataclass(frozen=True, eq=False)
class Evaluation:
    """An AP with its origin.

    Attributes:
        name: name of the detector.
        ids: the images; ``detections``: for each (k, 5 or more) x1, y1, x2, y2, score.
        result: their AP.
        protocol: protocol of the AP.
        seconds: time to compute the AP.
        details: further data: the source of the detections, the time they took, and a network's landmark error.
        chunks: folder of a network's detections, saved so that an interrupted evaluation resumes. The caller removes
            it after using the result.
    """

    name: str
    ids: list[str]
    detections: Sequence[NDArray[Any]]
    result: APResult
    protocol: dict[str, Any]
    seconds: float
    details: dict[str, Any]
    chunks: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: AP on each list and their mean, images, faces, listed, seconds, protocol and details."""
        result = self.result
        size = {"images": result.images, "faces": result.faces, "listed": result.listed}
        return {**result.to_dict(), **size, "seconds": self.seconds, "protocol": self.protocol, **self.details}


def evaluate_files(predictions: Path, ground_truth: Path, ids: Sequence[str] | None = None) -> Evaluation:
    """Evaluate prediction files.

    Args:
        predictions: a folder or tar archive of ``event/name.txt`` files.
        ground_truth: folder of ``wider_{face,easy,medium,hard}_val.mat``.
        ids: the images; all of the ground truth by default.

    Raises:
        DataError: a file is missing or broken; names it.
    """
    started = time.perf_counter()
    truth = load_ground_truth(ground_truth, ids)
    detections = load_predictions(predictions, truth.ids)
    details = {"predictions": str(predictions), "read_seconds": time.perf_counter() - started}
    return _score(predictions.name, detections, truth, files_protocol(truth), details)


def evaluate_network(
    name: str,
    detector: "Detector",
    arch: ArchConfig,
    faces: FaceSet,
    side: Sides,
    indices: NDArray[np.int64],
    device: str,
    folder: Path,
    progress: Callable[[int, int], None],
) -> Evaluation:
    """Evaluate a network. An interrupted evaluation of the same network, images and settings resumes.

    Args:
        name: name of the detector.
        detector: on ``device``.
        arch: its architecture.
        faces: images with easy, medium and hard lists.
        side: longest side, or several, that images are resized to; 0 keeps their size.
        indices: the images that are evaluated.
        device: where the images are sent.
        folder: where chunks of detections are saved until the evaluation has ended.
        progress: called with the number of images done and the total; an image counts once per side.

    Raises:
        NonFiniteLossError: the network has diverged.
        OSError: ``folder`` cannot be written.
    """
    # Imported only for networks: PyTorch takes longer to load than prediction files take to evaluate.
    from harness.evaluation.inference import predict
    from harness.evaluation.landmarks import landmark_error
    from harness.models.weights import state_digest

    evaluation = EvalConfig()
    protocol = ap_protocol(faces, evaluation, side, indices)
    settings = {"arch": arch.to_dict(), "weights": state_digest(detector), "device": device}
    chunks = folder / digest({**settings, "protocol": protocol, "harness": harness.__version__})
    started = time.perf_counter()
    detections = predict(detector, faces, evaluation, side, indices, device, progress, chunks)
    details = {
        "predict_seconds": time.perf_counter() - started,
        "landmark": landmark_error(detections, faces, indices),
    }
    return _score(name, detections, faces.truth().pick(indices.tolist()), protocol, details, chunks)


def _score(
    name: str,
    detections: Sequence[NDArray[Any]],
    truth: GroundTruth,
    protocol: dict[str, Any],
    details: dict[str, Any],
    chunks: Path | None = None,
) -> Evaluation:
    started = time.perf_counter()
    result = evaluate_ap(detections, truth)
    return Evaluation(name, truth.ids, detections, result, protocol, time.perf_counter() - started, details, chunks)
