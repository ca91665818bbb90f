"""From images to detections in the images' own pixels, and the landmark error of such detections.

A network may see every image at several sizes, as RetinaFace's multi-scale test does (Deng et al., arXiv 1905.00641,
section 4.2; here without flips): the candidates of all sizes are put together in the image's own pixels, and one
suppression at the end chooses among them.
"""

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.core.protocol import EvalConfig, digest
from harness.data.augment import MEAN
from harness.data.faces import FaceSet
from harness.detection.boxes import decode, decode_landmarks, iou, make_priors, nms
from harness.errors import DataError, NonFiniteLossError
from harness.evaluation.ap import EVALUATOR_VERSION
from harness.evaluation.chunks import load_chunk, save_chunk
from harness.models.detector import Detector
from harness.models.fold import freeze

Image = NDArray[np.uint8]
Detections = NDArray[np.float32]
"""(k, 15): x1, y1, x2, y2, score, then five landmarks x, y; pixels of the original image, by descending score."""

BATCH_PIXELS = 1_600_000
"""Pixels of a batch: enough to fill the processor, little enough that two workers fit into 4 GiB."""

BATCH_IMAGES = 64

CHUNK_IMAGES = 64
"""Images whose candidates are held at once, and that an interruption can cost: under a minute on one core."""

Sides = int | Sequence[int]
"""The longest side, or several, that images are resized to, in pixels; 0 keeps their size."""


class Shape(NamedTuple):
    """The sizes of an image on its way through the network, in pixels."""

    height: int
    width: int
    resized_height: int
    resized_width: int
    input_height: int
    input_width: int


