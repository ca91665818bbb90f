"""Training batches of augmented samples. Each sample can be reproduced without the others."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.core.retinaface import MEAN
from harness.data.augment import Augmentation, augment
from harness.data.faces import FaceSet
from harness.detection.matching import Targets
from harness.models.device import to_device

Faces = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Boxes (n, 4) and landmarks (n, 10) of one sample."""

Given = TypeVar("Given")
Made = TypeVar("Made")

_MEAN = np.array([*MEAN, 0.0])
"""The mean as an OpenCV scalar: four float64 numbers."""


class Step(NamedTuple):
    """The images of one step, by index: those that are shown in crops, and those in large crops."""

    crops: NDArray[np.int64]
    large: NDArray[np.int64]


class Batch(NamedTuple):
    """Images and their faces.

    Attributes:
        images: (B, 3, S, S) float32, BGR minus the mean, channels_last in memory.
        targets: the faces in the images' pixels.
    """

    images: Tensor
    targets: Targets


def steps_per_epoch(faces: FaceSet, batch: int, large: int = 0) -> int:
    """Return the number of steps per epoch: only full ones, or a single one if there are too few images."""
    return max(1, len(faces) // (batch - 3 * large))


def batches(
    faces: FaceSet,
    size: int,
    batch: int,
    seed: int,
    epoch: int,
    settings: Augmentation | None = None,
    threads: int = 0,
    large: int = 0,
    first: int = 0,
) -> Iterator[Batch]:
    """Yield the batches of an epoch. They are bitwise the same for any number of threads.

    The order depends only on (seed, epoch), and a sample's crop, colours and flip only on (seed, epoch, image).

    Args:
        faces: the training images.
        size: side of the square samples, pixels.
        batch: crops per step; the images left over at the end of an epoch are not used.
        seed, epoch: non-negative integers.
        settings: the augmentation; RetinaFace's by default.
        threads: number of threads that prepare batches in advance, so that an accelerator does not wait. 0 prepares
            each batch on demand, which costs the least CPU time and suits training on the CPU.
        large: large crops per step, each in the place of four crops; the batch then has ``mosaics``.
        first: number of batches at the beginning that are left out.
    """
    makers = batch_makers(faces, size, batch, seed, epoch, settings, large)[first:]
    yield from prepare_ahead(lambda make: make(), makers, threads)


def batch_makers(
    faces: FaceSet, size: int, batch: int, seed: int, epoch: int, settings: Augmentation | None = None, large: int = 0
) -> list[Callable[[], Batch]]:
    """Return a function for each batch of an epoch, which makes it; the arguments are those of ``batches``."""
    # OpenCV's threads would compete with the training threads, and the images are too small to benefit from them.
    cv2.setNumThreads(1)
    usual = settings or Augmentation()

    def make(step: Step) -> Batch:
        crops = make_batch(faces, step.crops, size, seed, epoch, usual)
        if not large:
            return crops
        return mosaics(crops, make_batch(faces, step.large, 2 * size, seed, epoch, usual))

    return [partial(make, step) for step in epoch_steps(faces, batch, seed, epoch, large)]


def epoch_steps(faces: FaceSet, batch: int, seed: int, epoch: int, large: int = 0) -> list[Step]:
    """Return the steps of an epoch. Mosaics of a set with too few images for one step show some images again."""
    order = np.random.default_rng((seed, epoch)).permutation(len(faces))
    crops, images = batch - 4 * large, batch - 3 * large
    if large:
        order = np.resize(order, max(len(order), images))
    starts = [images * n for n in range(steps_per_epoch(faces, batch, large))]
    return [Step(order[start : start + crops], order[start + crops : start + images]) for start in starts]


def mosaics(crops: Batch, large: Batch) -> Batch:
    """Return a batch of 4 · M crops as M mosaics of two rows with two crops each, followed by the large crops.

    The result has the large crops' side, twice that of the crops, so that one forward pass shows both sizes.
    """
    size = crops.images.shape[-1]
    squares = crops.images.permute(0, 2, 3, 1).view(-1, 2, 2, size, size, 3)
    images = crops.images.new_empty((len(squares) + len(large.images), 2 * size, 2 * size, 3))
    images[: len(squares)].view(-1, 2, size, 2, size, 3).copy_(squares.transpose(2, 3))
    images[len(squares) :] = large.images.permute(0, 2, 3, 1)
    return Batch(images.permute(0, 3, 1, 2), mosaic_targets(crops.targets, large.targets, size))


def mosaic_targets(crops: Targets, large: Targets, size: int) -> Targets:
    """Return the targets of ``mosaics``, for crops of ``size`` pixels. Both are on the CPU or both on one device."""
    at = torch.tensor([(0, 0), (size, 0), (0, size), (size, size)], dtype=crops.boxes.dtype)
    place = torch.arange(len(crops.counts)) % 4
    corner = to_device(at[torch.repeat_interleave(place, torch.tensor(crops.counts))], crops.boxes.device)
    boxes = torch.cat([crops.boxes + corner.repeat(1, 2), large.boxes])
    landmarks = torch.cat([crops.landmarks + corner.repeat(1, 5), large.landmarks])
    counts = tuple(sum(crops.counts[first : first + 4]) for first in range(0, len(crops.counts), 4))
    return Targets(boxes, landmarks, counts + large.counts)


def sample_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Return the random numbers of the sample that an epoch shows of image ``index``."""
    # SeedSequence pads with zeros, so image 0 would get the random stream of the epoch's order.
    return np.random.default_rng((seed, epoch, index + 1))


def prepare_ahead(make: Callable[[Given], Made], given: Iterable[Given], threads: int) -> Iterator[Made]:
    """Yield ``make`` of everything given, in order, prepared ahead by ``threads`` threads; by none on demand."""
    if threads == 0:
        yield from map(make, given)
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="batches") as pool:
        waiting: deque[Future[Made]] = deque()
        try:
            for item in given:
                waiting.append(pool.submit(make, item))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def make_batch(
    faces: FaceSet, indices: NDArray[np.int64], size: int, seed: int, epoch: int, settings: Augmentation
) -> Batch:
    """Return the augmented samples of the images ``indices``."""
    images = np.empty((len(indices), size, size, 3), dtype=np.float32)
    found: list[Faces] = []
    for row, index in enumerate(indices.tolist()):
        rng = sample_rng(seed, epoch, index)
        image, boxes, landmarks = augment(faces.image(index), *faces.faces(index), size, rng, settings)
        cv2.subtract(image, _MEAN, dst=images[row], dtype=cv2.CV_32F)
        found.append((boxes, landmarks))
    return Batch(torch.from_numpy(images).permute(0, 3, 1, 2), targets_of(found))


def targets_of(found: Sequence[Faces]) -> Targets:
    """Return the targets of a batch's samples."""
    return Targets.of([(torch.from_numpy(boxes), torch.from_numpy(landmarks)) for boxes, landmarks in found])
