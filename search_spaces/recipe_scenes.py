"""``recipe_scenes``: how V2 is trained without a teacher on synthetic scenes; the architecture stays.

The axes are those of ``recipe``, with the learning rates and batches of trainings of a minute.
"""

from harness.core.arch import ARCHS
from harness.core.space import Choice, SearchSpace

SPACE = SearchSpace(
    name="recipe_scenes",
    description="the training schedule of the documented student on synthetic scenes, without a teacher",
    base=ARCHS["v2"],
    axes=(
        Choice("train.batch", (8, 16)),
        Choice("train.lr", (5e-3, 1e-2, 2e-2)),
        Choice("train.backbone_lr", (0.1, 1.0)),
        Choice("train.frozen_stages", (0, 1)),
        Choice("train.clip", (10.0, 35.0)),
        Choice("train.ema", (0.0, 0.99)),
        Choice("train.landmark_weight", (0.1, 0.25, 1.0)),
        Choice("train.ignore_unmatched", (False, True)),
        Choice("train.crops", ("retinaface", "scrfd")),
    ),
)
