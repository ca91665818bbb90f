"""The multibox loss: matching of priors to faces, hard negative mining, three terms (RetinaFace, arXiv 1905.00641)."""

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
"""A face is matched to its best prior if their IoU is at least this, even if that prior matched another face."""

NEGATIVES = 7
"""Number of hardest negatives per positive prior of an image that enter the class loss."""


class Targets(NamedTuple):
    """The faces of a batch, padded to the same number.

    Attributes:
        boxes: (B, M, 4) x1, y1, x2, y2 in pixels of the network's input.
        landmarks: (B, M, 10) in the same pixels, NaN if a face has none.
        valid: (B, M) bool, True for faces and False for padding.
    """

    boxes: Tensor
    landmarks: Tensor
    valid: Tensor


class MultiboxResult(NamedTuple):
    """The weighted ``total``, the unweighted ``terms`` (box, class, landmark), and the priors that entered the loss.

    ``positive`` and ``mined`` (the mined negatives) are (B, A) bool and disjoint.
    """

    total: Tensor
    terms: dict[str, Tensor]
    positive: Tensor
    mined: Tensor


def match(targets: Targets, priors: Tensor) -> Tensor:
    """Return the face that each prior must predict: int64 (B, A), a row of ``targets``, or -1.

    A prior is first matched to the face with the highest IoU, if that IoU is at least 0.35; among equal IoUs, to the
    first face. Each face is then matched to its best prior, if their IoU is at least 0.2. This replaces the prior's
    first match; if several faces have the same best prior, the last of them is matched. A face with a lower IoU is
    ignored. In RetinaFace's published code, such a face replaces the target of its best prior.
    """
    batch, most = targets.valid.shape
    count = len(priors)
    image, row = targets.valid.nonzero(as_tuple=True)
    matched = torch.full((batch * count,), -1, device=priors.device, dtype=torch.int64)
    if len(image) == 0:
        return matched.view(batch, count)

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
    return torch.where(last >= 0, last, matched).view(batch, count)


def mine(losses: Tensor, positive: Tensor) -> Tensor:
    """Return the hardest negatives: (B, A) bool, seven for each positive of the same image.

    Args:
        losses: (B, A) classification losses.
        positive: (B, A) bool.
    """
    wanted = NEGATIVES * positive.sum(dim=1, keepdim=True)
    most = min(int(wanted.max()), losses.shape[1])
    hardest = losses.masked_fill(positive, -torch.inf).topk(most, dim=1).indices
    rank = torch.arange(most, device=losses.device)
    return torch.zeros_like(positive).scatter_(1, hardest, rank < wanted) & ~positive


def multibox_loss(output: RawOutput, targets: Targets, priors: Tensor, config: TrainConfig) -> MultiboxResult:
    """Return RetinaFace's multibox loss of a batch.

    The class term is the cross-entropy over positives and mined negatives. The box term is smooth L1 over positives.
    Both are sums divided by the number of positives in the batch. The landmark term is smooth L1 over the positives
    whose face has landmarks, a sum divided by their number. Both divisors are at least 1.

    Args:
        output: the detector's boxes (B, A, 4), class logits (B, A, 2) and landmarks (B, A, 10).
        targets: the faces of the same images.
        priors: (A, 4) for the input's size, on the same device.
        config: gives the weights of the terms.
    """
    matched = match(targets, priors)
    positive = matched >= 0
    image, prior = positive.nonzero(as_tuple=True)
    row = matched[image, prior]
    count = max(len(image), 1)

    # With two classes, the cross-entropy is softplus of the wrong logit minus the right one.
    margin = output.classes[..., 1].float() - output.classes[..., 0].float()
    losses = F.softplus(torch.where(positive, -margin, margin))
    mined = mine(losses.detach(), positive)
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
