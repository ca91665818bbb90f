"""Necks: three maps of three widths → three maps of one width, fused across scales.

Both entries are BiFPNs (EfficientDet, arXiv 1911.09070, section 3) over three levels, as FeatherFace has them. A cell
computes, with f a fast normalised fusion and each node a swish followed by its convolution::

    p4_up  = node(f(p4, up(p5)))                 p3_out = node(f(p3, up(p4_up)))
    p4_out = node(f(p4', p4_up, down(p3_out)))   p5_out = node(f(p5', down(p4_out), down(p4_up)))

Besides their convolutions, the two differ in three places:

- ``bifpn`` (V1, the released FeatherFace) leaves down(p4_up) out of p5_out, but keeps its weight in the normalisation;
  ``bifpn_light`` (V2) fuses all three maps.
- p4' and p5' are p4 and p5, except in the first cell of ``bifpn``, where they come from a second pair of laterals.
- down is a 3×3 max pool at stride 2: padded by zeros as TensorFlow does in ``bifpn``, by minus infinity on every side
  in ``bifpn_light``.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.models.modules.conv import conv_cost, conv_norm_cost, max_pool, same_max_pool, upsample_to
from harness.models.modules.part import Component, Cost, Features, Levels, Misfit, Option, divisors, flag, total
from harness.models.registry import Registry

_EPSILON = 1e-4
"""Keeps the normalisation of the fusion weights finite if all of them are negative."""

_NODE_EPS = 1e-5
"""ε of the BatchNorms in V2's nodes; all other BatchNorms in the necks have ε = 1e-3."""


def _norm(channels: int, eps: float = 1e-3) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=eps, momentum=0.01)


class _Fusion(nn.Module):
    """Learnable fusion weights: relu(w) / (Σ relu(w) + ε) (arXiv 1911.09070, section 3.3).

    Called without arguments, it returns the normalised weights of p4_up, p3_out, p4_out and p5_out, each in the order
    of the maps that the node fuses.
    """

    def __init__(self) -> None:
        super().__init__()
        self.p4_up = nn.Parameter(torch.ones(2))
        self.p3_out = nn.Parameter(torch.ones(2))
        self.p4_out = nn.Parameter(torch.ones(3))
        self.p5_out = nn.Parameter(torch.ones(3))

    def forward(self) -> list[Tensor]:
        positive = [torch.relu(w) for w in (self.p4_up, self.p3_out, self.p4_out, self.p5_out)]
        return [w / (w.sum() + _EPSILON) for w in positive]

    COST = Cost(2 + 2 + 3 + 3)


class _Cell(nn.Module):
    """One top-down and bottom-up pass over maps of equal width.

    Args:
        node: returns a new convolution for a node.
        pool: halves a map, (B, C, h, w) → (B, C, ceil(h / 2), ceil(w / 2)).
        p5_fuses_p4_up: p5_out fuses p4_up as its third map; otherwise the third weight only takes part in the
            normalisation.
    """

    def __init__(
        self, node: Callable[[], nn.Module], pool: Callable[[Tensor], Tensor], *, p5_fuses_p4_up: bool
    ) -> None:
        super().__init__()
        self._pool, self._p5_fuses_p4_up = pool, p5_fuses_p4_up
        self.fusion = _Fusion()
        self.p4_up, self.p3_out, self.p4_out, self.p5_out = node(), node(), node(), node()

    def forward(self, down: Features, out: tuple[Tensor, Tensor]) -> Features:
        """Return the fused maps; ``down`` enters the top-down pass, ``out`` (P4 and P5) the bottom-up pass."""
        up_weight, p3_weight, p4_weight, p5_weight = self.fusion()
        p3, p4, p5 = down
        # Weighting before upsampling gives the same result on a quarter of the pixels.
        p4_up = self.p4_up(F.silu(p4 * up_weight[0] + upsample_to(p5 * up_weight[1], p4)))
        p3_out = self.p3_out(F.silu(p3 * p3_weight[0] + upsample_to(p4_up * p3_weight[1], p3)))
        p4_fused = out[0] * p4_weight[0] + p4_up * p4_weight[1] + self._pool(p3_out) * p4_weight[2]
        p4_out = self.p4_out(F.silu(p4_fused))
        p5_fused = out[1] * p5_weight[0] + self._pool(p4_out) * p5_weight[1]
        if self._p5_fuses_p4_up:
            p5_fused = p5_fused + self._pool(p4_up) * p5_weight[2]
        return p3_out, p4_out, self.p5_out(F.silu(p5_fused))


