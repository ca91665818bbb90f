"""``v2_redistributed``: variants of V2 in which the backbone's widths and depths are axes too.

V2's backbone takes 213,072 of the budget's 256,148 parameters, 103,552 of them in the stage that ends in P5. Here the
budget is distributed over stages, neck and heads at once, as SCRFD distributes computation (arXiv 2105.04714). The
blocks at stride 4 stay two: the blocks after them are numbered on, and networks could not share their weights by name.

The other axes are those of ``v2_light`` without the distillation, and the neck may be wider. No two values of an axis
build the same network: hence the attention's reductions are smaller than there, because P5 may have 96 channels, where
32 and 64 would give the same hidden widths.
"""

from dataclasses import replace

from harness.core.arch import ARCHS, MOBILENET_STAGES
from harness.core.space import Choice, IntRange, SearchSpace, When

_GATED = ("se", "cbam_plus")

SPACE = SearchSpace(
    name="v2_redistributed",
    description="widths and depths of the backbone, attention, neck, context, shuffle and head around V2",
    base=replace(ARCHS["v2"], backbone=MOBILENET_STAGES),
    axes=(
        IntRange("backbone.width_p3", 48, 96, 16),
        IntRange("backbone.width_p4", 96, 160, 32),
        IntRange("backbone.width_p5", 96, 256, 32),
        IntRange("backbone.depth_p3", 1, 4),
        IntRange("backbone.depth_p4", 2, 8, 2),
        IntRange("backbone.depth_p5", 1, 3),
        Choice("attention.name", ("none", "eca", "se", "cbam_plus")),
        Choice("attention.reduction", (8, 16, 32), When("attention.name", _GATED)),
        IntRange("neck.channels", 24, 64, 8),
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
    ),
)
