"""Convolution blocks that several families share, with their closed-form costs, and resampling."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from harness.models.modules.part import Cost


def conv_cost(
    inputs: int, outputs: int, kernel: int, positions: int = 0, *, groups: int = 1, bias: bool = False
) -> Cost:
    """Return the cost of one convolution (or linear: ``kernel`` 1) with ``positions`` output pixels."""
    weights = inputs * outputs // groups * kernel * kernel
    return Cost(weights + bias * outputs, weights * positions)


def norm_cost(channels: int) -> Cost:
    """Return the cost of a BatchNorm that cannot be folded, because no convolution stands straight before it.

    Per channel: a scale and a shift as parameters, a mean and a variance as buffers. One more buffer counts batches.
    """
    return Cost(2 * channels, buffers=2 * channels + 1, norms=1)


def conv_norm_cost(
    inputs: int, outputs: int, kernel: int, positions: int = 0, *, groups: int = 1, bias: bool = False
) -> Cost:
    """Return the cost of a convolution and the BatchNorm straight after it.

    Folding the norm into the convolution removes the norm's 2 · ``outputs`` parameters, and adds ``outputs`` biases if
    the convolution had none.
    """
    conv = conv_cost(inputs, outputs, kernel, positions, groups=groups, bias=bias)
    return conv + norm_cost(outputs) + Cost(folded=2 * outputs if bias else outputs)


def conv_norm(
    inputs: int,
    outputs: int,
    kernel: int,
    activation: nn.Module | None = None,
    *,
    stride: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    """Return convolution without bias → BatchNorm → activation, padded by ``kernel // 2`` on each side."""
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([] if activation is None else [activation]))


def depthwise_separable(
    inputs: int, outputs: int, activation: Callable[[], nn.Module], stride: int = 1
) -> nn.Sequential:
    """Return depthwise 3×3 → BatchNorm → activation → 1×1 → BatchNorm → activation, all without bias.

    MobileNetV1, arXiv 1704.04861, section 3.1.
    """
    return nn.Sequential(
        *conv_norm(inputs, inputs, 3, activation(), stride=stride, groups=inputs),
        *conv_norm(inputs, outputs, 1, activation()),
    )


def depthwise_separable_cost(inputs: int, outputs: int, positions: int = 0) -> Cost:
    """Return the cost of ``depthwise_separable``; ``positions`` are those after its stride."""
    return conv_norm_cost(inputs, inputs, 3, positions, groups=inputs) + conv_norm_cost(inputs, outputs, 1, positions)


def leaky() -> nn.Module:
    """Return a LeakyReLU with slope 0.1, the only activation of RetinaFace-MobileNet0.25."""
    return nn.LeakyReLU(0.1, inplace=True)


def relu() -> nn.Module:
    """Return a ReLU that reuses its input's memory."""
    return nn.ReLU(inplace=True)


def max_pool(image: Tensor) -> Tensor:
    """Halve a map by a 3×3 max pool at stride 2: (B, C, h, w) → (B, C, ceil(h / 2), ceil(w / 2)).

    Every side is padded by one row of minus infinity, PyTorch's way: the padding is never the maximum.
    """
    return F.max_pool2d(image, 3, 2, 1)


def same_max_pool(image: Tensor) -> Tensor:
    """Halve a map by a 3×3 max pool at stride 2: (B, C, h, w) → (B, C, ceil(h / 2), ceil(w / 2)).

    Padded by zeros as TensorFlow's "same" does: an even height gets one row at the bottom, an odd height one at the
    top and one at the bottom; columns likewise.
    """
    height, width = image.shape[-2:]
    top, left = height % 2, width % 2
    return F.max_pool2d(F.pad(image, (left, 1, top, 1)), 3, 2)


def upsample_to(image: Tensor, finer: Tensor) -> Tensor:
    """Double a map by repeating each pixel, and crop it to the height and width of ``finer``.

    For ``image`` of ceil(h / 2) × ceil(w / 2) and ``finer`` of h × w this is nearest-neighbour interpolation to h × w.
    """
    height, width = finer.shape[-2:]
    return F.interpolate(image, scale_factor=2.0, mode="nearest")[..., :height, :width]
