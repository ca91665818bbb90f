"""``recipe``: how V2 is trained without a teacher; the architecture stays.

Each axis is a suspect for slow learning in short schedules: landmarks that dominate the gradient, a backbone that
forgets what it was given, clipping at every step, few steps, crops that show faces larger than validation images do,
small faces that are mined as negatives.
"""

from harness.core.arch import ARCHS
from harness.core.space import Choice, SearchSpace

SPACE = SearchSpace(
    name="recipe",
    description="the training schedule of the documented student, without a teacher",
    base=ARCHS["v2"],
    axes=(
        Choice("train.batch", (4, 8)),
        Choice("train.lr", (1e-3, 2e-3, 4e-3)),
        Choice("train.backbone_lr", (0.1, 1.0)),
        Choice("train.frozen_stages", (0, 1)),
        Choice("train.clip", (10.0, 35.0)),
        Choice("train.ema", (0.0, 0.998)),
        Choice("train.landmark_weight", (0.1, 0.25, 1.0)),
        Choice("train.ignore_unmatched", (False, True)),
        Choice("train.crops", ("retinaface", "scrfd")),
    ),
)
