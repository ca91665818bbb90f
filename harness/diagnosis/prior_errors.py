"""Errors of a network on training images by prior, and the entropy and spread of its softened classes."""

import math

import torch
from torch import Tensor

from harness.core.training import DistillConfig, TrainConfig
from harness.detection.boxes import decode, iou
from harness.detection.losses import multibox_loss
from harness.detection.matching import Targets, match
from harness.models.detector import RawOutput

MISSED = 0.5
"""A positive prior with a lower face score is missed."""

ON_FACE = 0.5
"""Least IoU of a box with an annotated face for the box to lie on that face, as in AP."""


class PriorErrors:
    """A network's errors on the priors that distillation uses, over all batches.

    Args:
        distill: provides T, and the score above which a prior is confident.
    """

    def __init__(self, distill: DistillConfig) -> None:
        self._distill = distill
        self._scores: list[Tensor] = []
        self._soft: dict[str, list[Tensor]] = {"positive": [], "negative": []}
        self._errors = {"box": 0.0, "landmark": 0.0}
        self._faces = {"box": 0, "landmark": 0}
        self._confident = self._unmatched = self._off_face = 0

    def add(self, output: RawOutput, targets: Targets, priors: Tensor, negatives: Tensor) -> None:
        """Add one batch.

        Args:
            output: output of a network in eval mode.
            targets: the faces.
            priors: (A, 4), for the size of the images.
            negatives: (B, A) bool, the negative priors that the class imitation includes.
        """
        truth = multibox_loss(output, targets, priors, TrainConfig())
        image, prior = truth.positive.nonzero(as_tuple=True)
        faces = match(targets, priors).face[image, prior]
        known = targets.landmarks[faces].isfinite().all(dim=1)
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
        for boxes, rows, selected in zip(output.boxes, targets.slices(), unmatched, strict=True):
            overlaps = iou(decode(boxes[selected], priors[selected]), targets.boxes[rows])
            self._off_face += len(overlaps) - int((overlaps >= ON_FACE).any(dim=1).sum())

    def result(self) -> dict[str, float | int | None]:
        """Return the errors as numbers; None where no prior contributes.

        - ``positives``: the number of positive priors; ``score``: their mean face score; ``missed_share``: the share of
          them that score less than 0.5.
        - ``box_error``, ``landmark_error``: smooth L1 between the network's encoded offsets and the truth's, summed
          over the offsets, mean over positive priors.
        - ``confident``: the number of priors above the score threshold; ``unmatched_share``: the share of them that
          are not positive; ``false_alarm_share``: the share of them that are not positive and whose box lies on no
          annotated face.
        - ``entropy_positive``, ``entropy_negative``: mean entropy, in bits, of the classes softened by T; a hard
          label's is 0.
        - ``spread_positive``, ``spread_negative``: standard deviation of the softened face probability among the priors
          of one label. With two classes, it is all that distinguishes them.
        """
        scores = torch.cat(self._scores)
        soft = {label: torch.cat(found).double() for label, found in self._soft.items()}
        return {
            "positives": len(scores),
            "score": _mean(scores),
            "missed_share": _mean(scores < MISSED),
            **{f"{name}_error": _ratio(self._errors[name], self._faces[name]) for name in self._errors},
            "confident": self._confident,
            "unmatched_share": _ratio(self._unmatched, self._confident),
            "false_alarm_share": _ratio(self._off_face, self._confident),
            **{f"entropy_{label}": _mean(_entropy(chance)) for label, chance in soft.items()},
            **{f"spread_{k}": p.std(correction=0).item() if len(p) else None for k, p in soft.items()},
        }


def _entropy(chance: Tensor) -> Tensor:
    nats: Tensor = torch.special.entr(chance) + torch.special.entr(1 - chance)
    return nats / math.log(2)


def _mean(values: Tensor) -> float | None:
    return values.double().mean().item() if len(values) else None


def _ratio(part: float, whole: int) -> float | None:
    return part / whole if whole else None