def _node_positions(positions: Levels) -> tuple[int, int, int, int]:
    """Return the number of pixels that each of a cell's four nodes runs over."""
    p3, p4, p5 = positions
    return p4, p3, p4, p5


class _Node(nn.Sequential):
    """V1's node: depthwise 3×3 without bias → 1×1 with bias → BatchNorm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, channels, 1)
        self.norm = _norm(channels)

    @staticmethod
    def cost(channels: int, positions: int) -> Cost:
        depthwise = conv_cost(channels, channels, 3, positions, groups=channels)
        return depthwise + conv_norm_cost(channels, channels, 1, positions, bias=True)


class _Lateral(nn.Sequential):
    """1×1 → BatchNorm to the neck's width."""

    def __init__(self, inputs: int, channels: int, bias: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, channels, 1, bias=bias)
        self.norm = _norm(channels)

    @staticmethod
    def cost(inputs: int, channels: int, positions: int, bias: bool) -> Cost:
        return conv_norm_cost(inputs, channels, 1, positions, bias=bias)


class BiFPN(nn.Module):
    """V1's neck: convolutions with bias, a second lateral for P4 and P5 in the first cell, two maps fused into P5."""

    def __init__(self, inputs: Levels, *, channels: int, repeats: int) -> None:
        super().__init__()
        self.down = nn.ModuleList(_Lateral(c, channels, bias=True) for c in inputs)
        self.out = nn.ModuleList(_Lateral(c, channels, bias=True) for c in inputs[1:])
        self.cells = nn.ModuleList(
            _Cell(lambda: _Node(channels), same_max_pool, p5_fuses_p4_up=False) for _ in range(repeats)
        )

    def forward(self, features: Features) -> Features:
        """Fuse three maps (B, C_l, h, w) into three maps (B, channels, h, w)."""
        down = _project(self.down, features)
        _, p4, p5 = features
        return _run_cells(self.cells, down, (self.out[0](p4), self.out[1](p5)))

    @staticmethod
    def cost(inputs: Levels, positions: Levels, *, channels: int, repeats: int) -> Cost:
        """Return the cost of laterals, nodes and fusion weights."""
        levels = list(zip(inputs, positions, strict=True))
        laterals = [_Lateral.cost(c, channels, pixels, bias=True) for c, pixels in levels + levels[1:]]
        nodes = [_Node.cost(channels, pixels) for pixels in _node_positions(positions)]
        return total([*laterals, *[*nodes, _Fusion.COST] * repeats])


class _LightNode(nn.Sequential):
    """V2's node: depthwise 3×3 → BatchNorm → ReLU → 1×1 → BatchNorm, without bias, BatchNorm's ε = 1e-5.

    ``reduction_factor`` r > 1 replaces the 1×1 by two, C → C / r → C. Without ``depthwise`` the node is one full 3×3 →
    BatchNorm.
    """

    def __init__(self, channels: int, depthwise: bool, reduction_factor: int) -> None:
        super().__init__()
        if not depthwise:
            self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        else:
            self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
            self.depthwise_norm = _norm(channels, _NODE_EPS)
            self.act = nn.ReLU(inplace=True)
            narrow = channels
            if reduction_factor > 1:
                narrow = channels // reduction_factor
                self.squeeze = nn.Conv2d(channels, narrow, 1, bias=False)
            self.pointwise = nn.Conv2d(narrow, channels, 1, bias=False)
        self.norm = _norm(channels, _NODE_EPS)

    @staticmethod
    def cost(channels: int, positions: int, depthwise: bool, reduction_factor: int) -> Cost:
        if not depthwise:
            return conv_norm_cost(channels, channels, 3, positions)
        cost = conv_norm_cost(channels, channels, 3, positions, groups=channels)
        if reduction_factor == 1:
            return cost + conv_norm_cost(channels, channels, 1, positions)
        narrow = channels // reduction_factor
        return cost + conv_cost(channels, narrow, 1, positions) + conv_norm_cost(narrow, channels, 1, positions)


