"""One evaluation: the AP of prediction files or of a network, with its protocol."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import harness
from harness.core.arch import ArchConfig
from harness.core.data import DataConfig
from harness.core.digest import digest
from harness.core.evaluation import EvalConfig
from harness.core.files import RUNS
from harness.data import load_split
from harness.data.decode import Progress
from harness.data.faces import FaceSet
from harness.data.truth import GroundTruth, load_ground_truth
from harness.errors import InputError
from harness.evaluation.ap import APResult, evaluate_ap
from harness.evaluation.predictions import load_predictions
from harness.evaluation.protocol import Sides, ap_protocol, as_sides, files_protocol

if TYPE_CHECKING:
    from harness.models.detector import Detector
    from harness.models.named import Named


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


def evaluate(
    model: str | Path | None = None,
    data: str = "synthetic",
    *,
    arch: str | None = None,
    side: Sides = 0,
    limit: int | None = None,
    runs: str | Path = RUNS,
    device: str = "auto",
) -> Evaluation:
    """Return the AP of a network on validation images, by WIDER FACE's protocol.

    >>> import harness, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = harness.evaluate(limit=2, runs=folder)
    >>> sorted(found.result.to_dict()), found.protocol["images"]
    (['easy', 'hard', 'mean', 'medium'], 2)

    Args:
        model: a network as for ``harness.load``; not an ONNX file.
        data: ``synthetic``, or the folder of a WIDER FACE copy.
        arch: architecture of a weights file that does not state it.
        side: longest side, or several, that images are resized to; 0 keeps their size.
        limit: number of validation images, drawn at random; by default 400 generated scenes, or all of a folder.
        runs: folder of studies, and of the cache of images.
        device: ``cpu``, ``cuda``, ``cuda:N``, or ``auto``, which is CUDA where there is one.

    Raises:
        InputError: there is no such network or device, or the weights do not fit the architecture.
        DataError: images or weights are missing or unreadable.
    """
    from harness.models.named import find_model

    named = find_model(model, arch, Path(runs))
    found = evaluate_named(named, data, sides=as_sides(side), limit=limit, runs=Path(runs), device=device)
    if found.chunks is not None:
        shutil.rmtree(found.chunks, ignore_errors=True)
    return replace(found, chunks=None)


def evaluate_named(
    named: "Named",
    data: str,
    *,
    sides: tuple[int, ...],
    runs: Path,
    device: str,
    limit: int | None = None,
    ids: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate a network as ``evaluate`` does; the detections stay saved in the result's ``chunks``.

    Args:
        ids: only these images, as ``event/name``.
        progress: called with what is done, how much of it, and the total.

    Raises:
        InputError: also if ``ids`` names an image that the data do not hold.
    """
    from harness.models.device import resolve_device

    where, show = resolve_device(device), progress or (lambda *_: None)
    detector = named.load().to(where)
    count = limit or (DataConfig().val_images if data == "synthetic" else 0)
    faces = load_split(DataConfig(source=data, val_images=count), "val", runs / "cache", show)
    found = evaluate_network(
        named.name,
        detector,
        named.arch,
        faces,
        sides,
        np.arange(len(faces)) if ids is None else _indices(faces, ids),
        str(where),
        runs / "predictions",
        lambda done, total: show("detect", done, total),
    )
    return replace(found, details={"arch": named.name, "weights": str(named.weights), **found.details})


def _indices(faces: FaceSet, ids: Sequence[str]) -> NDArray[np.int64]:
    row = {name: index for index, name in enumerate(faces.ids)}
    unknown = [name for name in ids if name not in row]
    if unknown:
        raise InputError(
            f"--images names {len(unknown):,} images that {faces.name} does not hold, the first is {unknown[0]}"
        )
    return np.array(sorted(row[name] for name in ids), dtype=np.int64)


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
