"""Context modules: enlarge each level's receptive field before the heads; the number of channels stays the same."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from harness.models.modules.conv import conv_norm, conv_norm_cost, leaky, relu
from harness.models.modules.deformable import deformable_norm, deformable_norm_cost
from harness.models.modules.part import Component, Cost, Identity, Levels, Misfit, Option, PerLevel, divisors, total
from harness.models.registry import Registry


class Conv3x3(PerLevel):
    """V1's context ("SimpleDCN"): conv 3×3 → BatchNorm → ReLU on each level."""

    def __init__(self, inputs: Levels) -> None:
        super().__init__(lambda channels: conv_norm(channels, channels, 3, relu()), inputs)

    @staticmethod
    def cost(inputs: Levels, positions: Levels) -> Cost:
        """Return the cost of the three levels."""
        return total([conv_norm_cost(c, c, 3, pixels) for c, pixels in zip(inputs, positions, strict=True)])


class _Branches(nn.Module):
    """SSH's three branches. The 5×5 and the 7×7 branch share their first convolution, the stem.

    Args:
        near: C → C / 2, receptive field 3×3.
        stem: C → C / 4, receptive field 3×3.
        middle: takes the stem's map, C / 4 → C / 4; receptive field 5×5 together with the stem.
        far: takes the stem's map, C / 4 → C / 4; receptive field 7×7 together with the stem.
    """

    def __init__(self, near: nn.Module, stem: nn.Module, middle: nn.Module, far: nn.Module) -> None:
        super().__init__()
        self.near, self.stem, self.middle, self.far = near, stem, middle, far

    def forward(self, image: Tensor) -> Tensor:
        """Concatenate near, middle and far and apply a ReLU: (B, C, h, w) → (B, C, h, w)."""
        stem = self.stem(image)
        return torch.cat((self.near(image), self.middle(stem), self.far(stem)), 1).relu_()


class SSH(PerLevel):
    """SSH's context module (arXiv 1708.03979, figure 4) with RetinaFace's BatchNorm and LeakyReLU 0.1."""

    def __init__(self, inputs: Levels) -> None:
        super().__init__(lambda channels: _ssh_level(channels, _conv3x3), inputs)

    @staticmethod
    def cost(inputs: Levels, positions: Levels) -> Cost:
        """Return the cost of the three levels."""
        return total([_ssh_cost(c, pixels, _conv3x3_cost) for c, pixels in zip(inputs, positions, strict=True)])

    @staticmethod
    def misfit(inputs: Levels) -> Misfit | None:
        """Refuse numbers of channels that are no multiple of 4."""
        return _quarters(inputs)


class SSHDeformable(PerLevel):
    """The released FeatherFace's context: SSH of modulated deformable 3×3 convolutions (DCNv2, arXiv 1811.11168)."""

    def __init__(self, inputs: Levels) -> None:
        super().__init__(lambda channels: _ssh_level(channels, deformable_norm), inputs)

    @staticmethod
    def cost(inputs: Levels, positions: Levels) -> Cost:
        """Return the cost of the three levels."""
        return total([_ssh_cost(c, pixels, deformable_norm_cost) for c, pixels in zip(inputs, positions, strict=True)])

    @staticmethod
    def misfit(inputs: Levels) -> Misfit | None:
        """Refuse numbers of channels that are no multiple of 4."""
        return _quarters(inputs)


def _conv3x3(inputs: int, outputs: int, activation: nn.Module | None = None) -> nn.Module:
    return conv_norm(inputs, outputs, 3, activation)


def _conv3x3_cost(inputs: int, outputs: int, pixels: int) -> Cost:
    return conv_norm_cost(inputs, outputs, 3, pixels)


def _ssh_level(channels: int, conv: Callable[..., nn.Module]) -> nn.Module:
    half, quarter = channels // 2, channels // 4
    return _Branches(
        near=conv(channels, half),
        stem=conv(channels, quarter, leaky()),
        middle=conv(quarter, quarter),
        far=nn.Sequential(conv(quarter, quarter, leaky()), conv(quarter, quarter)),
    )


def _ssh_cost(channels: int, pixels: int, cost: Callable[[int, int, int], Cost]) -> Cost:
    half, quarter = channels // 2, channels // 4
    narrow = cost(quarter, quarter, pixels)
    return cost(channels, half, pixels) + cost(channels, quarter, pixels) + narrow + narrow + narrow


