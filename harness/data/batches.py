"""Training batches of augmented samples. Each sample can be reproduced without the others."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.data.augment import MEAN, Augmentation, augment
from harness.data.faces import FaceSet
from harness.detection.matching import Targets

_MEAN = np.array([*MEAN, 0.0])
"""The mean as an OpenCV scalar: four float64 numbers."""


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
    """
    settings = settings or Augmentation()
    # OpenCV's threads would compete with the training threads, and the images are too small to benefit from them.
    cv2.setNumThreads(1)
    order = np.random.default_rng((seed, epoch)).permutation(len(faces))
    steps = steps_per_epoch(faces, batch)
    chosen = [order[step * batch : (step + 1) * batch] for step in range(steps)]
    if threads == 0:
        for indices in chosen:
            yield make_batch(faces, indices, size, seed, epoch, settings)
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="batches") as pool:
        waiting: deque[Future[Batch]] = deque()
        try:
            for indices in chosen:
                waiting.append(pool.submit(make_batch, faces, indices, size, seed, epoch, settings))
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
    count = len(indices)
    images = np.empty((count, size, size, 3), dtype=np.float32)
    found: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    for row, index in enumerate(indices):
        # SeedSequence pads with zeros, so image 0 would get the random stream of the epoch's order.
        rng = np.random.default_rng((seed, epoch, int(index) + 1))
        image, boxes, landmarks = augment(faces.image(index), *faces.faces(index), size, rng, settings)
        cv2.subtract(image, _MEAN, dst=images[row], dtype=cv2.CV_32F)
        found.append((boxes, landmarks))
    return Batch(
        images=torch.from_numpy(images).permute(0, 3, 1, 2),
        targets=Targets.of([(torch.from_numpy(boxes), torch.from_numpy(landmarks)) for boxes, landmarks in found]),
    )
