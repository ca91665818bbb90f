"""Training batches of augmented samples. Each sample can be reproduced without the others."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.data.augment import MEAN, Augmentation, augment
from harness.data.faces import FaceSet
from harness.detection.matching import Targets

Faces = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Boxes (n, 4) and landmarks (n, 10) of one sample."""

Given = TypeVar("Given")
Made = TypeVar("Made")

_MEAN = np.array([*MEAN, 0.0])
"""The mean as an OpenCV scalar: four float64 numbers."""


class Large(NamedTuple):
    """Steps with larger crops: every ``every``-th one of an epoch, with crops of ``size`` pixels."""

    every: int
    size: int


class Step(NamedTuple):
    """The images of one step, by index, and the side of their crops, pixels."""

    images: NDArray[np.int64]
    size: int


class Batch(NamedTuple):
    """Images and their faces.

    Attributes:
        images: (B, 3, S, S) float32, BGR minus the mean, channels_last in memory.
        targets: the faces in the images' pixels.
    """

    images: Tensor
    targets: Targets


def steps_per_epoch(faces: FaceSet, batch: int) -> int:
    """Return the number of batches per epoch: only full ones, or a single smaller one if there are too few images."""
    return max(1, len(faces) // batch)


def batches(
    faces: FaceSet,
    size: int,
    batch: int,
    seed: int,
    epoch: int,
    settings: Augmentation | None = None,
    threads: int = 0,
    large: Large | None = None,
) -> Iterator[Batch]:
    """Yield the batches of an epoch. They are bitwise the same for any number of threads.

    The order depends only on (seed, epoch), and a sample's crop, colours and flip only on (seed, epoch, image).

    Args:
        faces: the training images.
        size: side of the square samples, pixels.
        batch: samples per batch; the images left over at the end of an epoch are not used.
        seed, epoch: non-negative integers.
        settings: the augmentation; RetinaFace's by default.
        threads: number of threads that prepare batches in advance, so that an accelerator does not wait. 0 prepares
            each batch on demand, which costs the least CPU time and suits training on the CPU.
        large: steps with larger crops, if there are any.
    """
    # OpenCV's threads would compete with the training threads, and the images are too small to benefit from them.
    cv2.setNumThreads(1)

    def make(step: Step) -> Batch:
        return make_batch(faces, step.images, step.size, seed, epoch, settings or Augmentation())

    yield from prepare_ahead(make, epoch_steps(faces, size, batch, seed, epoch, large), threads)


def epoch_steps(faces: FaceSet, size: int, batch: int, seed: int, epoch: int, large: Large | None = None) -> list[Step]:
    """Return the steps of an epoch.

    A step with larger crops takes only the first of its images: as many as have no more pixels together, at least one.
    """
    order = np.random.default_rng((seed, epoch)).permutation(len(faces))
    steps = [Step(order[n * batch : (n + 1) * batch], size) for n in range(steps_per_epoch(faces, batch))]
    if large is not None:
        fewer = max(1, batch * size**2 // large.size**2)
        for index in range(large.every - 1, len(steps), large.every):
            steps[index] = Step(steps[index].images[:fewer], large.size)
    return steps


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
