"""``v2_p5``: variants of V2 in which the backbone's last stage may give its parameters to the neck and the heads.

Of the budget's 256,148 parameters, 103,552 are in V2's blocks at stride 32, whose map P5 shows the largest faces only.
Here their width and number are axes, and the neck may be wider than in ``v2_light``. The stages that end in P3 and P4
stay, so that all networks of the space have their trained weights. ``v2_redistributed`` changes these stages too.

The other axes are those of ``v2_light`` without the distillation. No two values of an axis build the same network:
hence the attention's reductions are smaller than there, because P5 may have 96 channels, where 32 and 64 would give the
same hidden widths.
"""

from dataclasses import replace

from harness.core.arch import ARCHS, MOBILENET_STAGES
from harness.core.space import Choice, IntRange, SearchSpace, When

_GATED = ("se", "cbam_plus")

SPACE = SearchSpace(
    name="v2_p5",
    description="the backbone's last stage, attention, neck, context, shuffle and head around V2",
    base=replace(ARCHS["v2"], backbone=MOBILENET_STAGES),
    axes=(
        IntRange("backbone.width_p5", 96, 256, 32),
        IntRange("backbone.depth_p5", 1, 2),
        Choice("attention.name", ("none", "eca", "se", "cbam_plus")),
        Choice("attention.reduction", (8, 16, 32), When("attention.name", _GATED)),
        IntRange("neck.channels", 24, 72, 8),
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