class BiFPNLight(nn.Module):
    """V2's neck: no convolution bias, one lateral per level, three maps fused into P5."""

    def __init__(self, inputs: Levels, *, channels: int, repeats: int, depthwise: bool, reduction_factor: int) -> None:
        super().__init__()
        self.down = nn.ModuleList(_Lateral(c, channels, bias=False) for c in inputs)
        self.cells = nn.ModuleList(
            _Cell(lambda: _LightNode(channels, depthwise, reduction_factor), max_pool, p5_fuses_p4_up=True)
            for _ in range(repeats)
        )

    def forward(self, features: Features) -> Features:
        """Fuse three maps (B, C_l, h, w) into three maps (B, channels, h, w)."""
        down = _project(self.down, features)
        return _run_cells(self.cells, down, down[1:])

    @staticmethod
    def cost(
        inputs: Levels, positions: Levels, *, channels: int, repeats: int, depthwise: bool, reduction_factor: int
    ) -> Cost:
        """Return the cost of laterals, nodes and fusion weights."""
        laterals = [_Lateral.cost(c, channels, pixels, bias=False) for c, pixels in zip(inputs, positions, strict=True)]
        nodes = [
            _LightNode.cost(channels, pixels, depthwise, reduction_factor) for pixels in _node_positions(positions)
        ]
        return total([*laterals, *[*nodes, _Fusion.COST] * repeats])

    @staticmethod
    def misfit(inputs: Levels, *, channels: int, repeats: int, depthwise: bool, reduction_factor: int) -> Misfit | None:
        """Refuse a factor that does not divide the channels, or a factor without a pointwise convolution."""
        if not depthwise and reduction_factor != 1:
            return Misfit("reduction_factor", "needs the pointwise convolution that depthwise=False leaves out", (1,))
        if channels % reduction_factor:
            return Misfit("reduction_factor", f"must divide the {channels} channels", divisors(channels))
        return None


def _project(laterals: nn.ModuleList, features: Sequence[Tensor]) -> Features:
    p3, p4, p5 = (lateral(image) for lateral, image in zip(laterals, features, strict=True))
    return p3, p4, p5


def _run_cells(cells: nn.ModuleList, down: Features, out: tuple[Tensor, Tensor]) -> Features:
    for cell in cells:
        down = cell(down, out)
        out = down[1:]
    return down


_CHANNELS = Option("channels", "width of every map from the neck on", low=4)
_REPEATS = Option("repeats", "number of cells in a row")

NECKS: Registry[Component] = Registry("neck")
NECKS.add(
    "bifpn",
    Component(BiFPN, BiFPN.cost, (_CHANNELS, _REPEATS)),
    "weighted bidirectional fusion with biased convolutions and two laterals for P4 and P5 (V1)",
    "EfficientDet, arXiv 1911.09070, as FeatherFace has it",
)
NECKS.add(
    "bifpn_light",
    Component(
        BiFPNLight,
        BiFPNLight.cost,
        (
            _CHANNELS,
            _REPEATS,
            flag("depthwise", "nodes are depthwise-separable instead of full 3×3 convolutions"),
            Option("reduction_factor", "each node's 1×1 becomes two, through channels / reduction_factor; 1 keeps one"),
        ),
        BiFPNLight.misfit,
    ),
    "weighted bidirectional fusion without convolution biases, one lateral per level (V2)",
    "EfficientDet, arXiv 1911.09070, as FeatherFace V2's BiFPN_Light has it",
)
