"""Attention over the three levels, after the backbone or after the neck.

Every entry returns ``relu(attention(x) + x)``, FeatherFace's residual around its CBAM. ``none`` returns ``relu(x)``, so
that an ablation of the attention changes nothing else.
"""

import math

import torch
from torch import Tensor, nn

from harness.models.modules.conv import conv_cost, conv_norm_cost
from harness.models.modules.part import (
    LEVEL_NAMES,
    NOTHING,
    Component,
    Cost,
    Features,
    Levels,
    Misfit,
    Option,
    PerLevel,
    flag,
    total,
)
from harness.models.registry import Registry


class ChannelGate(nn.Module):
    """CBAM's channel attention: σ(MLP(mean) + MLP(max)) for each channel (arXiv 1807.06521, equation 2)."""

    def __init__(self, channels: int, hidden: int, bias: bool) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, hidden, bias=bias)
        self.expand = nn.Linear(hidden, channels, bias=bias)

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, C, h, w) to gates (B, C, 1, 1) in (0, 1)."""
        # One maximum gets the gradient, as in the authors' code. Pooling over a whole map takes longer.
        pooled = torch.stack((image.mean((2, 3)), image.flatten(2).max(-1).values))
        scores = self.expand(torch.relu(self.reduce(pooled))).sum(0)
        return torch.sigmoid(scores)[:, :, None, None]

    @staticmethod
    def cost(channels: int, hidden: int, bias: bool, *, maps: int = 1) -> Cost:
        """Return the cost of a gate that serves ``maps`` levels; the MLP runs twice for each."""
        runs = 2 * maps
        return conv_cost(channels, hidden, 1, runs, bias=bias) + conv_cost(hidden, channels, 1, runs, bias=bias)


class SpatialGate(nn.Module):
    """CBAM's spatial attention: σ(BN(conv7×7([max, mean]))) for each pixel (arXiv 1807.06521, equation 3).

    Maximum and mean are taken over the channels. The paper writes the mean first: only the numbering of the
    convolution's inputs differs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.norm = nn.BatchNorm2d(1, eps=1e-5, momentum=0.01)

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, C, h, w) to gates (B, 1, h, w) in (0, 1)."""
        pooled = torch.cat((image.max(1, keepdim=True).values, image.mean(1, keepdim=True)), 1)
        return torch.sigmoid(self.norm(self.conv(pooled)))

    @staticmethod
    def cost(positions: int) -> Cost:
        """Return the cost over ``positions`` pixels."""
        return conv_norm_cost(2, 1, 7, positions)


def _apply_gates(image: Tensor, channel_gate: nn.Module, spatial_gate: nn.Module) -> Tensor:
    gated = image * channel_gate(image)
    return torch.addcmul(image, gated, spatial_gate(gated)).relu_()


class _CBAMLevel(nn.Module):
    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.channel = ChannelGate(channels, hidden, bias=True)
        self.spatial = SpatialGate()

    def forward(self, image: Tensor) -> Tensor:
        return _apply_gates(image, self.channel, self.spatial)


class CBAM(PerLevel):
    """V1's attention (CBAM, arXiv 1807.06521): a channel and a spatial gate per level, MLPs with biases.

    The MLP's hidden width is max(C // reduction, 1).
    """

    def __init__(self, inputs: Levels, *, reduction: int) -> None:
        super().__init__(lambda channels: _CBAMLevel(channels, max(channels // reduction, 1)), inputs)

    @staticmethod
    def cost(inputs: Levels, positions: Levels, *, reduction: int) -> Cost:
        """Return the cost of the three levels."""
        return total(
            [
                ChannelGate.cost(channels, max(channels // reduction, 1), True) + SpatialGate.cost(pixels)
                for channels, pixels in zip(inputs, positions, strict=True)
            ]
        )


class CBAMPlus(nn.Module):
    """V2's CBAM_Plus: one spatial gate for all three levels, MLPs without biases.

    The hidden width is max(C // reduction, 4). Each level has its own channel gate; with ``shared_gate``, levels with
    the same number of channels share one.
    """

    def __init__(self, inputs: Levels, *, reduction: int, shared_gate: bool) -> None:
        super().__init__()
        self.channel = nn.ModuleDict()
        # A shared gate has the name of the first level that it serves.
        self._keys = tuple(LEVEL_NAMES[inputs.index(c) if shared_gate else level] for level, c in enumerate(inputs))
        for key, channels in zip(self._keys, inputs, strict=True):
            if key not in self.channel:
                self.channel[key] = ChannelGate(channels, max(channels // reduction, 4), bias=False)
        self.spatial = SpatialGate()

    def forward(self, features: Features) -> Features:
        """Return the three maps in their shapes."""
        p3, p4, p5 = (
            _apply_gates(image, self.channel[key], self.spatial)
            for image, key in zip(features, self._keys, strict=True)
        )
        return p3, p4, p5

    @staticmethod
    def cost(inputs: Levels, positions: Levels, *, reduction: int, shared_gate: bool) -> Cost:
        """Return the cost of the gates; a shared gate's parameters count once, its MACs for every level."""
        widths = sorted(set(inputs)) if shared_gate else list(inputs)
        gates = [
            ChannelGate.cost(c, max(c // reduction, 4), False, maps=inputs.count(c) if shared_gate else 1)
            for c in widths
        ]
        return total(gates) + SpatialGate.cost(sum(positions))

    @staticmethod
    def misfit(inputs: Levels, *, reduction: int, shared_gate: bool) -> Misfit | None:
        """Refuse ``shared_gate`` where no two levels have the same number of channels."""
        if shared_gate and len(set(inputs)) == len(inputs):
            widths = ", ".join(map(str, inputs))
            return Misfit(
                "shared_gate", f"needs two levels with the same number of channels, they have {widths}", (False,)
            )
        return None


class _SELevel(nn.Module):
    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, hidden)
        self.expand = nn.Linear(hidden, channels)

    def forward(self, image: Tensor) -> Tensor:
        gate = torch.sigmoid(self.expand(torch.relu(self.reduce(image.mean((2, 3))))))
        return torch.addcmul(image, image, gate[:, :, None, None]).relu_()


class SE(PerLevel):
    """Squeeze-and-excitation (arXiv 1709.01507, equation 3): σ(MLP(mean)) for each channel, no spatial gate.

    The hidden width is max(C // reduction, 4), with the same minimum as in CBAM_Plus.
    """

    def __init__(self, inputs: Levels, *, reduction: int) -> None:
        super().__init__(lambda channels: _SELevel(channels, max(channels // reduction, 4)), inputs)

    @staticmethod
    def cost(inputs: Levels, positions: Levels, *, reduction: int) -> Cost:
        """Return the cost of the three levels."""
        return total(
            [
                conv_cost(c, hidden, 1, 1, bias=True) + conv_cost(hidden, c, 1, 1, bias=True)
                for c in inputs
                for hidden in (max(c // reduction, 4),)
            ]
        )


def eca_kernel(channels: int) -> int:
    """Return ECA's adaptive kernel size, the odd number nearest log2(C) / 2 + 1 / 2 (arXiv 1910.03151, eq. 12)."""
    size = int(abs(math.log2(channels) / 2 + 0.5))
    return size if size % 2 else size + 1


class _ECALevel(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        kernel = eca_kernel(channels)
        self.conv = nn.Conv1d(1, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        gate = torch.sigmoid(self.conv(image.mean((2, 3))[:, None, :]))
        return torch.addcmul(image, image, gate[:, 0, :, None, None]).relu_()


class ECA(PerLevel):
    """Efficient channel attention (arXiv 1910.03151): a 1-D convolution over the channel means."""

    def __init__(self, inputs: Levels) -> None:
        super().__init__(_ECALevel, inputs)

    @staticmethod
    def cost(inputs: Levels, positions: Levels) -> Cost:
        """Return the cost of the three levels."""
        return total([Cost(eca_kernel(c), eca_kernel(c) * c) for c in inputs])


class NoAttention(nn.Module):
    """The attention block without attention: ``relu(x)``."""

    def __init__(self, inputs: Levels) -> None:
        super().__init__()

    def forward(self, features: Features) -> Features:
        """Return the ReLU of each map."""
        p3, p4, p5 = features
        return torch.relu(p3), torch.relu(p4), torch.relu(p5)

    @staticmethod
    def cost(inputs: Levels, positions: Levels) -> Cost:
        """Return a zero cost."""
        return NOTHING


_REDUCTION = Option("reduction", "the gate's hidden layer has C / reduction units")

ATTENTIONS: Registry[Component] = Registry("attention")
ATTENTIONS.add("none", Component(NoAttention, NoAttention.cost), "no attention, only the ReLU", "this project")
ATTENTIONS.add(
    "cbam",
    Component(CBAM, CBAM.cost, (_REDUCTION,)),
    "a channel and a spatial gate per level, MLP with biases (V1)",
    "CBAM, arXiv 1807.06521",
)
ATTENTIONS.add(
    "cbam_plus",
    Component(
        CBAMPlus,
        CBAMPlus.cost,
        (_REDUCTION, flag("shared_gate", "levels with the same number of channels share one channel gate")),
        CBAMPlus.misfit,
    ),
    "a channel gate per level, one spatial gate for all three, MLP without biases (V2)",
    "CBAM, arXiv 1807.06521, as FeatherFace V2's SharedCBAMManager shares it",
)
ATTENTIONS.add(
    "se",
    Component(SE, SE.cost, (_REDUCTION,)),
    "squeeze-and-excitation, one channel gate per level",
    "Squeeze-and-Excitation Networks, arXiv 1709.01507",
)
ATTENTIONS.add(
    "eca",
    Component(ECA, ECA.cost),
    "a 1-D convolution over the channel means",
    "ECA-Net, arXiv 1910.03151",
)
