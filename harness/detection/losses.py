"""The multibox loss: matching of priors to faces, hard negative mining, three terms (RetinaFace, arXiv 1905.00641)."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from harness.core.training import TrainConfig
from harness.detection.boxes import encode, encode_landmarks
from harness.detection.matching import Targets, match
from harness.models.detector import RawOutput
from harness.models.device import on_accelerator

NEGATIVES = 7
"""Number of hardest negatives per positive prior of an image that enter the class loss."""


class MultiboxResult(NamedTuple):
    """The multibox loss of a batch.

    Attributes:
        total: the weighted sum of the terms, a scalar.
        terms: ``box``, ``class`` and ``landmark``, unweighted.
        class_parts: (B, A), each prior's part in ``total`` through the class term; 0 if it did not enter the loss.
        positive, mined: (B, A) bool, disjoint: the positives and the mined negatives.
    """

    total: Tensor
    terms: dict[str, Tensor]
    class_parts: Tensor
    positive: Tensor
    mined: Tensor


def mine(losses: Tensor, positive: Tensor, ignored: Tensor | None = None) -> Tensor:
    """Return the hardest negatives: (B, A) bool, seven for each positive of the same image.

    Args:
        losses: (B, A) classification losses.
        positive: (B, A) bool.
        ignored: (B, A) bool, priors that must not be mined.
    """
    wanted = NEGATIVES * positive.sum(dim=1, keepdim=True)
    count = losses.shape[1]
    # On an accelerator, all priors are ranked, because reading the largest number wanted would wait for it.
    most = count if on_accelerator(losses) else min(int(wanted.max()), count)
    apart = positive if ignored is None else positive | ignored
    hardest = losses.masked_fill(apart, -torch.inf).topk(most, dim=1).indices
    rank = torch.arange(most, device=losses.device)
    return torch.zeros_like(positive).scatter_(1, hardest, rank < wanted) & ~apart


def picker(mask: Tensor) -> Callable[[Tensor], Tensor]:
    """Return a function from values (B, A, …) to the rows (n, …) over which a loss of the priors in ``mask`` is summed.

    On the CPU, these are the rows of the priors in ``mask``, (B, A) bool. On an accelerator, these are all rows,
    because reading the number of priors in the mask would wait for it. The caller therefore masks every summand.
    """
    if on_accelerator(mask):
        return lambda values: values.flatten(0, 1)
    image, prior = mask.nonzero(as_tuple=True)
    return lambda values: values[image, prior]


def multibox_loss(output: RawOutput, targets: Targets, priors: Tensor, config: TrainConfig) -> MultiboxResult:
    """Return RetinaFace's multibox loss of a batch, without waiting for the device.

    The class term is the cross-entropy over positives and mined negatives. The box term is smooth L1 over positives.
    Both are sums divided by the number of positives in the batch. The landmark term is smooth L1 over the positives
    whose face has landmarks, a sum divided by their number. Both divisors are at least 1.

    Args:
        output: the detector's boxes (B, A, 4), class logits (B, A, 2) and landmarks (B, A, 10).
        targets: the faces of the same images.
        priors: (A, 4) for the input's size, on the same device.
        config: gives the weights of the terms.
    """
    matching = match(targets, priors, ignore=config.ignore_unmatched)
    positive = matching.face >= 0
    count = positive.sum().clamp(min=1)

    # With two classes, the cross-entropy is softplus of the wrong logit minus the right one.
    margin = output.classes[..., 1].float() - output.classes[..., 0].float()
    losses = F.softplus(torch.where(positive, -margin, margin))
    mined = mine(losses.detach(), positive, matching.ignored)
    losses = losses.masked_fill(~(positive | mined), 0)
    class_loss = losses.sum() / count

    at = picker(positive)
    face, own, own_priors = at(matching.face).clamp(min=0), at(positive), at(priors.expand(len(positive), -1, -1))
    boxes, landmarks = (_at_least_one(of) for of in (targets.boxes, targets.landmarks))
    errors = F.smooth_l1_loss(at(output.boxes).float(), encode(boxes[face], own_priors), reduction="none").sum(1)
    box_loss = torch.where(own, errors, 0).sum() / count

    points = landmarks[face]
    known = own & points.isfinite().all(dim=1)
    errors = F.smooth_l1_loss(
        at(output.landmarks).float(), encode_landmarks(points.nan_to_num(), own_priors), reduction="none"
    ).sum(1)
    landmark_loss = torch.where(known, errors, 0).sum() / known.sum().clamp(min=1)

    total = config.box_weight * box_loss + config.class_weight * class_loss + config.landmark_weight * landmark_loss
    terms = {"box": box_loss, "class": class_loss, "landmark": landmark_loss}
    return MultiboxResult(total, terms, config.class_weight * losses / count, positive, mined)


def _at_least_one(rows: Tensor) -> Tensor:
    """Return the rows, or one that no prior is matched with, so that indexing works without faces too."""
    return rows if len(rows) else torch.arange(rows.shape[1], dtype=rows.dtype, device=rows.device)[None]