def plan(height: int, width: int, side: int, multiple: int) -> Shape:
    """Return the sizes that an image of ``height`` × ``width`` is resized and then padded to.

    Args:
        side: the longest side after resizing, up or down; 0 keeps the size.
        multiple: both sides are padded up to a multiple of this.
    """
    scale = side / max(height, width) if side else 1.0
    resized = max(1, round(height * scale)), max(1, round(width * scale))
    padded = (-(-resized[0] // multiple) * multiple, -(-resized[1] // multiple) * multiple)
    return Shape(height, width, *resized, *padded)


def prepare(images: Sequence[Image], shapes: Sequence[Shape], device: str = "cpu") -> Tensor:
    """Return the network's input: float32 (B, 3, H, W), BGR minus the mean, padded at the bottom and right with it.

    Shrinking averages over areas, enlarging is bilinear.
    """
    height, width = shapes[0].input_height, shapes[0].input_width
    batch = np.empty((len(images), height, width, 3), dtype=np.uint8)
    for row, (image, shape) in enumerate(zip(images, shapes, strict=True)):
        size = (shape.resized_width, shape.resized_height)
        if (shape.width, shape.height) != size:
            shrinks = shape.resized_width < shape.width
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)  # type: ignore[assignment]
        if size != (width, height):
            batch[row] = MEAN
        batch[row, : size[1], : size[0]] = image
    # Bytes travel to the device; rows of all channels side by side are subtracted several times faster than pixels.
    pixels = torch.from_numpy(batch).to(device).flatten(2).float()
    pixels -= torch.tensor(MEAN, dtype=pixels.dtype, device=pixels.device).repeat(width)
    # A permuted view of these already is channels_last.
    return pixels.view(-1, height, width, 3).permute(0, 3, 1, 2)


def candidates(
    boxes: Tensor, scores: Tensor, landmarks: Tensor, priors: Tensor, evaluation: EvalConfig
) -> list[Detections]:
    """Decode each image's best ``max_candidates`` priors that score above the threshold.

    Args:
        boxes: (B, A, 4) offsets.
        scores: (B, A) face probabilities.
        landmarks: (B, A, 10) offsets.
        priors: (A, 4).
        evaluation: threshold and limit.

    Returns:
        for each image (k, 15), in pixels of the network's input; equal scores keep the priors' order.

    Raises:
        NonFiniteLossError: a score or a candidate is not finite: the network has diverged.
    """
    found = []
    for offsets, score, points in zip(boxes, scores, landmarks, strict=True):
        best = _best(score, evaluation)
        chosen = priors[best]
        rows = torch.cat(
            (decode(offsets[best], chosen), score[best, None], decode_landmarks(points[best], chosen)), dim=1
        )
        if not (bool(score.isfinite().all()) and bool(rows.isfinite().all())):
            raise NonFiniteLossError("the detector answers scores or boxes that are not finite: it has diverged")
        found.append(rows.cpu().numpy())
    return found


def _best(scores: Tensor, evaluation: EvalConfig) -> Tensor:
    """Return which of ``scores`` (A,) enter the suppression, best first; equal ones keep their order."""
    above = (scores > evaluation.score_threshold).nonzero().squeeze(1)
    if len(above) > evaluation.max_candidates:
        # Sorting tens of thousands of priors takes longer than finding the lowest score that is wanted.
        least = scores[above].topk(evaluation.max_candidates).values[-1]
        above = above[scores[above] >= least]
    order = scores[above].argsort(descending=True, stable=True)
    return above[order[: evaluation.max_candidates]]


def suppress(rows: Detections, evaluation: EvalConfig) -> Detections:
    """Return what greedy non-maximum suppression keeps of an image's candidates (k, 15), best first."""
    rows = rows[np.argsort(-rows[:, 4], kind="stable")[: evaluation.max_candidates]]
    return rows[nms(rows[:, :4], rows[:, 4], evaluation.nms_iou, evaluation.max_detections)]


def _see(
    network: Detector, images: Sequence[Image], shapes: Sequence[Shape], evaluation: EvalConfig, device: str
) -> list[Detections]:
    """Return each image's candidates (k, 15) in its own pixels; all have the same input size."""
    pixels = prepare(images, shapes, device)
    boxes, classes, landmarks = network(pixels)
    priors = make_priors(shapes[0].input_height, shapes[0].input_width).to(pixels.device)
    found = candidates(boxes.float(), classes[..., 1].float(), landmarks.float(), priors, evaluation)
    for rows, shape in zip(found, shapes, strict=True):
        rows[:, [0, 2, *range(5, 15, 2)]] *= shape.width / shape.resized_width
        rows[:, [1, 3, *range(6, 15, 2)]] *= shape.height / shape.resized_height
    return found


def _batches(shapes: Sequence[Shape]) -> Iterator[list[int]]:
    """Yield the positions of images that go through the network together: they have the same input size."""
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for position, shape in enumerate(shapes):
        groups[shape.input_height, shape.input_width].append(position)
    for (height, width), members in groups.items():
        step = max(1, min(BATCH_IMAGES, BATCH_PIXELS // (height * width)))
        for start in range(0, len(members), step):
            yield members[start : start + step]


def _detect(
    network: Detector,
    images: Sequence[Image],
    sides: Sequence[int],
    evaluation: EvalConfig,
    device: str,
    seen: Callable[[int], None],
) -> list[Detections]:
    """Return the detections of a few images; ``seen`` is told how many images went through the network."""
    parts: list[list[Detections]] = [[] for _ in images]
    for side in sides:
        shapes = [plan(image.shape[0], image.shape[1], side, evaluation.pad_multiple) for image in images]
        for batch in _batches(shapes):
            found = _see(network, [images[i] for i in batch], [shapes[i] for i in batch], evaluation, device)
            for position, rows in zip(batch, found, strict=True):
                parts[position].append(rows)
            seen(len(batch))
    return [suppress(np.concatenate(rows), evaluation) for rows in parts]


def _all(side: Sides) -> tuple[int, ...]:
    return (side,) if isinstance(side, int) else tuple(side)


@contextmanager
def _evaluating(detector: Detector) -> Iterator[None]:
    training = detector.training
    detector.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        detector.train(training)


def detect(detector: Detector, image: Image, evaluation: EvalConfig, side: Sides = 0) -> Detections:
    """Return the faces of one image, (k, 15) by descending score, in the image's own pixels.

    Args:
        detector: on any device, in either mode.
        image: (H, W, 3) uint8, BGR, of any size.
        evaluation: threshold, NMS, limits and padding.
        side: longest side, or several, that the image is resized to first; 0 keeps its size.

    Raises:
        DataError: ``image`` is not (H, W, 3) uint8.
        NonFiniteLossError: the network has diverged.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise DataError(f"an image is (H, W, 3) uint8 in BGR order, got {image.shape} {image.dtype}")
    device = str(next(detector.parameters()).device)
    with _evaluating(detector):
        return _detect(detector, [image], _all(side), evaluation, device, lambda _: None)[0]


def predict(
    detector: Detector,
    faces: FaceSet,
    evaluation: EvalConfig,
    side: Sides,
    indices: NDArray[np.int64] | None = None,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
    kept: Path | None = None,
) -> list[Detections]:
    """Return the detections of a face set, images of the same input size in batches.

    A copy of the network does the work, with BatchNorms folded into convolutions: the same answers up to rounding.

    Args:
        detector: on ``device``, in either mode.
        faces: the images.
        evaluation: threshold, NMS, limits and padding.
        side: longest side, or several, that images are resized to; 0 keeps their size.
        indices: which images, in the order of the answer; all by default.
        device: where the images are sent.
        progress: called after each batch with the images that went through the network, and how many will in all:
            each as often as there are sides.
        kept: a folder of finished chunks, written as they are done. Chunks that are there are not made again, so it
            must be of this very network, these images and these settings.

    Returns:
        for each image (k, 15), in the image's own pixels.

    Raises:
        NonFiniteLossError: the network has diverged.
        OSError: ``kept`` cannot be written.
    """
    wanted = np.arange(len(faces)) if indices is None else np.asarray(indices)
    sides = _all(side)
    sizes = [plan(height, width, sides[0], evaluation.pad_multiple) for height, width in faces.shapes[wanted].tolist()]
    # Images of one input size stand together, so that a chunk has few and large batches.
    order = sorted(range(len(wanted)), key=lambda position: sizes[position][-2:])
    found: list[Detections] = [np.zeros((0, 15), dtype=np.float32)] * len(wanted)
    done, total = 0, len(wanted) * len(sides)

    def seen(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total)

    # Folding pays from a few images on, and must not touch a network that is being trained.
    network = copy.deepcopy(detector)
    freeze(network)
    with torch.inference_mode():
        for start in range(0, len(order), CHUNK_IMAGES):
            chunk = order[start : start + CHUNK_IMAGES]
            path = None if kept is None else kept / f"{start:06d}.npz"
            rows = None if path is None else load_chunk(path, len(chunk))
            if rows is None:
                images = [faces.image(int(wanted[position])) for position in chunk]
                rows = _detect(network, images, sides, evaluation, device, seen)
                if path is not None:
                    save_chunk(path, rows)
            else:
                seen(len(chunk) * len(sides))
            for position, detections in zip(chunk, rows, strict=True):
                found[position] = detections
    return found


def ap_protocol(
    faces: FaceSet, evaluation: EvalConfig, side: Sides, indices: NDArray[np.int64] | None = None
) -> dict[str, Any]:
    """Return what an AP of these images and settings was measured by, with a digest of it.

    Several sides stand in ``eval_side`` as a list. ``indices`` are the images that were evaluated; all by default.
    """
    sides = _all(side)
    some = indices is not None and len(indices) < len(faces)
    chosen = np.arange(len(faces)) if indices is None else np.sort(indices)
    protocol: dict[str, Any] = {
        "images": len(chosen),
        "faces": int(np.diff(faces.offsets)[chosen].sum()),
        "val_digest": digest({"of": faces.digest, "images": chosen.tolist()}) if some else faces.digest,
        "eval_side": sides[0] if len(sides) == 1 else list(sides),
        **asdict(evaluation),
        "evaluator": EVALUATOR_VERSION,
    }
    return {**protocol, "digest": digest(protocol)}


def landmark_error(
    detections: Sequence[Detections], faces: FaceSet, indices: NDArray[np.int64] | None = None
) -> dict[str, float]:
    """Return how far detected landmarks lie from the annotated ones.

    A face with landmarks is matched to the detection that overlaps it most, from IoU 0.5 on. Its error is the mean
    distance of the five points divided by the distance between the eyes; faces whose eyes lie less than a pixel apart
    (profiles) have no such scale and are left out.

    Args:
        detections: for each image (k, 15).
        faces: the set that the images are from.
        indices: which images of it; all by default.

    Returns:
        ``nme`` (mean error), ``failure_rate`` (share of errors above 0.1), ``matched`` and ``faces`` (how many faces
        were matched, and how many there are); empty where no face was matched.
    """
    wanted = range(len(faces)) if indices is None else indices.tolist()
    errors: list[NDArray[np.float64]] = []
    total = 0
    for found, index in zip(detections, wanted, strict=True):
        boxes, points = faces.faces(index)
        eyes = np.hypot(points[:, 0] - points[:, 2], points[:, 1] - points[:, 3])
        measured = np.isfinite(points).all(axis=1) & (eyes >= 1)
        total += int(measured.sum())
        if not measured.any() or not len(found):
            continue
        overlaps = iou(torch.from_numpy(boxes[measured]), torch.from_numpy(found[:, :4])).numpy()
        best = overlaps.argmax(axis=1)
        matched = overlaps.max(axis=1) >= 0.5
        difference = (found[best, 5:] - points[measured])[matched].reshape(-1, 5, 2)
        distance = np.hypot(difference[..., 0], difference[..., 1]).mean(axis=1)
        errors.append(distance / eyes[measured][matched])
    error = np.concatenate([np.zeros(0), *errors])
    if not len(error):
        return {}
    return {
        "nme": float(error.mean()),
        "failure_rate": float((error > 0.1).mean()),
        "matched": float(len(error)),
        "faces": float(total),
    }
