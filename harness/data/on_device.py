"""Training batches from images in device memory: the CPU draws the random numbers, the device computes the pixels."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from harness.data.augment import Augmentation, Plan, draw, follow
from harness.data.batches import Batch, Step, epoch_steps, mosaics, prepare_ahead, sample_rng, targets_of
from harness.data.faces import FaceSet
from harness.data.render import render
from harness.detection.matching import Targets
from harness.errors import HarnessError

_PIECE = 2**28
"""Bytes copied at a time, so that the host never holds a second copy of all images."""


class Drawn(NamedTuple):
    """A batch without its pixels.

    Attributes:
        images: indices of the images in their set.
        plans: the random part of each sample.
        size: side of the samples, pixels.
        targets: the faces of the samples, on the CPU.
    """

    images: list[int]
    plans: list[Plan]
    size: int
    targets: Targets


def room_for_images(device: torch.device) -> int:
    """Return the bytes that training images may take on ``device``: half of a CUDA device's memory, none elsewhere.

    The limit depends on the total memory, not on the free memory: the two ways to make batches round differently, and
    other processes must not decide which one is used.
    """
    return torch.cuda.get_device_properties(device).total_memory // 2 if device.type == "cuda" else 0


def upload(faces: FaceSet, device: torch.device, room: int) -> Tensor | None:
    """Return a set's ``pixels`` (bytes,) uint8 on ``device``, or None where they take more than ``room`` bytes.

    Raises:
        HarnessError: other processes have left the device less memory than that.
    """
    needed = faces.pixels.nbytes
    if needed > room:
        return None
    try:
        pixels = torch.empty(needed, dtype=torch.uint8, device=device)
    except torch.OutOfMemoryError as error:
        raise HarnessError(
            f"the images of {faces.name} take {needed:,} bytes and {device} has less left: start fewer workers on it"
        ) from error
    for start in range(0, len(pixels), _PIECE):
        # The array is copied first, because torch does not accept read-only arrays.
        pixels[start : start + _PIECE] = torch.from_numpy(faces.pixels[start : start + _PIECE].copy())
    return pixels


def device_batches(
    faces: FaceSet,
    pixels: Tensor,
    size: int,
    batch: int,
    seed: int,
    epoch: int,
    settings: Augmentation,
    threads: int = 0,
    large: int = 0,
    first: int = 0,
) -> Iterator[Batch]:
    """Yield an epoch's batches on the device of ``pixels``: the samples and targets of ``harness.data.batches``.

    Order, crops, methods, flips and targets are equal bit by bit, pixels up to rounding (``harness.data.render``). The
    same arguments give the same bits for any number of threads.

    Args:
        faces: the training images.
        pixels: what ``upload`` made of them.
        size, batch, seed, epoch, settings, threads, large, first: as for ``batches``.
    """

    def make(step: Step) -> list[Drawn]:
        drawn = [draw_batch(faces, step.crops.tolist(), size, seed, epoch, settings)]
        if large:
            drawn.append(draw_batch(faces, step.large.tolist(), 2 * size, seed, epoch, settings))
        return drawn

    for drawn in prepare_ahead(make, epoch_steps(faces, batch, seed, epoch, large)[first:], threads):
        rendered = [_render(faces, pixels, part) for part in drawn]
        yield mosaics(*rendered) if large else rendered[0]


def _render(faces: FaceSet, pixels: Tensor, drawn: Drawn) -> Batch:
    images = [image_on_device(faces, pixels, index) for index in drawn.images]
    return Batch(render(images, drawn.plans, drawn.size), drawn.targets.to(pixels.device))


def draw_batch(faces: FaceSet, images: list[int], size: int, seed: int, epoch: int, settings: Augmentation) -> Drawn:
    """Return the plans and targets of the samples that ``make_batch`` makes of the same arguments."""
    plans, found = [], []
    for index in images:
        boxes, landmarks = faces.faces(index)
        height, width = faces.shapes[index].tolist()
        plans.append(draw(height, width, boxes, size, sample_rng(seed, epoch, index), settings))
        found.append(follow(boxes, landmarks, size, plans[-1], settings.least))
    return Drawn(images, plans, size, targets_of(found))


def image_on_device(faces: FaceSet, pixels: Tensor, index: int) -> Tensor:
    """Return image ``index`` as a (H, W, 3) BGR uint8 view of ``pixels``."""
    height, width = faces.shapes[index].tolist()
    return pixels[faces.starts[index] : faces.starts[index + 1]].view(height, width, 3)