class SSHGrouped(PerLevel):
    """V2's SSH_Grouped: SSH's branches from grouped 3×3 convolutions, behind 1×1 reductions.

    ``reduction`` r > 0: a 1×1 → BN → ReLU reduces the channels to C / r before the near branch, and to C / (2r) before
    the stem. The stem's grouped convolution ends in its BatchNorm, without a ReLU. This is the implementation behind
    the documents, and ``v2`` must compute exactly what that network computes.

    ``reduction`` 0: no 1×1, and a ReLU after the stem. This is the documents' snippet: its stem is a
    ``grouped_conv_bn``, while convolutions without a ReLU are called ``grouped_conv_bn_no_relu``.
    """

    def __init__(self, inputs: Levels, *, groups: int, reduction: int) -> None:
        super().__init__(lambda channels: _grouped_level(channels, groups, reduction), inputs)

    @staticmethod
    def cost(inputs: Levels, positions: Levels, *, groups: int, reduction: int) -> Cost:
        """Return the cost of the three levels."""
        return total([_grouped_cost(c, pixels, groups, reduction) for c, pixels in zip(inputs, positions, strict=True)])

    @staticmethod
    def misfit(inputs: Levels, *, groups: int, reduction: int) -> Misfit | None:
        """Refuse reductions and groups that do not divide the channels of their convolutions."""
        odd = _quarters(inputs)
        if odd is not None:
            return odd
        common = math.gcd(*inputs)
        if reduction and common % (2 * reduction):
            allowed = (0, *(r for r in divisors(common) if common % (2 * r) == 0))
            return Misfit("reduction", f"must divide half of the {inputs[0]} channels", allowed)
        widths = [w for c in inputs for w in (*_grouped_inputs(c, reduction), c // 2, c // 4)]
        if math.gcd(*widths) % groups:
            meets = ", ".join(map(str, sorted(set(widths), reverse=True)))
            return Misfit(
                "groups",
                f"must divide the channels of every grouped convolution ({meets})",
                divisors(math.gcd(*widths)),
            )
        return None


def _grouped_inputs(channels: int, reduction: int) -> tuple[int, int]:
    """Return the input channels of the grouped convolutions of the near branch and of the stem."""
    return (channels // reduction, channels // (2 * reduction)) if reduction else (channels, channels)


def _grouped_level(channels: int, groups: int, reduction: int) -> nn.Module:
    half, quarter = channels // 2, channels // 4
    near_in, stem_in = _grouped_inputs(channels, reduction)

    def first(width: int) -> list[nn.Module]:
        return [conv_norm(channels, width, 1, relu())] if reduction else []

    return _Branches(
        near=nn.Sequential(*first(near_in), conv_norm(near_in, half, 3, groups=groups)),
        stem=nn.Sequential(
            *first(stem_in), conv_norm(stem_in, quarter, 3, None if reduction else relu(), groups=groups)
        ),
        middle=conv_norm(quarter, quarter, 3, groups=groups),
        far=nn.Sequential(
            conv_norm(quarter, quarter, 3, relu(), groups=groups), conv_norm(quarter, quarter, 3, groups=groups)
        ),
    )


def _grouped_cost(channels: int, pixels: int, groups: int, reduction: int) -> Cost:
    half, quarter = channels // 2, channels // 4
    near_in, stem_in = _grouped_inputs(channels, reduction)
    cost = conv_norm_cost(near_in, half, 3, pixels, groups=groups)
    cost += conv_norm_cost(stem_in, quarter, 3, pixels, groups=groups)
    narrow = conv_norm_cost(quarter, quarter, 3, pixels, groups=groups)
    if reduction:
        cost += conv_norm_cost(channels, near_in, 1, pixels) + conv_norm_cost(channels, stem_in, 1, pixels)
    return cost + narrow + narrow + narrow


def _quarters(inputs: Levels) -> Misfit | None:
    """Refuse numbers of channels that are no multiple of 4."""
    if any(c % 4 for c in inputs):
        return Misfit("", f"splits every level into quarters, but the neck has {inputs[0]} channels, no multiple of 4")
    return None


CONTEXTS: Registry[Component] = Registry("context")
CONTEXTS.add("none", Component(Identity, Identity.cost), "no context module", "this project")
CONTEXTS.add(
    "conv3x3",
    Component(Conv3x3, Conv3x3.cost),
    "one full 3×3 convolution per level (V1)",
    "FeatherFace V1's counted SimpleDCN",
)
CONTEXTS.add(
    "ssh",
    Component(SSH, SSH.cost, misfit=SSH.misfit),
    "three branches with receptive fields of 3×3, 5×5 and 7×7 pixels",
    "SSH, arXiv 1708.03979; RetinaFace, arXiv 1905.00641",
)
CONTEXTS.add(
    "ssh_deform",
    Component(SSHDeformable, SSHDeformable.cost, misfit=SSHDeformable.misfit),
    "SSH's branches from modulated deformable convolutions (the released FeatherFace)",
    "SSH, arXiv 1708.03979; Deformable ConvNets v2, arXiv 1811.11168",
)
CONTEXTS.add(
    "ssh_grouped",
    Component(
        SSHGrouped,
        SSHGrouped.cost,
        (
            Option("groups", "groups of every 3×3 convolution"),
            Option("reduction", "1×1 convolutions to C / r and C / (2r) channels come first; 0 leaves them out", low=0),
        ),
        SSHGrouped.misfit,
    ),
    "SSH's branches from grouped convolutions behind 1×1 reductions (V2)",
    "SSH, arXiv 1708.03979, as FeatherFace V2's SSH_Grouped has it",
)
