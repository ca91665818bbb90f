"""``v1_slim``: V1's parts in every slot, narrow enough for the documented budget.

V1 has 487,103 parameters. Its depths stay. The widths of backbone and neck are axes, from V1's values downwards, and so
are the reductions of the attention gates, V1's 48 included. The space holds V1 itself.

No two values of an axis build the same network: hence only two reductions after the neck, because at 26 channels all
reductions above 13 give a hidden width of one.
"""

from dataclasses import replace

from harness.core.arch import ARCHS, MOBILENET_STAGES
from harness.core.space import Choice, IntRange, SearchSpace

SPACE = SearchSpace(
    name="v1_slim",
    description="V1's parts, made narrow",
    base=replace(ARCHS["v1"], backbone=MOBILENET_STAGES),
    axes=(
        IntRange("backbone.width_p3", 32, 64, 8),
        IntRange("backbone.width_p4", 64, 128, 16),
        IntRange("backbone.width_p5", 96, 256, 32),
        Choice("attention.reduction", (12, 24, 48)),
        IntRange("neck.channels", 26, 74, 4),
        Choice("neck_attention.reduction", (8, 48)),
    ),
)
