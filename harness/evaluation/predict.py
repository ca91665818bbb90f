"""From images to detections in the images' own pixels, and the landmark error of such detections."""

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.boxes import decode, decode_landmarks, iou, make_priors, nms
from harness.data.augment import MEAN
from harness.data.faces import FaceSet
from harness.detector import Detector
from harness.distill import freeze
from harness.errors import DataError, NonFiniteLossError
from harness.evaluation.widerface import EVALUATOR_VERSION
from harness.protocol import EvalConfig, digest

Image = NDArray[np.uint8]
Detections = NDArray[np.float32]
"""(k, 15): x1, y1, x2, y2, score, then five landmarks x, y; pixels of the original image, by descending score."""

BATCH_PIXELS = 1_600_000
"""Pixels of a batch: enough to fill the processor, little enough that two workers fit into 4 GiB."""

BATCH_IMAGES = 64


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


def select(
    boxes: Tensor, scores: Tensor, landmarks: Tensor, priors: Tensor, evaluation: EvalConfig
) -> list[Detections]:
    """Decode what scores above the threshold, suppress what overlaps, and return each image's detections.

    Args:
        boxes: (B, A, 4) offsets.
        scores: (B, A) face probabilities.
        landmarks: (B, A, 10) offsets.
        priors: (A, 4).
        evaluation: threshold, NMS and limits.

    Returns:
        for each image (k, 15), in pixels of the network's input.

    Raises:
        NonFiniteLossError: a score or a chosen box is not finite: the network has diverged.
    """
    found = []
    for offsets, score, points in zip(boxes, scores, landmarks, strict=True):
        best = _candidates(score, evaluation)
        chosen = priors[best]
        rows = torch.cat(
            (decode(offsets[best], chosen), score[best, None], decode_landmarks(points[best], chosen)), dim=1
        )
        if not (bool(score.isfinite().all()) and bool(rows.isfinite().all())):
            raise NonFiniteLossError("the detector answers scores or boxes that are not finite: it has diverged")
        candidates = rows.cpu().numpy()
        kept = nms(candidates[:, :4], candidates[:, 4], evaluation.nms_iou, evaluation.max_detections)
        found.append(candidates[kept])
    return found


def _candidates(scores: Tensor, evaluation: EvalConfig) -> Tensor:
    """Return which of ``scores`` (A,) enter the suppression, best first; equal ones keep their order."""
    above = (scores > evaluation.score_threshold).nonzero().squeeze(1)
    if len(above) > evaluation.max_candidates:
        # Sorting tens of thousands of priors takes longer than finding the lowest score that is wanted.
        least = scores[above].topk(evaluation.max_candidates).values[-1]
        above = above[scores[above] >= least]
    order = scores[above].argsort(descending=True, stable=True)
    return above[order[: evaluation.max_candidates]]


@contextmanager
def _evaluating(detector: Detector) -> Iterator[None]:
    training = detector.training
    detector.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        detector.train(training)


def _detect(
    detector: Detector, images: Sequence[Image], shapes: Sequence[Shape], evaluation: EvalConfig, device: str
) -> list[Detections]:
    pixels = prepare(images, shapes, device)
    boxes, classes, landmarks = detector(pixels)
    priors = make_priors(shapes[0].input_height, shapes[0].input_width).to(pixels.device)
    found = select(boxes.float(), classes[..., 1].float(), landmarks.float(), priors, evaluation)
    for rows, shape in zip(found, shapes, strict=True):
        rows[:, [0, 2, *range(5, 15, 2)]] *= shape.width / shape.resized_width
        rows[:, [1, 3, *range(6, 15, 2)]] *= shape.height / shape.resized_height
    return found


def detect(detector: Detector, image: Image, evaluation: EvalConfig, side: int = 0) -> Detections:
    """Return the faces of one image, (k, 15) by descending score, in the image's own pixels.

    Args:
        detector: on any device, in either mode.
        image: (H, W, 3) uint8, BGR, of any size.
        evaluation: threshold, NMS, limits and padding.
        side: longest side that the image is resized to first; 0 keeps its size.

    Raises:
        DataError: ``image`` is not (H, W, 3) uint8.
        NonFiniteLossError: the network has diverged.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise DataError(f"an image is (H, W, 3) uint8 in BGR order, got {image.shape} {image.dtype}")
    shape = plan(image.shape[0], image.shape[1], side, evaluation.pad_multiple)
    device = str(next(detector.parameters()).device)
    with _evaluating(detector):
        return _detect(detector, [image], [shape], evaluation, device)[0]


def predict(
    detector: Detector,
    faces: FaceSet,
    evaluation: EvalConfig,
    side: int,
    indices: NDArray[np.int64] | None = None,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> list[Detections]:
    """Return the detections of a face set, images of the same input size in batches.

    A copy of the network does the work, with BatchNorms folded into convolutions: the same answers up to rounding.

    Args:
        detector: on ``device``, in either mode.
        faces: the images.
        evaluation: threshold, NMS, limits and padding.
        side: longest side that images are resized to; 0 keeps their size.
        indices: which images, in the order of the answer; all by default.
        device: where the images are sent.
        progress: called with (images done, images in all) after each batch.

    Returns:
        for each image (k, 15), in the image's own pixels.

    Raises:
        NonFiniteLossError: the network has diverged.
    """
    wanted = np.arange(len(faces)) if indices is None else np.asarray(indices)
    sizes = faces.shapes[wanted].tolist()
    shapes = [plan(height, width, side, evaluation.pad_multiple) for height, width in sizes]
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for position, shape in enumerate(shapes):
        groups[shape.input_height, shape.input_width].append(position)
    found: list[Detections] = [np.zeros((0, 15), dtype=np.float32)] * len(wanted)
    done = 0
    # Folding pays from a few images on, and must not touch a network that is being trained.
    network = copy.deepcopy(detector)
    freeze(network)
    with torch.inference_mode():
        for (height, width), members in groups.items():
            step = max(1, min(BATCH_IMAGES, BATCH_PIXELS // (height * width)))
            for start in range(0, len(members), step):
                batch = members[start : start + step]
                images = [faces.image(int(wanted[position])) for position in batch]
                rows = _detect(network, images, [shapes[position] for position in batch], evaluation, device)
                for position, row in zip(batch, rows, strict=True):
                    found[position] = row
                done += len(batch)
                if progress is not None:
                    progress(done, len(wanted))
    return found


def ap_protocol(faces: FaceSet, evaluation: EvalConfig, side: int) -> dict[str, Any]:
    """Return what an AP of these images and settings was measured by, with a digest of it."""
    protocol: dict[str, Any] = {
        "images": len(faces),
        "faces": len(faces.boxes),
        "val_digest": faces.digest,
        "eval_side": side,
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
