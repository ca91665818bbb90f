"""Faces of a batch, and the priors that must predict them (RetinaFace, arXiv 1905.00641)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from harness.detection.boxes import corners, iou
from harness.models.device import on_accelerator, to_device

MATCH_IOU = 0.35
"""A prior whose IoU with a face is at least this is positive."""

BEST_PRIOR_IOU = 0.2
"""A face is matched to its best prior if their IoU is at least this, even if that prior matched another face."""

IGNORE_IOU = 0.03
"""Least IoU of an ignored prior with an unmatched face; it is reached by a 16-pixel prior around a 3-pixel face."""

_TOGETHER = 32
"""Number of faces that are compared with all priors at once on the CPU, so that their overlaps stay in its cache."""


@dataclass(frozen=True)
class Targets:
    """The faces of all images of a batch, in the order of the images.

    The number of faces per image is stored on the host, so that no code has to read it from the device.

    Attributes:
        boxes: (N, 4) x1, y1, x2, y2 in pixels of the network's input.
        landmarks: (N, 10) in the same pixels, NaN where a face has none.
        counts: faces of each of the B images; they add up to N.
    """

    boxes: Tensor
    landmarks: Tensor
    counts: tuple[int, ...]

    @classmethod
    def of(cls, faces: Sequence[tuple[Tensor, Tensor]]) -> "Targets":
        """Return the targets of images with boxes (n, 4) and landmarks (n, 10) each."""
        boxes, landmarks = (torch.cat(of) for of in zip(*faces, strict=True))
        return cls(boxes, landmarks, tuple(len(of) for of, _ in faces))

    def to(self, device: torch.device) -> "Targets":
        """Return the targets on a device; the copy to a CUDA device is asynchronous."""
        return Targets(to_device(self.boxes, device), to_device(self.landmarks, device), self.counts)

    def slices(self) -> list[slice]:
        """Return the rows of each image's faces."""
        return [slice(start, end) for start, end in pairwise(accumulate(self.counts, initial=0))]


class Matching(NamedTuple):
    """The result of matching the priors to the faces of a batch.

    Attributes:
        face: (B, A) int64, the row of the targets that the prior must predict, or -1.
        ignored: (B, A) bool, unmatched priors whose IoU with an unmatched face is at least ``IGNORE_IOU``.
    """

    face: Tensor
    ignored: Tensor


def match(targets: Targets, priors: Tensor) -> Matching:
    """Return the face that each prior must predict, and the priors on faces that no prior fits.

    A prior is first matched to the face with the highest IoU, if that IoU is at least 0.35; among equal IoUs, to the
    first face. Each face is then matched to its best prior, if their IoU is at least 0.2. This replaces the prior's
    first match; if several faces have the same best prior, the last of them is matched. A face with a lower IoU is
    ignored. In RetinaFace's published code, such a face replaces the target of its best prior.
    """
    edges = corners(priors)
    if on_accelerator(targets.boxes):
        return _match_together(targets, edges)
    found = [_match_image(targets.boxes[rows], rows.start, edges) for rows in targets.slices()]
    face, ignored = (torch.stack(of) for of in zip(*found, strict=True))
    return Matching(face, ignored)


def _match_together(targets: Targets, edges: Tensor) -> Matching:
    """Match all images at once: on an accelerator, the number of operations costs more than their size."""
    device, count = targets.boxes.device, len(targets.boxes)
    shape = (len(targets.counts), len(edges))
    image = to_device(torch.repeat_interleave(torch.arange(shape[0]), torch.tensor(targets.counts)), device)
    row = torch.arange(count, device=device)
    overlaps = iou(targets.boxes, edges)
    where = image[:, None].expand(overlaps.shape)

    highest = torch.full(shape, MATCH_IOU, device=device).scatter_reduce_(0, where, overlaps, "amax")
    equal = torch.where(overlaps == highest[image], row[:, None], count)
    face = torch.full(shape, count, device=device).scatter_reduce_(0, where, equal, "amin")

    fit, prior = overlaps.max(dim=1)
    fits = fit >= BEST_PRIOR_IOU
    taken = torch.full((shape[0] * shape[1],), -1, device=device)
    taken = taken.scatter_reduce_(0, image * shape[1] + prior, torch.where(fits, row, -1), "amax").view(shape)
    face = torch.where(taken >= 0, taken, torch.where(face < count, face, -1))

    near = ((overlaps >= IGNORE_IOU) & ~fits[:, None]).int()
    ignored = torch.zeros(shape, dtype=torch.int32, device=device).scatter_reduce_(0, where, near, "amax") > 0
    return Matching(face, ignored & (face < 0))


def _match_image(boxes: Tensor, first: int, edges: Tensor) -> tuple[Tensor, Tensor]:
    """Return one image's matched rows (A,), counted from ``first``, and its ignored priors (A,)."""
    count = len(edges)
    best = torch.full((count,), MATCH_IOU)
    face = torch.full((count,), -1)
    taken = torch.full((count,), -1)
    ignored = torch.zeros(count, dtype=torch.bool)
    for start in range(0, len(boxes), _TOGETHER):
        overlaps = iou(boxes[start : start + _TOGETHER], edges)
        row = torch.arange(first + start, first + start + len(overlaps))
        highest, which = overlaps.max(dim=0)
        better = (highest > best) | ((highest == best) & (face < 0))
        face = torch.where(better, row[which], face)
        best = torch.where(better, highest, best)
        fit, prior = overlaps.max(dim=1)
        fits = fit >= BEST_PRIOR_IOU
        taken.scatter_reduce_(0, prior, torch.where(fits, row, -1), "amax")
        ignored |= ((overlaps >= IGNORE_IOU) & ~fits[:, None]).any(dim=0)
    face = torch.where(taken >= 0, taken, face)
    return face, ignored & (face < 0)
