"""Backbones: image → the maps P3, P4 and P5."""

from torch import Tensor, nn

from harness.models.modules.conv import conv_norm, conv_norm_cost, depthwise_separable, depthwise_separable_cost, leaky
from harness.models.modules.part import Component, Cost, Features, Levels, Option
from harness.models.registry import Registry

_STAGES = (
    ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1)),
    ((512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1)),
    ((1024, 2), (1024, 1)),
)
"""(Output channels at width 1, stride) of each depthwise-separable block, stage by stage."""


def _scaled(width: float) -> list[list[tuple[int, int]]]:
    return [[(int(channels * width), stride) for channels, stride in stage] for stage in _STAGES]


class MobileNetV1(nn.Module):
    """MobileNetV1 (arXiv 1704.04861) as RetinaFace-MobileNet0.25 has it: LeakyReLU 0.1, no classifier.

    The submodules ``stage1``, ``stage2`` and ``stage3`` return P3, P4 and P5; published weights load under these names.
    """

    def __init__(self, *, width: float) -> None:
        super().__init__()
        channels = int(32 * width)
        blocks: list[nn.Module] = [conv_norm(3, channels, 3, leaky(), stride=2)]
        stages = []
        for stage in _scaled(width):
            for outputs, stride in stage:
                blocks.append(depthwise_separable(channels, outputs, leaky, stride))
                channels = outputs
            stages.append(nn.Sequential(*blocks))
            blocks = []
        self.stage1, self.stage2, self.stage3 = stages

    def forward(self, images: Tensor) -> Features:
        """Map images (B, 3, H, W) to (B, C, ceil(H / s), ceil(W / s)) for the strides s = 8, 16, 32."""
        p3 = self.stage1(images)
        p4 = self.stage2(p3)
        return p3, p4, self.stage3(p4)

    @staticmethod
    def channels(*, width: float) -> Levels:
        """Return the widths of P3, P4 and P5."""
        p3, p4, p5 = (stage[-1][0] for stage in _scaled(width))
        return p3, p4, p5

    @staticmethod
    def cost(size: tuple[int, int], *, width: float) -> Cost:
        """Return the cost on an image of ``size`` (height, width)."""
        rows, columns = (-(-side // 2) for side in size)
        channels = int(32 * width)
        cost = conv_norm_cost(3, channels, 3, rows * columns)
        for outputs, stride in (block for stage in _scaled(width) for block in stage):
            rows, columns = -(-rows // stride), -(-columns // stride)
            # The depthwise convolution has the stride, so both convolutions run at the smaller size.
            cost += depthwise_separable_cost(channels, outputs, rows * columns)
            channels = outputs
        return cost


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
