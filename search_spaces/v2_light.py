"""``v2_light``: variants of V2 with the documented backbone, for the documented budget.

The backbone has 213,072 of the budget's 256,148 parameters; the axes decide how the other 43,076 are used. No two
values of an axis build the same network. Therefore the reductions of the attention gates give different hidden widths
at every number of channels, and three values are left out: ``reduction_factor`` 2, because two 1×1 convolutions through
half the width save no parameters; ``shuffle``, which only renumbers channels before a dense convolution; and ``ssh``,
which is ``ssh_grouped`` with one group and no reduction.
"""

from harness.core.arch import ARCHS
from harness.core.space import Choice, IntRange, SearchSpace, When

_GATED = ("se", "cbam_plus")

SPACE = SearchSpace(
    name="v2_light",
    description="attention, neck, context, shuffle, head and distillation around the documented student",
    base=ARCHS["v2"],
    axes=(
        Choice("attention.name", ("none", "eca", "se", "cbam_plus")),
        Choice("attention.reduction", (16, 32, 64), When("attention.name", _GATED)),
        IntRange("neck.channels", 24, 48, 4),
        IntRange("neck.repeats", 1, 3),
        Choice("neck.reduction_factor", (1, 4)),
        Choice("neck_attention.name", ("none", "eca", "se", "cbam_plus")),
        Choice("neck_attention.reduction", (4, 32), When("neck_attention.name", _GATED)),
        Choice("neck_attention.shared_gate", (False, True), When("neck_attention.name", ("cbam_plus",))),
        Choice("context.name", ("none", "conv3x3", "ssh_grouped")),
        Choice("context.groups", (1, 2, 4), When("context.name", ("ssh_grouped",))),
        Choice("context.reduction", (0, 2, 4), When("context.name", ("ssh_grouped",))),
        Choice("shuffle.name", ("none", "shuffle_conv")),
        Choice("shuffle.groups", (1, 2, 4), When("shuffle.name", ("shuffle_conv",))),
        Choice("head.trunk", ("none", "depthwise", "conv")),
        Choice("head.per_level", (False, True)),
        Choice("distill.alpha", (0.0, 0.3, 0.7)),
        Choice("distill.temperature", (2.0, 4.0), When("distill.alpha", (0.3, 0.7))),
        Choice("distill.feature_weight", (0.0, 10.0)),
    ),
)
