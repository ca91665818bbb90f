"""Gradients by loss term: their norms, and their cosines to the ground-truth gradient.

Two gradients are compared by their cosine, as in Yu et al., "Gradient Surgery for Multi-Task Learning" (arXiv
2001.06782, section 2): where it is negative, a step along one undoes a part of a step along
the other.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness.core.training import DistillConfig, TrainConfig
from harness.data.batches import Batch
from harness.detection.losses import multibox_loss
from harness.models.detector import Detector, RawOutput
from harness.training.distill import Distiller

TRUTH = ("box", "class", "landmark")
"""Loss terms of the ground truth; all others are the teacher's."""


def term_weights(train: TrainConfig, distill: DistillConfig) -> dict[str, float]:
    """Return term → its factor in the loss that training minimises."""
    truth = {"box": train.box_weight, "class": train.class_weight, "landmark": train.landmark_weight}
    return {
        **{name: (1 - distill.alpha) * weight for name, weight in truth.items()},
        **{name: distill.alpha * weight for name, weight in distill.weights.items()},
        "feature": distill.feature_weight,
    }


def term_gradients(
    student: Detector, taught: RawOutput, batch: Batch, priors: Tensor, train: TrainConfig, distiller: Distiller
) -> dict[str, Tensor]:
    """Return term → its gradient with respect to the student's parameters, times its weight in the total loss.

    Their sum is the gradient of the total loss.

    Args:
        student: in train mode, so that BatchNorms use the batch's statistics, as in training.
        taught: the teacher's output for ``batch``.
        batch: images with their faces.
        priors: (A, 4), for the size of the images.
        train: weights of the ground truth's terms.
        distiller: provides α, λ, T and the adapters; with α = λ = 0 there are only the ground truth's terms.

    Returns:
        One float64 (P,) per term, in the order of ``student.parameters()``.
    """
    output = student.raw(batch.images)
    truth = multibox_loss(output, batch.targets, priors, train)
    terms = truth.terms | distiller.loss(output, taught, truth)[1]
    weights, parameters = term_weights(train, distiller.config), list(student.parameters())
    gradients = {}
    for name, term in terms.items():
        found = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
        gradients[name] = weights[name] * torch.cat([gradient.flatten().double() for gradient in found])
    return gradients


class GradientMeter:
    """Norms and cosines of every term's gradient, averaged over batches.

    Args:
        student: norms are also given for each of its direct children (the parts).
    """

    def __init__(self, student: nn.Module) -> None:
        self._sizes = {name: sum(p.numel() for p in part.parameters()) for name, part in student.named_children()}
        self._norms: dict[str, list[list[float]]] = {}
        self._cosines: dict[str, list[float]] = {}

    def add(self, gradients: Mapping[str, Tensor]) -> None:
        """Add what ``term_gradients`` returns for one batch."""
        truth = torch.stack([gradients[name] for name in TRUTH]).sum(0)
        imitation = [gradient for name, gradient in gradients.items() if name not in TRUTH]
        taught = {"teacher": torch.stack(imitation).sum(0)} if imitation else {}
        total = torch.stack([*gradients.values()]).sum(0)
        for name, gradient in {**gradients, "truth": truth, **taught, "total": total}.items():
            parts = torch.split(gradient, [*self._sizes.values()])
            self._norms.setdefault(name, []).append([one.norm().item() for one in (gradient, *parts)])
            scale = (gradient.norm() * truth.norm()).item()
            self._cosines.setdefault(name, []).extend([(gradient @ truth).item() / scale] if scale > 0 else [])

    def result(self) -> dict[str, dict[str, Any]]:
        """Return one row per term, and one for each of the sums ``truth``, ``teacher`` (if it has terms) and ``total``.

        A row has the mean ``norm``; ``parts``: part → mean norm in it; ``share``: norm over the sum of all terms'
        norms (for a sum, the shares of its terms added up), None where all are zero; ``cosine`` and ``cosine_std``:
        mean and standard deviation over the batches of the cosine to the truth's gradient on the same batch, None
        where either gradient is zero in every batch.
        """
        norms = {name: np.mean(rows, axis=0).tolist() for name, rows in self._norms.items()}
        terms = [name for name in norms if name not in ("truth", "teacher", "total")]
        members = {name: [name] for name in terms} | {
            "truth": [*TRUTH],
            "teacher": [name for name in terms if name not in TRUTH],
            "total": terms,
        }
        whole = sum(norms[name][0] for name in terms)
        rows: dict[str, dict[str, Any]] = {}
        for name, (norm, *parts) in norms.items():
            cosines = self._cosines[name]
            rows[name] = {
                "norm": norm,
                "share": sum(norms[member][0] for member in members[name]) / whole if whole else None,
                "cosine": float(np.mean(cosines)) if cosines else None,
                "cosine_std": float(np.std(cosines)) if cosines else None,
                "parts": {part: n for (part, size), n in zip(self._sizes.items(), parts, strict=True) if size},
            }
        return rows
