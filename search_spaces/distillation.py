"""``distillation``: how V2 is taught by its teacher; architecture and schedule stay.

Each axis is a suspect for a teacher without a gain: too little of the ground truth, class probabilities so soft that
the imitation is a regression of logits, the teacher's errors, feature maps that are hardly imitated.
"""

from harness.core.arch import ARCHS
from harness.core.space import Choice, SearchSpace

SPACE = SearchSpace(
    name="distillation",
    description="the distillation of the documented student",
    base=ARCHS["v2"],
    axes=(
        Choice("distill.alpha", (0.35, 0.7)),
        Choice("distill.temperature", (1.0, 4.0)),
        Choice("distill.conditional", (False, True)),
        Choice("distill.feature_weight", (0.0, 10.0)),
    ),
)
