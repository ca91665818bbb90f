"""``shown``: what a training sees, step by step: images, faces, and the teacher's output for the images.

On the CPU, both are kept on disk (``shelf``), because all trainings of a study see the same batches and most of them
have the same teacher. What is read back is bitwise what was computed.
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import cv2
import torch
from torch import Tensor

from harness.core.digest import digest
from harness.core.retinaface import MEAN
from harness.data.batches import Batch, batch_makers
from harness.detection.matching import Targets
from harness.models.detector import RawOutput
from harness.models.device import precision
from harness.models.weights import state_digest
from harness.training.job import TRAINING_VERSION
from harness.training.setup import Feed, augmentation
from harness.training.shelf import Shelf, Tensors

FOLDER = "steps"
"""Folder of the kept steps, in the folder of decoded images."""

Shown = tuple[Tensor, Targets, RawOutput | None]


def shown(feed: Feed, epoch: int, first: int = 0) -> Iterator[Shown]:
    """Yield the images (B, 3, S, S), faces and teacher's output (None without one) of each step of an epoch.

    The steps before ``first`` are left out.
    """
    if feed.device.type == "cpu":
        yield from _kept(feed, epoch, first)
        return
    for images, targets in feed.batches(epoch, first):
        yield images, targets, feed.taught(images)


def _kept(feed: Feed, epoch: int, first: int) -> Iterator[Shown]:
    job = feed.job
    settings = augmentation(job.train)
    makers = batch_makers(
        feed.faces, job.data.size, job.train.batch, job.seed, epoch, settings, large=job.train.large_crops
    )
    which: dict[str, Any] = {
        "training": TRAINING_VERSION,
        "images": feed.faces.digest,
        "size": job.data.size,
        "batch": job.train.batch,
        "large": job.train.large_crops,
        "seed": job.seed,
        "augmentation": asdict(settings),
        "opencv": cv2.__version__,
    }
    batches = Shelf(job.cache / FOLDER, f"batches-{digest(which)}").epoch(epoch, len(makers))
    answers = None
    if feed.teacher is not None:
        computed = {"precision": precision(feed.device, job.train.side(job.data.size)), "threads": job.threads}
        which |= computed | {"torch": torch.__version__, "teacher": state_digest(feed.teacher)}
        which["maps"] = feed.needs_maps
        answers = Shelf(job.cache / FOLDER, f"taught-{digest(which)}").epoch(epoch, len(makers))
    for index, make in enumerate(makers[first:], first):
        images, targets = _batch(batches.item(index, lambda make=make: _packed(make())))  # type: ignore[misc]
        taught = None if answers is None else answers.item(index, lambda images=images: _answer(feed, images))  # type: ignore[misc]
        yield images, targets, None if taught is None else _output(taught)


def _packed(batch: Batch) -> Tensors:
    """Return a batch as tensors to keep. Its pixels are whole numbers less the mean, so that they fit into bytes."""
    pixels = batch.images.permute(0, 2, 3, 1) + torch.tensor(MEAN)
    counts = torch.tensor(batch.targets.counts)
    return {
        "pixels": pixels.to(torch.uint8),
        "boxes": batch.targets.boxes,
        "landmarks": batch.targets.landmarks,
        "counts": counts,
    }


def _batch(kept: Tensors) -> Batch:
    images = (kept["pixels"].float() - torch.tensor(MEAN)).permute(0, 3, 1, 2)
    return Batch(images, Targets(kept["boxes"], kept["landmarks"], tuple(kept["counts"].tolist())))


def _answer(feed: Feed, images: Tensor) -> Tensors:
    output = feed.taught(images)
    assert output is not None, "there is a teacher"
    maps = [image.permute(0, 2, 3, 1) for image in output.features] if feed.needs_maps else []
    return {
        "boxes": output.boxes,
        "classes": output.classes,
        "landmarks": output.landmarks,
        **{f"map_{level}": image for level, image in enumerate(maps)},
    }


def _output(kept: Tensors) -> RawOutput:
    missing = kept["boxes"].new_empty(0, 0, 0, 0)
    p3, p4, p5 = (kept.get(f"map_{level}", missing).permute(0, 3, 1, 2) for level in range(3))
    return RawOutput(kept["boxes"], kept["classes"], kept["landmarks"], (p3, p4, p5))
