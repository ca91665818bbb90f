"""``v1_to_v2``: V1's or V2's part in every slot, so that V1 can be changed into V2 one part at a time.

The neck's width is a separate axis, because V2's grouped convolutions cannot be built on V1's 74 channels, while V1's
neck can be built with V2's 32.
"""

from harness.core.arch import ARCHS
from harness.core.space import Choice, SearchSpace, When

SPACE = SearchSpace(
    name="v1_to_v2",
    description="V1's or V2's part in every slot",
    base=ARCHS["v2"],
    axes=(
        Choice("attention.name", ("cbam", "cbam_plus")),
        Choice("attention.reduction", (48,), When("attention.name", ("cbam",))),
        Choice("neck.name", ("bifpn", "bifpn_light")),
        Choice("neck.channels", (74, 32)),
        Choice("neck.repeats", (2,)),
        Choice("neck_attention.name", ("cbam", "cbam_plus")),
        Choice("neck_attention.reduction", (48,), When("neck_attention.name", ("cbam",))),
        Choice("context.name", ("conv3x3", "ssh_grouped")),
        Choice("shuffle.name", ("shuffle", "shuffle_conv")),
        Choice("shuffle.groups", (2,), When("shuffle.name", ("shuffle",))),
        Choice("head.name", ("separate", "shared_multi")),
    ),
)
