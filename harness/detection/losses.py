"""The multibox loss: priors matched to faces, hard negatives mined, three terms (RetinaFace, arXiv 1905.00641)."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.core.protocol import TrainConfig
from harness.detection.boxes import corners, encode, encode_landmarks, iou
from harness.models.detector import RawOutput

MATCH_IOU = 0.35
"""A prior whose IoU with a face is at least this is positive."""

BEST_PRIOR_IOU = 0.2
"""A face takes its best prior from this IoU on, even from another face; below it, the face is ignored."""

IGNORE_IOU = 0.03
"""A prior that overlaps an ignored face by at least this may be kept out of mining: a 16-pixel prior over 3 pixels."""

NEGATIVES = 7
"""Hardest negatives per positive prior of an image that enter the class loss."""


class Targets(NamedTuple):
    """The faces of a batch, padded to the same number.

    Attributes:
        boxes: (B, M, 4) x1, y1, x2, y2 in pixels of the network's input.
        landmarks: (B, M, 10) in the same pixels, NaN where a face has none.
        valid: (B, M) bool, which rows are faces.
    """

    boxes: Tensor
    landmarks: Tensor
    valid: Tensor


class MultiboxResult(NamedTuple):
    """The weighted ``total``, the unweighted ``terms`` (box, class, landmark), and which priors took part.

    ``positive`` and ``mined`` are (B, A) bool and disjoint.
    """

    total: Tensor
    terms: dict[str, Tensor]
    positive: Tensor
    mined: Tensor


class Matching(NamedTuple):
    """What the faces of a batch ask of each prior.

    Attributes:
        face: (B, A) int64, the row of the targets that the prior must predict, or -1.
        ignored: (B, A) bool, priors that predict no face and overlap a face that no prior fits by ``IGNORE_IOU``.
    """

    face: Tensor
    ignored: Tensor


def match(targets: Targets, priors: Tensor) -> Matching:
    """Return the face that each prior must predict, and the priors on faces that no prior fits.

    A prior belongs to the face with which its IoU is highest, from 0.35 on (the first of equals). Each face then takes
    its best prior where their IoU is at least 0.2; of several faces that want the same prior, the last gets it. A face
    below 0.2 is ignored; the published code lets it rewrite the target of its best prior.
    """
    batch, most = targets.valid.shape
    count = len(priors)
    image, row = targets.valid.nonzero(as_tuple=True)
    matched = torch.full((batch * count,), -1, device=priors.device, dtype=torch.int64)
    if len(image) == 0:
        matched = matched.view(batch, count)
        return Matching(matched, torch.zeros_like(matched, dtype=torch.bool))

    # Only real faces are compared (not the padding), and only overlaps above the threshold are kept.
    overlaps = iou(targets.boxes[image, row], corners(priors))
    face, prior = (overlaps >= MATCH_IOU).nonzero(as_tuple=True)
    overlap, slot = overlaps[face, prior], image[face] * count + prior
    best = torch.zeros_like(matched, dtype=overlaps.dtype).scatter_reduce_(0, slot, overlap, "amax")
    wins = overlap == best[slot]
    first = torch.full_like(matched, most).scatter_reduce_(0, slot[wins], row[face[wins]], "amin")
    matched = torch.where(first < most, first, matched)

    best_overlap, best_prior = overlaps.max(dim=1)
    takes = best_overlap >= BEST_PRIOR_IOU
    slot = (image * count + best_prior)[takes]
    last = torch.full_like(matched, -1).scatter_reduce_(0, slot, row[takes], "amax")
    matched = torch.where(last >= 0, last, matched)

    face, prior = (overlaps[~takes] >= IGNORE_IOU).nonzero(as_tuple=True)
    ignored = torch.zeros_like(matched, dtype=torch.bool)
    ignored[image[~takes][face] * count + prior] = True
    return Matching(matched.view(batch, count), (ignored & (matched < 0)).view(batch, count))


def mine(losses: Tensor, positive: Tensor, ignored: Tensor | None = None) -> Tensor:
    """Return the hardest negatives: (B, A) bool, seven for each positive of the same image.

    Args:
        losses: (B, A) classification losses.
        positive: (B, A) bool.
        ignored: (B, A) bool, priors that are no negatives either.
    """
    wanted = NEGATIVES * positive.sum(dim=1, keepdim=True)
    most = min(int(wanted.max()), losses.shape[1])
    apart = positive if ignored is None else positive | ignored
    hardest = losses.masked_fill(apart, -torch.inf).topk(most, dim=1).indices
    rank = torch.arange(most, device=losses.device)
    return torch.zeros_like(positive).scatter_(1, hardest, rank < wanted) & ~apart


def multibox_loss(output: RawOutput, targets: Targets, priors: Tensor, config: TrainConfig) -> MultiboxResult:
    """Return RetinaFace's multibox loss of a batch.

    Cross-entropy over positives and mined negatives and smooth L1 on boxes over positives are summed and divided by
    the number of positives in the batch; smooth L1 on landmarks by the number of positives whose face has landmarks
    (each at least 1).

    Args:
        output: of the detector: boxes (B, A, 4), class logits (B, A, 2), landmarks (B, A, 10).
        targets: the faces of the same images.
        priors: (A, 4) of the input's size, on the same device.
        config: the terms' weights.
    """
    matched, ignored = match(targets, priors)
    positive = matched >= 0
    image, prior = positive.nonzero(as_tuple=True)
    row = matched[image, prior]
    count = max(len(image), 1)

    # With two classes, the cross-entropy is softplus of the wrong logit minus the right one.
    margin = output.classes[..., 1].float() - output.classes[..., 0].float()
    losses = F.softplus(torch.where(positive, -margin, margin))
    mined = mine(losses.detach(), positive, ignored if config.ignore_unmatched else None)
    class_loss = losses.masked_fill(~(positive | mined), 0).sum() / count

    wanted = encode(targets.boxes[image, row], priors[prior])
    box_loss = F.smooth_l1_loss(output.boxes[image, prior].float(), wanted, reduction="sum") / count

    points = targets.landmarks[image, row]
    known = points.isfinite().all(dim=1)
    image, prior = image[known], prior[known]
    wanted = encode_landmarks(points[known], priors[prior])
    found = output.landmarks[image, prior].float()
    landmark_loss = F.smooth_l1_loss(found, wanted, reduction="sum") / max(len(image), 1)

    total = config.box_weight * box_loss + config.class_weight * class_loss + config.landmark_weight * landmark_loss
    return MultiboxResult(total, {"box": box_loss, "class": class_loss, "landmark": landmark_loss}, positive, mined)
