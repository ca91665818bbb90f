"""Faces of a batch, and the priors that must predict them (RetinaFace, arXiv 1905.00641)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.detection.boxes import corners, iou
from harness.models.device import on_accelerator, to_device

MATCH_IOU = 0.35
"""A prior whose IoU with a face is at least this is positive."""

BEST_PRIOR_IOU = 0.2
"""A face is matched to its best prior if their IoU is at least this, even if that prior matched another face."""

IGNORE_IOU = 0.03
"""Least IoU of an ignored prior with an unmatched face; it is reached by a 16-pixel prior around a 3-pixel face."""

_BLOCK = 16
"""Number of successive priors, which are neighbours, that a face is compared with, or not, together on the CPU."""


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
        ignored: (B, A) bool, unmatched priors whose IoU with an unmatched face is at least ``IGNORE_IOU``; None if they
            were not asked for.
    """

    face: Tensor
    ignored: Tensor | None


def match(targets: Targets, priors: Tensor, *, ignore: bool = False) -> Matching:
    """Return the face that each prior must predict and, with ``ignore``, the priors on faces that no prior fits.

    A prior is first matched to the face with the highest IoU, if that IoU is at least 0.35; among equal IoUs, to the
    first face. Each face is then matched to its best prior, if their IoU is at least 0.2. This replaces the prior's
    first match; if several faces have the same best prior, the last of them is matched. A face with a lower IoU is
    ignored. In RetinaFace's published code, such a face replaces the target of its best prior.
    """
    among = _match_all_pairs if on_accelerator(targets.boxes) else _match_near_pairs
    return among(targets, corners(priors), ignore)


def _match_all_pairs(targets: Targets, edges: Tensor, ignore: bool) -> Matching:
    """Compare every face with every prior: an accelerator would have to wait for the number of those that overlap."""
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

    if not ignore:
        return Matching(face, None)
    near = ((overlaps >= IGNORE_IOU) & ~fits[:, None]).int()
    ignored = torch.zeros(shape, dtype=torch.int32, device=device).scatter_reduce_(0, where, near, "amax") > 0
    return Matching(face, ignored & (face < 0))


def _match_near_pairs(targets: Targets, edges: Tensor, ignore: bool) -> Matching:
    """Compare only faces and priors that overlap."""
    shape, count = (len(targets.counts), len(edges)), len(targets.boxes)
    row, prior, overlaps = _overlapping(targets.boxes, edges, IGNORE_IOU if ignore else BEST_PRIOR_IOU)
    # Priors are numbered over the batch; pairs are reduced by prior, and by face.
    prior += torch.repeat_interleave(torch.arange(shape[0]), torch.tensor(targets.counts))[row] * shape[1]
    priors = shape[0] * shape[1]

    highest = torch.full((priors,), MATCH_IOU).scatter_reduce_(0, prior, overlaps, "amax")
    equal = torch.where(overlaps == highest[prior], row, count)
    face = torch.full((priors,), count).scatter_reduce_(0, prior, equal, "amin")

    fit = torch.zeros(count).scatter_reduce_(0, row, overlaps, "amax")
    fits = fit >= BEST_PRIOR_IOU
    equal = torch.where(overlaps == fit[row], prior, priors)
    best = torch.full((count,), priors).scatter_reduce_(0, row, equal, "amin")
    taken = torch.full((priors,), -1).scatter_reduce_(0, best[fits], fits.nonzero()[:, 0], "amax")
    face = torch.where(taken >= 0, taken, torch.where(face < count, face, -1))
    if not ignore:
        return Matching(face.view(shape), None)
    ignored = torch.zeros(priors, dtype=torch.bool).index_fill_(0, prior[~fits[row]], True)
    return Matching(face.view(shape), (ignored & (face < 0)).view(shape))


def _overlapping(boxes: Tensor, edges: Tensor, least: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the pairs of a face and a prior whose IoU is at least ``least``, which is positive.

    Args:
        boxes: (N, 4), the faces.
        edges: (A, 4), the priors as x1, y1, x2, y2.
        least: an IoU.

    Returns:
        Row of the face, prior and IoU, (P,) each, by ascending row, then prior.
    """
    blocks = F.pad(edges, (0, 0, 0, -len(edges) % _BLOCK)).view(-1, _BLOCK, 4)
    low, high = blocks[..., :2].amin(dim=1), blocks[..., 2:].amax(dim=1)
    near = [(boxes[:, axis, None] < high[:, axis]) & (boxes[:, 2 + axis, None] > low[:, axis]) for axis in (0, 1)]
    row, block = (near[0] & near[1]).nonzero(as_tuple=True)
    overlaps = iou(boxes[row, None], blocks[block])[:, 0]
    pair, place = (overlaps >= least).nonzero(as_tuple=True)
    return row[pair], block[pair] * _BLOCK + place, overlaps[pair, place]
