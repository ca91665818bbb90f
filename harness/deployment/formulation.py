"""Rewrites a network into an equal one that ONNX Runtime runs faster on a CPU.

ONNX Runtime computes convolutions on blocks of 16 channels (``NCHWc``, with AVX-512), and converts maps between that
layout and the usual one around every other operation. The rewritten parts compute the same function; only the order of
additions differs.
"""

import itertools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.models.modules.attention import ChannelGate, SpatialGate
from harness.models.modules.head import ANCHORS_PER_PIXEL, BOX, CLASSES, LANDMARK, Outputs, PerLevelHeads, Predictions
from harness.models.modules.part import Features

BLOCK = 16
"""Channels that ONNX Runtime computes at once with AVX-512; with AVX2, 8."""

_TILE = 4
"""Side of the square of pixels whose spatial gates are computed as channels of one: BLOCK pixels."""


def reformulate(network: nn.Module) -> None:
    """Rewrite the parts of a network whose BatchNorms are folded (``harness.models.fold.freeze``), in place."""
    _replace(network, _faster)


def _replace(module: nn.Module, rewrite: Callable[[nn.Module], nn.Module]) -> None:
    for name, child in list(module.named_children()):
        found = rewrite(child)
        if found is child:
            _replace(child, rewrite)
        else:
            module.add_module(name, found)


def _faster(module: nn.Module) -> nn.Module:
    if isinstance(module, ChannelGate):
        return _ChannelGate(module)
    if isinstance(module, SpatialGate):
        return _SpatialGate(module)
    if isinstance(module, PerLevelHeads):
        return _JoinedHeads(module)
    return _padded_chain(module) if isinstance(module, nn.Sequential) else module


class _ChannelGate(nn.Module):
    """``ChannelGate`` with a global pooling for the mean, which needs no other layout, and no stacking."""

    def __init__(self, gate: ChannelGate) -> None:
        super().__init__()
        self.reduce, self.expand = gate.reduce, gate.expand

    def forward(self, image: Tensor) -> Tensor:
        pooled = (F.adaptive_avg_pool2d(image, 1).flatten(1), image.amax((2, 3)))
        mean, most = (self.expand(torch.relu(self.reduce(values))) for values in pooled)
        return torch.sigmoid(mean + most)[:, :, None, None]


class _SpatialGate(nn.Module):
    """``SpatialGate`` without reductions over channels, and with all 16 output channels of its convolution in use.

    The maximum over channels is a max pool of the (C, H · W) matrix, their mean a matrix product: ONNX Runtime computes
    both several times faster than reductions over an axis that is not the last. The 7×7 convolution has one output
    channel, but takes as long as one with 16. Therefore the gates of 4 × 4 pixels are 16 outputs of a 10×10 convolution
    at stride 4, each with the 7×7 weights at its own place.
    """

    def __init__(self, gate: SpatialGate) -> None:
        super().__init__()
        conv = nn.utils.fuse_conv_bn_eval(gate.conv, gate.norm)
        side = conv.kernel_size[0]
        reach = side + _TILE - 1
        weight = conv.weight.new_zeros(BLOCK, conv.in_channels, reach, reach)
        for output, (row, column) in enumerate(itertools.product(range(_TILE), repeat=2)):
            weight[output, :, row : row + side, column : column + side] = conv.weight[0]
        assert conv.bias is not None
        self.tiled = _conv(weight, conv.bias.repeat(BLOCK), stride=_TILE)
        # The last tile may reach beyond the map, whose height need not be a multiple of 4.
        before = side // 2
        self.border = (before, before + _TILE - 1) * 2

    def forward(self, image: Tensor) -> Tensor:
        batch, channels, height, width = image.shape
        flat = image.reshape(batch, 1, channels, height * width)
        most = F.max_pool2d(flat, (channels, 1))
        mean = torch.matmul(image.new_full((1, channels), 1 / channels), flat)
        pooled = torch.cat((most, mean), 1).reshape(batch, 2, height, width)
        gates = F.pixel_shuffle(self.tiled(F.pad(pooled, self.border)), _TILE)
        return torch.sigmoid(gates[:, :, :height, :width])


