"""Runs a detector on images and returns detections in pixels of the original images.

The detector may run on every image at several sizes, as in RetinaFace's multi-scale test (Deng et al., arXiv
1905.00641, section 4.2; here without flips): the candidates of all sizes are scaled to the original image, concatenated
and merged by one non-maximum suppression.
"""

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.core.evaluation import EvalConfig
from harness.core.retinaface import MEAN
from harness.data.faces import FaceSet
from harness.detection.boxes import decode, decode_landmarks, make_priors
from harness.detection.framing import Image, Shape, check_image, frame, plan, restore
from harness.detection.suppression import Detections, suppress
from harness.errors import DataError, NonFiniteLossError
from harness.evaluation.predictions import COLUMNS, load_detections, save_detections
from harness.evaluation.protocol import Sides, as_sides
from harness.models.detector import Detector
from harness.models.fold import freeze

BATCH_PIXELS = 1_600_000
"""Pixels per batch: enough to keep the processor busy, few enough for two workers in 4 GiB."""

BATCH_IMAGES = 64

CHUNK_IMAGES = 64
"""Images per chunk: their candidates are in memory at once, and an interrupted prediction loses at most one chunk."""


def prepare(images: Sequence[Image], shapes: Sequence[Shape], device: str = "cpu") -> Tensor:
    """Return the network's input: float32 (B, 3, H, W), BGR minus the mean, zero-padded at the bottom and right."""
    batch = frame(images, shapes)
    height, width = batch.shape[1:3]
    # uint8 is a quarter of float32 to send. Subtracting the mean by rows is several times faster than by pixels.
    pixels = torch.from_numpy(batch).to(device).flatten(2).float()
    pixels -= torch.tensor(MEAN, dtype=pixels.dtype, device=pixels.device).repeat(width)
    # The permuted view is channels_last without a copy.
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
        for each image (k, 15), in pixels of the network's input, by descending score; equal scores keep the priors'
        order.

    Raises:
        NonFiniteLossError: a score or a candidate is not finite, because the network has diverged.
    """
    found = []
    for offsets, score, points in zip(boxes, scores, landmarks, strict=True):
        best = _best(score, evaluation)
        chosen = priors[best]
        rows = torch.cat(
            (decode(offsets[best], chosen), score[best, None], decode_landmarks(points[best], chosen)), dim=1
        )
        if not (bool(score.isfinite().all()) and bool(rows.isfinite().all())):
            raise NonFiniteLossError("the detector's scores or boxes are not finite: its training has diverged")
        found.append(rows.cpu().numpy())
    return found


def _best(scores: Tensor, evaluation: EvalConfig) -> Tensor:
    """Return the indices of ``scores`` (A,) that enter NMS, best first; equal scores keep their order."""
    above = (scores > evaluation.score_threshold).nonzero().squeeze(1)
    if len(above) > evaluation.max_candidates:
        # Finding the lowest admitted score is faster than sorting tens of thousands of priors.
        least = scores[above].topk(evaluation.max_candidates).values[-1]
        above = above[scores[above] >= least]
    order = scores[above].argsort(descending=True, stable=True)
    return above[order[: evaluation.max_candidates]]


def _forward(
    network: Detector, images: Sequence[Image], shapes: Sequence[Shape], evaluation: EvalConfig, device: str
) -> list[Detections]:
    """Return the candidates (k, 15) of images of one input size, in pixels of the original images."""
    pixels = prepare(images, shapes, device)
    boxes, classes, landmarks = network(pixels)
    priors = make_priors(shapes[0].input_height, shapes[0].input_width).to(pixels.device)
    found = candidates(boxes.float(), classes[..., 1].float(), landmarks.float(), priors, evaluation)
    for rows, shape in zip(found, shapes, strict=True):
        restore(rows, shape)
    return found


def _batches(shapes: Sequence[Shape]) -> Iterator[list[int]]:
    """Yield the positions of the images of each batch; all images of a batch have the same input size."""
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
    on_batch: Callable[[int], None],
) -> list[Detections]:
    """Return the detections of a few images; ``on_batch`` is called after every batch with its number of images."""
    parts: list[list[Detections]] = [[] for _ in images]
    for side in sides:
        shapes = [plan(image.shape[0], image.shape[1], side, evaluation.pad_multiple) for image in images]
        for batch in _batches(shapes):
            found = _forward(network, [images[i] for i in batch], [shapes[i] for i in batch], evaluation, device)
            for position, rows in zip(batch, found, strict=True):
                parts[position].append(rows)
            on_batch(len(batch))
    return [suppress(np.concatenate(rows), evaluation) for rows in parts]


def _without_plans() -> AbstractContextManager[None]:
    """Return a context for forward passes on images of many sizes.

    On CUDA, PyTorch's own convolutions run instead of cuDNN's, which are planned anew for every input size. The first
    evaluation on a GPU took minutes and left it idle; these plans are the probable cause. On a CPU nothing changes.
    """
    without: AbstractContextManager[None] = torch.backends.cudnn.flags(enabled=False)
    return without


@contextmanager
def _evaluating(detector: Detector) -> Iterator[None]:
    training = detector.training
    detector.eval()
    try:
        with torch.inference_mode(), _without_plans():
            yield
    finally:
        detector.train(training)


def detect(detector: Detector, image: Image, evaluation: EvalConfig, side: Sides = 0) -> Detections:
    """Return the faces of one image, (k, 15) by descending score, in pixels of the image.

    Args:
        detector: on any device, in training or evaluation mode; the mode is kept.
        image: (H, W, 3) uint8, BGR, of any size.
        evaluation: threshold, NMS, limits and padding.
        side: longest side, or several, that the image is resized to first; 0 keeps its size.

    Raises:
        DataError: ``image`` is not (H, W, 3) uint8.
        NonFiniteLossError: the network has diverged.
    """
    check_image(image)
    device = str(next(detector.parameters()).device)
    with _evaluating(detector):
        return _detect(detector, [image], as_sides(side), evaluation, device, lambda _: None)[0]


def predict(
    detector: Detector,
    faces: FaceSet,
    evaluation: EvalConfig,
    side: Sides,
    indices: NDArray[np.int64] | None = None,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
    chunks: Path | None = None,
) -> list[Detections]:
    """Return the detections of a face set; images of the same input size go through the network in batches.

    A copy of the network is used, with BatchNorms folded into the convolutions: the same outputs up to rounding.

    Args:
        detector: on ``device``, in training or evaluation mode; it is not changed.
        faces: the images.
        evaluation: threshold, NMS, limits and padding.
        side: longest side, or several, that images are resized to; 0 keeps their size.
        indices: which images, in the order of the result; all by default.
        device: where the images are sent.
        progress: called after each batch with the number of images done and the total; an image counts once per side.
        chunks: folder where the detections are saved after every ``CHUNK_IMAGES`` images, so that an interrupted call
            resumes. Existing chunks are reused: the folder must belong to this network, these images and these
            settings.

    Returns:
        for each image (k, 15), in pixels of the original image.

    Raises:
        NonFiniteLossError: the network has diverged.
        OSError: ``chunks`` cannot be written.
    """
    wanted = np.arange(len(faces)) if indices is None else np.asarray(indices)
    sides = as_sides(side)
    sizes = [plan(height, width, sides[0], evaluation.pad_multiple) for height, width in faces.shapes[wanted].tolist()]
    # Sorted by input size, so that a chunk has few, large batches.
    order = sorted(range(len(wanted)), key=lambda position: sizes[position][-2:])
    found: list[Detections] = [np.zeros((0, COLUMNS), dtype=np.float32)] * len(wanted)
    done, total = 0, len(wanted) * len(sides)

    def on_batch(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total)

    # A copy, because folding changes the network, which may still be training; folding pays off from a few images on.
    network = copy.deepcopy(detector)
    freeze(network)
    with torch.inference_mode(), _without_plans():
        for start in range(0, len(order), CHUNK_IMAGES):
            chunk = order[start : start + CHUNK_IMAGES]
            names = [faces.ids[wanted[position]] for position in chunk]
            path = None if chunks is None else chunks / f"{start:06d}.npz"
            rows = None if path is None else _saved(path, names)
            if rows is None:
                images = [faces.image(int(wanted[position])) for position in chunk]
                rows = _detect(network, images, sides, evaluation, device, on_batch)
                if path is not None:
                    save_detections(path, names, rows)
            else:
                on_batch(len(chunk) * len(sides))
            for position, detections in zip(chunk, rows, strict=True):
                found[position] = detections
    return found


def _saved(path: Path, names: Sequence[str]) -> list[Detections] | None:
    """Return the detections of a saved chunk; None if it is missing or damaged and must be computed again."""
    try:
        return load_detections(path, names)[1]
    except DataError:
        return None
