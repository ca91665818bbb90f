"""Distillation: the loss terms by which a student imitates a frozen teacher.

loss = (1 - α) · ground truth + α · (w₁ · T² · KL of class logits + w₂ · box + w₃ · landmark imitation)
       + λ · feature imitation

- The class term is Hinton et al.'s (arXiv 1503.02531, section 2): KL(teacher ‖ student) of distributions softened by
  T, times T², so that its gradients keep their size as T changes. It covers positives, mined negatives and confident
  priors, whose face score by the teacher exceeds a threshold. Other priors are left out, because most of them are
  background on which both networks agree, and they would dominate the term (Chen et al., "Learning Efficient Object
  Detection Models with Knowledge Distillation", NeurIPS 2017).
- The box and landmark terms are smooth L1 between the encoded offsets. They cover only positive and confident priors:
  a detector is not trained to predict boxes on background, so imitating those would copy noise (the same paper,
  section 3.3; Wang et al., arXiv 1906.03609).
- ``conditional`` leaves out the priors that the teacher classifies wrongly at a face score of 0.5 (conditional
  teacher-student learning, Meng et al., arXiv 1904.12399, section 2). There, the ground truth of the class has the
  full weight, as in the paper, and not 1 - α. Boxes and landmarks are then imitated on the positive priors that the
  teacher finds. The divisor below stays.
- All three terms are sums divided by the number of positive or confident priors in the batch. The multibox loss is
  divided by the number of positives, so α weights terms of the same scale.
- The feature term imitates the maps that enter the heads, through one trainable 1×1 convolution per level (FitNets,
  Romero et al., arXiv 1412.6550). Each level's mean squared error is divided by the variance of the teacher's map, and
  the levels are averaged. FitNets does not normalise; here, λ has the same meaning for every teacher and level, and a
  student that always predicts the teacher's mean has a feature term of about 1.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.core.retinaface import STRIDES
from harness.core.training import DistillConfig
from harness.detection.losses import MultiboxResult, picker
from harness.models.detector import RawOutput

_SMALLEST_VARIANCE = 1e-6
_FACE = 0.5


class HasFeatures(Protocol):
    """A network that states the number of channels of the maps that enter its heads."""

    feature_channels: int


class Distiller(nn.Module):
    """The imitation terms and their trainable adapters. Not part of the student; it is dropped after training.

    Args:
        teacher: gives the output channels of the adapters.
        student: gives the input channels of the adapters.
        config: T, α, λ and the score threshold.
    """

    def __init__(self, teacher: HasFeatures, student: HasFeatures, config: DistillConfig) -> None:
        super().__init__()
        self.config = config
        levels = len(STRIDES) if config.feature_weight > 0 else 0
        self.adapters = nn.ModuleList(
            _Adapter(student.feature_channels, teacher.feature_channels, 1) for _ in range(levels)
        )

    def loss(
        self, student: RawOutput, teacher: RawOutput, ground_truth: MultiboxResult
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of the module's docstring, and each imitation term before it is weighted.

        Args:
            student: the student's output for a batch of B images with A priors, with gradients.
            teacher: the teacher's output for the same batch, computed under ``no_grad``.
            ground_truth: the multibox loss of the student, with its positives and mined negatives (B, A).

        Returns:
            The scalar to minimise, and a dict of ``distill_class`` (with its T²), ``distill_box``,
            ``distill_landmark`` (all three if α > 0) and ``feature`` (if λ > 0). Terms are zero if student and teacher
            are identical.
        """
        alpha = self.config.alpha
        total = (1 - alpha) * ground_truth.total
        terms: dict[str, Tensor] = {}
        if alpha > 0:
            right = _right(teacher, ground_truth.positive) if self.config.conditional else None
            terms |= self._outputs(student, teacher, ground_truth, right)
            total = total + alpha * sum(weight * terms[name] for name, weight in self.config.weights.items())
            if right is not None:
                total = total + alpha * ground_truth.class_parts.masked_fill(right, 0).sum()
        if self.adapters:
            terms["feature"] = self._features(student, teacher)
            total = total + self.config.feature_weight * terms["feature"]
        return total, terms

    def _outputs(
        self, student: RawOutput, teacher: RawOutput, ground_truth: MultiboxResult, right: Tensor | None
    ) -> dict[str, Tensor]:
        score = _face_score(teacher)
        faces = ground_truth.positive | (score > self.config.score_threshold)
        chosen = faces | ground_truth.mined
        count = faces.sum().clamp(min=1)
        if right is not None:
            faces, chosen = ground_truth.positive & right, chosen & right
        temperature = self.config.temperature

        at = picker(chosen)
        ours, theirs = ((at(of.classes).float() / temperature).log_softmax(-1) for of in (student, teacher))
        divergence = F.kl_div(ours, theirs, reduction="none", log_target=True).sum(-1)
        terms = {"distill_class": temperature**2 * (divergence * at(chosen)).sum() / count}
        at = picker(faces)
        for name, ours, theirs in (
            ("distill_box", at(student.boxes), at(teacher.boxes)),
            ("distill_landmark", at(student.landmarks), at(teacher.landmarks)),
        ):
            error = F.smooth_l1_loss(ours.float(), theirs.float(), reduction="none").sum(-1)
            terms[name] = (error * at(faces)).sum() / count
        return terms

    def _features(self, student: RawOutput, teacher: RawOutput) -> Tensor:
        errors = []
        for adapter, ours, theirs in zip(self.adapters, student.features, teacher.features, strict=True):
            theirs = theirs.float()
            errors.append(F.mse_loss(adapter(ours).float(), theirs) / theirs.var().clamp(min=_SMALLEST_VARIANCE))
        return torch.stack(errors).mean()


def _face_score(output: RawOutput) -> Tensor:
    return output.classes.softmax(-1)[..., 1]


def _right(teacher: RawOutput, positive: Tensor) -> Tensor:
    """Return where the teacher classifies a prior as the ground truth does: (B, A) bool."""
    return (_face_score(teacher) > _FACE) == positive


class _Adapter(nn.Conv2d):
    """A 1×1 convolution from the student's channels to the teacher's; between equal numbers it starts as identity."""

    def reset_parameters(self) -> None:
        super().reset_parameters()
        if self.in_channels == self.out_channels:
            nn.init.dirac_(self.weight)
            nn.init.zeros_(self.bias)  # type: ignore[arg-type]
