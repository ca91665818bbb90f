"""``recipe_long``: what is left to gain once V2's schedule is the one that ``recipe`` found; the architecture stays.

Larger crops at the end, since crops of 320 pixels hold no large face; a learning rate above the largest that was tried;
ignore regions, which four epochs could not judge; and the teacher.
"""

from harness.core.arch import ARCHS
from harness.core.space import Choice, SearchSpace

SPACE = SearchSpace(
    name="recipe_long",
    description="longer schedules of the documented student, with and without its teacher",
    base=ARCHS["v2"],
    axes=(
        Choice("train.late_epochs", (0, 2)),
        Choice("train.lr", (4e-3, 8e-3)),
        Choice("train.ignore_unmatched", (False, True)),
        Choice("distill.alpha", (0.0, 0.7)),
    ),
)