class _JoinedHeads(nn.Module):
    """``PerLevelHeads`` whose three tasks share a convolution, a change of layout and a concatenation."""

    def __init__(self, heads: PerLevelHeads) -> None:
        super().__init__()
        self.levels, self.names = heads.levels, heads.names
        _replace(self, lambda module: _JoinedOutputs(module) if isinstance(module, Outputs) else module)

    def forward(self, features: Features) -> Predictions:
        rows = torch.cat([self.levels[name](image) for name, image in zip(self.names, features, strict=True)], 1)
        boxes, classes, landmarks = torch.split(rows, [BOX, CLASSES, LANDMARK], -1)
        return boxes, classes, landmarks


class _JoinedOutputs(nn.Module):
    """A level's box, class and landmark outputs in one tensor (B, h · w · anchors, 16)."""

    def __init__(self, outputs: Outputs) -> None:
        super().__init__()
        tasks = (outputs.box, outputs.classes, outputs.landmark)
        # The channels of a task are those of the first anchor, then those of the second.
        weights = [task.weight.chunk(ANCHORS_PER_PIXEL) for task in tasks]
        biases = [task.bias.chunk(ANCHORS_PER_PIXEL) for task in tasks if task.bias is not None]
        weight, bias = (
            torch.cat([task[anchor] for anchor in range(ANCHORS_PER_PIXEL) for task in parts])
            for parts in (weights, biases)
        )
        self.joined = _conv(weight, bias)

    def forward(self, image: Tensor) -> Tensor:
        rows: Tensor = self.joined(image).permute(0, 2, 3, 1)
        return rows.reshape(image.shape[0], -1, BOX + CLASSES + LANDMARK)


def _padded_chain(block: nn.Sequential) -> nn.Module:
    """Return a chain of convolutions with its inner maps padded by zero channels to multiples of ``BLOCK``.

    Only chains with a depthwise convolution inside gain: others use any number of channels well. A chain of anything
    but convolutions and activations that map zero to zero is returned unchanged.
    """
    layers = list(_flat(block))
    convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    known = all(isinstance(layer, nn.Conv2d | nn.LeakyReLU | nn.ReLU) for layer in layers)
    uneven = any(_is_depthwise(conv) and conv.in_channels % BLOCK for conv in convs[1:])
    sound = all(conv.groups == 1 or _is_depthwise(conv) for conv in convs)
    if not (known and uneven and sound) or _is_depthwise(convs[-1]):
        return block
    width = convs[0].in_channels
    padded: list[nn.Module] = []
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            outputs = layer.out_channels if layer is convs[-1] else -(-layer.out_channels // BLOCK) * BLOCK
            layer, width = _widened(layer, width, outputs), outputs
        padded.append(layer)
    return nn.Sequential(*padded)


def _flat(block: nn.Sequential) -> list[nn.Module]:
    found: list[nn.Module] = []
    for layer in block:
        if isinstance(layer, nn.Sequential):
            found += _flat(layer)
        elif not isinstance(layer, nn.Identity):
            found.append(layer)
    return found


def _is_depthwise(conv: nn.Conv2d) -> bool:
    return conv.groups == conv.in_channels == conv.out_channels > 1


def _widened(conv: nn.Conv2d, inputs: int, outputs: int) -> nn.Conv2d:
    """Return a convolution with more inputs, which it ignores, and more outputs, which are zero."""
    groups = outputs if _is_depthwise(conv) else 1
    weight = conv.weight.new_zeros(outputs, inputs // groups, *conv.kernel_size)
    weight[: conv.out_channels, : conv.weight.shape[1]] = conv.weight
    assert conv.bias is not None
    bias = F.pad(conv.bias, (0, outputs - conv.out_channels))
    return _conv(weight, bias, stride=conv.stride[0], padding=int(conv.padding[0]), groups=groups)


def _conv(weight: Tensor, bias: Tensor, *, stride: int = 1, padding: int = 0, groups: int = 1) -> nn.Conv2d:
    """Return the convolution with these weights, for inference."""
    outputs, inputs, *kernel = weight.shape
    size = kernel[0], kernel[1]
    conv = nn.Conv2d(inputs * groups, outputs, size, stride, padding, groups=groups, dtype=weight.dtype)
    conv.load_state_dict({"weight": weight, "bias": bias})
    return conv.requires_grad_(False).eval()
