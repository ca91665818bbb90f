"""Heads: three maps → boxes, class logits and landmarks for every prior (two anchors per pixel)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from harness.models.modules.conv import (
    conv_cost,
    conv_norm,
    conv_norm_cost,
    depthwise_separable,
    depthwise_separable_cost,
    relu,
)
from harness.models.modules.part import LEVEL_NAMES, Component, Cost, Features, Levels, Misfit, Option, flag, total
from harness.models.registry import Registry

ANCHORS_PER_PIXEL = 2
BOX, CLASSES, LANDMARK = 4, 2, 10

Predictions = tuple[Tensor, Tensor, Tensor]
"""Boxes (B, A, 4), class logits (B, A, 2) and landmarks (B, A, 10)."""

FACE_PRIOR = 1 / 8
"""Initial face probability: the share of faces among the priors of the loss, which mines seven negatives per positive.
Training therefore starts at the loss of the best constant prediction (after RetinaNet, arXiv 1708.02002,
section 3.3)."""


class Outputs(nn.Module):
    """A 1×1 convolution with bias for each of the three tasks; class biases start at ``FACE_PRIOR``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.box = nn.Conv2d(channels, ANCHORS_PER_PIXEL * BOX, 1)
        self.classes = nn.Conv2d(channels, ANCHORS_PER_PIXEL * CLASSES, 1)
        self.landmark = nn.Conv2d(channels, ANCHORS_PER_PIXEL * LANDMARK, 1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the class biases; the convolutions draw their own initial values."""
        background = math.log((1 - FACE_PRIOR) / FACE_PRIOR) / 2
        with torch.no_grad():
            assert self.classes.bias is not None
            self.classes.bias.copy_(torch.tensor([background, -background] * ANCHORS_PER_PIXEL))

    def forward(self, image: Tensor) -> Predictions:
        """Map (B, C, h, w) to predictions, ordered by row, then column, then anchor."""
        return (
            _by_prior(self.box(image), BOX),
            _by_prior(self.classes(image), CLASSES),
            _by_prior(self.landmark(image), LANDMARK),
        )

    @staticmethod
    def cost(channels: int, positions: int) -> Cost:
        """Return the cost over ``positions`` pixels."""
        return conv_cost(channels, ANCHORS_PER_PIXEL * (BOX + CLASSES + LANDMARK), 1, positions, bias=True)


def _by_prior(image: Tensor, values: int) -> Tensor:
    """Map (B, anchors · values, h, w) to (B, h · w · anchors, values)."""
    return image.permute(0, 2, 3, 1).reshape(image.shape[0], -1, values)


class PerLevelHeads(nn.Module):
    """Runs one head per level, or one head on all levels, and joins the predictions in level order."""

    def __init__(self, make: Callable[[], nn.Module], per_level: bool) -> None:
        super().__init__()
        names = LEVEL_NAMES if per_level else ("shared",) * len(LEVEL_NAMES)
        self.levels = nn.ModuleDict({name: make() for name in dict.fromkeys(names)})
        self.names = names

    def forward(self, features: Features) -> Predictions:
        """Return predictions for every prior: those of P3, then P4, then P5."""
        p3, p4, p5 = (self.levels[name](image) for name, image in zip(self.names, features, strict=True))
        boxes, classes, landmarks = (torch.cat(task, 1) for task in zip(p3, p4, p5, strict=True))
        return boxes, classes, landmarks


class Separate(PerLevelHeads):
    """V1's heads: a 1×1 convolution for each level and task."""

    def __init__(self, inputs: Levels) -> None:
        super().__init__(lambda: Outputs(inputs[0]), per_level=True)

    @staticmethod
    def cost(inputs: Levels, positions: Levels) -> Cost:
        """Return the cost of the nine convolutions."""
        return total([Outputs.cost(inputs[0], pixels) for pixels in positions])


def _trunk(trunk: str, channels: int) -> nn.Module:
    if trunk == "conv":
        return conv_norm(channels, channels // 2, 3, relu())
    return depthwise_separable(channels, channels // 2, relu)


def _trunk_cost(trunk: str, channels: int, positions: int) -> Cost:
    if trunk == "conv":
        return conv_norm_cost(channels, channels // 2, 3, positions)
    return depthwise_separable_cost(channels, channels // 2, positions)


class _TrunkHead(nn.Sequential):
    def __init__(self, channels: int, trunk: str) -> None:
        super().__init__()
        if trunk != "none":
            self.trunk = _trunk(trunk, channels)
            channels //= 2
        self.outputs = Outputs(channels)

    @staticmethod
    def cost(channels: int, positions: int, trunk: str) -> Cost:
        if trunk == "none":
            return Outputs.cost(channels, positions)
        return _trunk_cost(trunk, channels, positions) + Outputs.cost(channels // 2, positions)


class SharedMulti(PerLevelHeads):
    """V2's SharedMultiHead: the three tasks' 1×1 convolutions after a common trunk from C to C / 2 channels.

    ``trunk`` is ``none`` (no trunk, V2 as counted), ``conv`` (a full 3×3 convolution, the documents' snippet) or
    ``depthwise`` (depthwise-separable). Without ``per_level``, one head serves all levels.
    """

    def __init__(self, inputs: Levels, *, trunk: str, per_level: bool) -> None:
        super().__init__(lambda: _TrunkHead(inputs[0], trunk), per_level)

    @staticmethod
    def cost(inputs: Levels, positions: Levels, *, trunk: str, per_level: bool) -> Cost:
        """Return the cost over the three levels; a shared head's parameters count once."""
        if per_level:
            return total([_TrunkHead.cost(inputs[0], pixels, trunk) for pixels in positions])
        return _TrunkHead.cost(inputs[0], sum(positions), trunk)

    @staticmethod
    def misfit(inputs: Levels, *, trunk: str, per_level: bool) -> Misfit | None:
        """Refuse a trunk on an odd number of channels."""
        if trunk != "none" and inputs[0] % 2:
            return Misfit(
                "trunk", f"halves every level, but the neck has {inputs[0]} channels, an odd number", ("none",)
            )
        return None


HEADS: Registry[Component] = Registry("head")
HEADS.add(
    "separate",
    Component(Separate, Separate.cost),
    "a 1×1 convolution for each level and task (V1)",
    "RetinaFace, arXiv 1905.00641",
)
HEADS.add(
    "shared_multi",
    Component(
        SharedMulti,
        SharedMulti.cost,
        (
            Option(
                "trunk",
                "convolution that the three tasks share before their 1×1 convolutions",
                ("none", "conv", "depthwise"),
            ),
            flag("per_level", "each level has its own head; otherwise one head serves all levels"),
        ),
        SharedMulti.misfit,
    ),
    "the three tasks behind a common trunk, one head per level or one for all (V2)",
    "FeatherFace V2's SharedMultiHead",
)
