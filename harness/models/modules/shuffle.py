"""Channel shuffles between the context modules and the heads."""

import torch.nn.functional as F
from torch import Tensor, nn

from harness.models.modules.conv import conv_norm, conv_norm_cost, relu
from harness.models.modules.part import (
    NOTHING,
    Component,
    Cost,
    Identity,
    Levels,
    Misfit,
    Option,
    PerLevel,
    divisors,
    total,
)
from harness.models.registry import Registry


class _Interleave(nn.Module):
    """View the channels as (``rows``, C / ``rows``) and transpose."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows = rows

    def forward(self, image: Tensor) -> Tensor:
        """Reorder the channels of (B, C, h, w)."""
        return F.channel_shuffle(image, self.rows)

    def extra_repr(self) -> str:
        return f"rows={self.rows}"


class Shuffle(PerLevel):
    """V1's shuffle (ShuffleNet, arXiv 1707.01083): channels viewed as (groups, C / groups) and transposed."""

    def __init__(self, inputs: Levels, *, groups: int) -> None:
        super().__init__(lambda _: _Interleave(groups), inputs)

    @staticmethod
    def cost(inputs: Levels, positions: Levels, *, groups: int) -> Cost:
        """Return a zero cost."""
        return NOTHING

    @staticmethod
    def misfit(inputs: Levels, *, groups: int) -> Misfit | None:
        """Refuse groups that do not divide the channels, and groups of one channel, which would keep the order."""
        allowed = divisors(inputs[0])[1:-1]
        if groups not in allowed:
            return Misfit(
                "groups", f"must divide the {inputs[0]} channels and leave more than one channel per group", allowed
            )
        return None


class _ShuffleConvLevel(nn.Sequential):
    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.shuffle = _Interleave(groups)
        self.squeeze = conv_norm(channels, channels // 2, 1, relu(), groups=groups)
        self.expand = conv_norm(channels // 2, channels, 1, relu(), groups=groups)


class ShuffleConv(PerLevel):
    """V2's counted ChannelShuffle_Light: shuffle → grouped 1×1 C → C/2 → BN → ReLU → grouped 1×1 C/2 → C → BN → ReLU.

    Channels are viewed as (groups, C / groups) and transposed.
    """

    def __init__(self, inputs: Levels, *, groups: int) -> None:
        super().__init__(lambda channels: _ShuffleConvLevel(channels, groups), inputs)

    @staticmethod
    def cost(inputs: Levels, positions: Levels, *, groups: int) -> Cost:
        """Return the cost of the three levels."""
        return total(
            [
                conv_norm_cost(c, c // 2, 1, pixels, groups=groups)
                + conv_norm_cost(c // 2, c, 1, pixels, groups=groups)
                for c, pixels in zip(inputs, positions, strict=True)
            ]
        )

    @staticmethod
    def misfit(inputs: Levels, *, groups: int) -> Misfit | None:
        """Refuse groups that do not divide half the channels."""
        odd = _halves(inputs)
        if odd is not None:
            return odd
        half = inputs[0] // 2
        if half % groups:
            return Misfit("groups", f"must divide half of the {inputs[0]} channels", divisors(half))
        return None


class _ShuffleDepthwiseLevel(nn.Sequential):
    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.shuffle = _Interleave(half)
        self.squeeze = conv_norm(channels, half, 1)
        self.depthwise = conv_norm(half, half, 3, groups=half)
        self.expand = conv_norm(half, channels, 1, relu())


class ShuffleDepthwise(PerLevel):
    """The released FeatherFace's shuffle: shuffle → 1×1 C → C/2 → BN → depthwise 3×3 → BN → 1×1 C/2 → C → BN → ReLU.

    Channels are viewed as (C / 2, 2) and transposed, the inverse of ``shuffle`` with two groups. The released weights
    need this order. The order is not an option, because a dense convolution follows, whose inputs it only renumbers.
    """

    def __init__(self, inputs: Levels) -> None:
        super().__init__(_ShuffleDepthwiseLevel, inputs)

    @staticmethod
    def cost(inputs: Levels, positions: Levels) -> Cost:
        """Return the cost of the three levels."""
        return total(
            [
                conv_norm_cost(c, c // 2, 1, pixels)
                + conv_norm_cost(c // 2, c // 2, 3, pixels, groups=c // 2)
                + conv_norm_cost(c // 2, c, 1, pixels)
                for c, pixels in zip(inputs, positions, strict=True)
            ]
        )

    @staticmethod
    def misfit(inputs: Levels) -> Misfit | None:
        """Refuse odd numbers of channels."""
        return _halves(inputs)


def _halves(inputs: Levels) -> Misfit | None:
    """Refuse odd numbers of channels."""
    if inputs[0] % 2:
        return Misfit("", f"halves every level, but the neck has {inputs[0]} channels, an odd number")
    return None


SHUFFLES: Registry[Component] = Registry("shuffle")
SHUFFLES.add("none", Component(Identity, Identity.cost), "no shuffle", "this project")
SHUFFLES.add(
    "shuffle",
    Component(
        Shuffle, Shuffle.cost, (Option("groups", "number of groups that exchange channels", low=2),), Shuffle.misfit
    ),
    "reorders channels across groups, no parameters (V1)",
    "ShuffleNet, arXiv 1707.01083",
)
SHUFFLES.add(
    "shuffle_conv",
    Component(
        ShuffleConv,
        ShuffleConv.cost,
        (Option("groups", "groups of the shuffle and of both 1×1 convolutions"),),
        ShuffleConv.misfit,
    ),
    "a shuffle and two grouped 1×1 convolutions through half the width (V2 as counted)",
    "ShuffleNet, arXiv 1707.01083, as FeatherFace V2's counted ChannelShuffle_Light has it",
)
SHUFFLES.add(
    "shuffle_depthwise",
    Component(ShuffleDepthwise, ShuffleDepthwise.cost, misfit=ShuffleDepthwise.misfit),
    "a shuffle, then a depthwise 3×3 between dense 1×1 convolutions through half the width (the released FeatherFace)",
    "ShuffleNet, arXiv 1707.01083, as the released FeatherFace has it",
)
