"""How right a network is on training images, prior by prior, and how much its softened classes say beyond a label."""

import math

import torch
from torch import Tensor

from harness.core.protocol import DistillConfig, TrainConfig
from harness.detection.boxes import decode, iou
from harness.detection.losses import Targets, match, multibox_loss
from harness.models.detector import RawOutput

MISSED = 0.5
"""A positive prior that scores less is counted as missed."""

ON_FACE = 0.5
"""IoU with a true face from which on a box lies on it, as AP has it."""


class AnswerMeter:
    """What a network answers where a teacher teaches, over all batches.

    Args:
        distill: gives T, and the score above which a prior is confident.
    """

    def __init__(self, distill: DistillConfig) -> None:
        self._distill = distill
        self._scores: list[Tensor] = []
        self._soft: dict[str, list[Tensor]] = {"positive": [], "negative": []}
        self._errors = {"box": 0.0, "landmark": 0.0}
        self._faces = {"box": 0, "landmark": 0}
        self._confident = self._unmatched = self._off_face = 0

    def add(self, output: RawOutput, targets: Targets, priors: Tensor, negatives: Tensor) -> None:
        """Take in one batch.

        Args:
            output: of a network in eval mode.
            targets: the faces; padding is all zeros, which no box overlaps.
            priors: (A, 4) of the images' size.
            negatives: (B, A) bool, the priors without a face that the class imitation runs over.
        """
        truth = multibox_loss(output, targets, priors, TrainConfig())
        image, prior = truth.positive.nonzero(as_tuple=True)
        faces = match(targets, priors)[image, prior]
        known = targets.landmarks[image, faces].isfinite().all(dim=1)
        for name, count in (("box", len(image)), ("landmark", int(known.sum()))):
            self._errors[name] += truth.terms[name].item() * count
            self._faces[name] += count

        score = output.classes.softmax(-1)[..., 1]
        self._scores.append(score[truth.positive])
        soft = (output.classes / self._distill.temperature).softmax(-1)[..., 1]
        self._soft["positive"].append(soft[truth.positive])
        self._soft["negative"].append(soft[negatives])

        confident = score > self._distill.score_threshold
        unmatched = confident & ~truth.positive
        self._confident += int(confident.sum())
        self._unmatched += int(unmatched.sum())
        for boxes, true, chosen in zip(output.boxes, targets.boxes, unmatched, strict=True):
            overlaps = iou(decode(boxes[chosen], priors[chosen]), true)
            self._off_face += int((overlaps.amax(dim=1) < ON_FACE).sum())

    def result(self) -> dict[str, float | int | None]:
        """Return the answers' numbers; None where there is nothing to take a mean of.

        ``positives`` counts the positive priors, ``score`` is their mean face score and ``missed_share`` the share of
        them that score less than 0.5; ``box_error`` and ``landmark_error`` are smooth L1 of the encoded offsets from
        the truth, summed over the offsets, a positive prior. Of the ``confident`` priors, ``unmatched_share`` are no
        positives and ``false_alarm_share`` are none and have their box on no true face; 0 where no prior is confident.
        ``entropy_positive`` and ``entropy_negative`` are mean entropies in bits of the classes softened by T, where a
        label's is 0; ``spread_positive`` and ``spread_negative`` are standard deviations of the softened face
        probability among the priors of one label: with two classes, all that it tells them apart by.
        """
        scores, confident = torch.cat(self._scores), max(self._confident, 1)
        soft = {label: torch.cat(found).double() for label, found in self._soft.items()}
        return {
            "positives": len(scores),
            "score": _mean(scores),
            "missed_share": _mean(scores < MISSED),
            **{f"{k}_error": self._errors[k] / self._faces[k] if self._faces[k] else None for k in self._errors},
            "confident": self._confident,
            "unmatched_share": self._unmatched / confident,
            "false_alarm_share": self._off_face / confident,
            **{f"entropy_{label}": _mean(_entropy(chance)) for label, chance in soft.items()},
            **{f"spread_{k}": p.std(correction=0).item() if len(p) else None for k, p in soft.items()},
        }


def _entropy(chance: Tensor) -> Tensor:
    nats: Tensor = torch.special.entr(chance) + torch.special.entr(1 - chance)
    return nats / math.log(2)


def _mean(values: Tensor) -> float | None:
    return values.double().mean().item() if len(values) else None
