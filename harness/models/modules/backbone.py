"""Backbones: image → the maps P3, P4 and P5.

Both entries are MobileNetV1s (arXiv 1704.04861) as RetinaFace-MobileNet0.25 has it: a stem, then depthwise-separable
blocks with LeakyReLU 0.1, no classifier. They differ in their options: one multiplier for all layers, or a width and a
depth for each resolution.
"""

from functools import cache

from torch import Tensor, nn

from harness.models.modules.conv import conv_norm, conv_norm_cost, depthwise_separable, depthwise_separable_cost, leaky
from harness.models.modules.part import Component, Cost, Features, Levels, Option
from harness.models.registry import Registry

Stage = tuple[tuple[int, int], ...]
"""(Output channels, stride) of each depthwise-separable block of a stage."""

Stages = tuple[Stage, Stage, Stage]
"""The stages that end in P3, P4 and P5."""

_STAGES: Stages = (
    ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1)),
    ((512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1)),
    ((1024, 2), (1024, 1)),
)
"""MobileNetV1's stages at width 1."""


class MobileNet(nn.Module):
    """A 3×3 convolution at stride 2 to ``stem`` channels, and three stages of depthwise-separable blocks.

    The submodules ``stage1``, ``stage2`` and ``stage3`` return P3, P4 and P5; published weights load under these names.
    """

    def __init__(self, stem: int, stages: Stages) -> None:
        super().__init__()
        channels = stem
        blocks: list[nn.Module] = [conv_norm(3, channels, 3, leaky(), stride=2)]
        built = []
        for stage in stages:
            for outputs, stride in stage:
                blocks.append(depthwise_separable(channels, outputs, leaky, stride))
                channels = outputs
            built.append(nn.Sequential(*blocks))
            blocks = []
        self.stage1, self.stage2, self.stage3 = built

    def forward(self, images: Tensor) -> Features:
        """Map images (B, 3, H, W) to (B, C, ceil(H / s), ceil(W / s)) for the strides s = 8, 16, 32."""
        p3 = self.stage1(images)
        p4 = self.stage2(p3)
        return p3, p4, self.stage3(p4)


def _cost(size: tuple[int, int], stem: int, stages: Stages) -> Cost:
    """Return the cost of a ``MobileNet`` on an image of ``size`` (height, width)."""
    rows, columns = (-(-side // 2) for side in size)
    cost = conv_norm_cost(3, stem, 3, rows * columns)
    channels = stem
    for outputs, stride in (block for stage in stages for block in stage):
        rows, columns = -(-rows // stride), -(-columns // stride)
        # The depthwise convolution has the stride, so both convolutions run at the smaller size.
        cost += _block_cost(channels, outputs, rows * columns)
        channels = outputs
    return cost


_block_cost = cache(depthwise_separable_cost)
"""Backbones of a space repeat a few blocks in many combinations."""


class MobileNetV1(MobileNet):
    """MobileNetV1 with one multiplier for the channels of all layers."""

    def __init__(self, *, width: float) -> None:
        super().__init__(*_scaled(width))

    @staticmethod
    def channels(*, width: float) -> Levels:
        """Return the widths of P3, P4 and P5."""
        p3, p4, p5 = (stage[-1][0] for stage in _scaled(width)[1])
        return p3, p4, p5

    @staticmethod
    def cost(size: tuple[int, int], *, width: float) -> Cost:
        """Return the cost on an image of ``size`` (height, width)."""
        return _cost(size, *_scaled(width))


def _scaled(width: float) -> tuple[int, Stages]:
    """Return the stem's channels and the stages."""
    first, second, third = (tuple((int(channels * width), stride) for channels, stride in stage) for stage in _STAGES)
    return int(32 * width), (first, second, third)


class MobileNetV1Stages(MobileNet):
    """MobileNetV1 with a width for each level and a depth for each stride from 4 to 32.

    SCRFD (arXiv 2105.04714) searches these numbers to distribute a face detector's computation over its stages. As in
    MobileNetV1, the layers before P3 have an eighth (stem), a quarter (the block at stride 2) and half (the blocks at
    stride 4) of P3's channels, rounded down.

    Widths of 64, 128 and 256 with depths of 2, 2, 6 and 2 are MobileNetV1-0.25.
    """

    def __init__(
        self, *, width_p3: int, width_p4: int, width_p5: int, depth_p2: int, depth_p3: int, depth_p4: int, depth_p5: int
    ) -> None:
        super().__init__(*_staged(width_p3, width_p4, width_p5, depth_p2, depth_p3, depth_p4, depth_p5))

    @staticmethod
    def channels(
        *, width_p3: int, width_p4: int, width_p5: int, depth_p2: int, depth_p3: int, depth_p4: int, depth_p5: int
    ) -> Levels:
        """Return the widths of P3, P4 and P5."""
        return width_p3, width_p4, width_p5

    @staticmethod
    def cost(
        size: tuple[int, int],
        *,
        width_p3: int,
        width_p4: int,
        width_p5: int,
        depth_p2: int,
        depth_p3: int,
        depth_p4: int,
        depth_p5: int,
    ) -> Cost:
        """Return the cost on an image of ``size`` (height, width)."""
        return _cost(size, *_staged(width_p3, width_p4, width_p5, depth_p2, depth_p3, depth_p4, depth_p5))


def _staged(
    width_p3: int, width_p4: int, width_p5: int, depth_p2: int, depth_p3: int, depth_p4: int, depth_p5: int
) -> tuple[int, Stages]:
    """Return the stem's channels and the stages."""
    first = ((width_p3 // 4, 1), *_resolution(width_p3 // 2, depth_p2), *_resolution(width_p3, depth_p3))
    return width_p3 // 8, (first, _resolution(width_p4, depth_p4), _resolution(width_p5, depth_p5))


def _resolution(channels: int, depth: int) -> Stage:
    """Return ``depth`` blocks of equal width, the first of which halves the map."""
    return ((channels, 2), *((channels, 1),) * (depth - 1))


def _width(level: str) -> Option:
    return Option(f"width_{level}", f"channels of {level.upper()}", low=8)  # The stem has an eighth of P3's channels.


def _depth(level: str, stride: int) -> Option:
    return Option(f"depth_{level}", f"number of blocks at stride {stride}")


BACKBONES: Registry[Component] = Registry("backbone")
BACKBONES.add(
    "mobilenetv1",
    Component(
        MobileNetV1,
        MobileNetV1.cost,
        (Option("width", "multiplier of every layer's channels", (0.125, 0.25, 0.5, 0.75, 1.0)),),
        channels=MobileNetV1.channels,
    ),
    "depthwise-separable convolutions at strides 8, 16 and 32",
    "MobileNetV1, arXiv 1704.04861; RetinaFace-MobileNet0.25's widths and LeakyReLU",
)
BACKBONES.add(
    "mobilenetv1_stages",
    Component(
        MobileNetV1Stages,
        MobileNetV1Stages.cost,
        (
            *(_width(level) for level in ("p3", "p4", "p5")),
            *(_depth(f"p{number}", 2**number) for number in (2, 3, 4, 5)),
        ),
        channels=MobileNetV1Stages.channels,
    ),
    "depthwise-separable convolutions with a width for each level and a depth for each stride",
    "MobileNetV1, arXiv 1704.04861; widths and depths as in SCRFD's search, arXiv 2105.04714",
)
