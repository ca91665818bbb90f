"""Deformable convolution against its definition, pixel by pixel."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.models.fold import freeze
from harness.models.modules.context import SSHDeformable
from harness.models.modules.deformable import DeformableConv, deformable_conv, deformable_norm


def _between(plane: np.ndarray, y: float, x: float) -> float:
    """Return a map's value between pixels, by bilinear weights, where every pixel outside is zero."""
    height, width = plane.shape
    top, left = math.floor(y), math.floor(x)
    value = 0.0
    for row, down in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, across in ((left, 1 - (x - left)), (left + 1, x - left)):
            if 0 <= row < height and 0 <= column < width:
                value += down * across * plane[row, column]
    return value


def _by_definition(image: np.ndarray, offset: np.ndarray, mask: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """arXiv 1811.11168, equation 1; offsets lie as (tap, (y, x)), taps row by row."""
    batch, inputs, height, width = image.shape
    answer = np.zeros((batch, len(weight), height, width))
    for b, row, column, tap in np.ndindex(batch, height, width, 9):
        y = row + tap // 3 - 1 + offset[b, 2 * tap, row, column]
        x = column + tap % 3 - 1 + offset[b, 2 * tap + 1, row, column]
        seen = np.array([_between(image[b, channel], y, x) for channel in range(inputs)])
        answer[b, :, row, column] += mask[b, tap, row, column] * weight[:, :, tap // 3, tap % 3] @ seen
    return answer


def _problem(size: tuple[int, int], spread: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(sum(size))
    shapes = ((2, 3, *size), (2, 18, *size), (2, 9, *size), (4, 3, 3, 3))
    image, offset, mask, weight = (torch.randn(shape, dtype=torch.float64) for shape in shapes)
    return image, offset * spread, mask.sigmoid() * 2, weight


@pytest.mark.parametrize("size", [(5, 7), (7, 4), (1, 6), (3, 1), (1, 1)])
@pytest.mark.parametrize("spread", [0.3, 2.0, 50.0])
def test_it_is_its_definition(size: tuple[int, int], spread: float) -> None:
    problem = _problem(size, spread)
    expected = _by_definition(*(tensor.numpy() for tensor in problem))
    np.testing.assert_allclose(deformable_conv(*problem).numpy(), expected, atol=1e-10)
    answer = deformable_conv(*(tensor.float() for tensor in problem))
    np.testing.assert_allclose(answer.numpy(), expected, atol=1e-4)


def test_samples_less_than_a_pixel_outside_still_see_the_border() -> None:
    image = torch.ones(1, 1, 3, 3)
    weight = torch.zeros(1, 1, 3, 3)
    weight[..., 1, 1] = 1
    for shift, expected in ((-0.25, 0.75), (-1.0, 0.0), (2.25, 0.75), (3.0, 0.0), (1e6, 0.0), (-1e30, 0.0)):
        offset = torch.full((1, 18, 3, 3), shift)
        offset[:, 1::2] = 0
        answer = deformable_conv(image, offset, torch.ones(1, 9, 3, 3), weight)
        assert answer[0, 0, 0].tolist() == pytest.approx([expected] * 3, abs=1e-6)


def test_gradients_are_those_of_the_definition() -> None:
    problem = [tensor[:1].requires_grad_() for tensor in _problem((3, 4), 1.5)[:3]]
    weight = _problem((3, 4), 1.0)[3].requires_grad_()
    assert torch.autograd.gradcheck(deformable_conv, (*problem, weight))


def test_without_offsets_it_is_a_plain_convolution() -> None:
    image, _, _, weight = _problem((6, 5), 1.0)
    answer = deformable_conv(image, torch.zeros(2, 18, 6, 5).double(), torch.ones(2, 9, 6, 5).double(), weight)
    torch.testing.assert_close(answer, F.conv2d(image, weight, padding=1))


def test_memory_layout_changes_nothing() -> None:
    image, offset, mask, weight = _problem((6, 5), 1.0)
    last = [tensor.to(memory_format=torch.channels_last) for tensor in (image, offset, mask)]
    answer = deformable_conv(last[0], last[1], last[2], weight)
    torch.testing.assert_close(answer, deformable_conv(image, offset, mask, weight))


def test_a_layer_starts_as_the_plain_convolution_of_its_weights_and_learns_to_move() -> None:
    torch.manual_seed(0)
    layer = DeformableConv(4, 6)
    image = torch.randn(2, 4, 7, 9)
    answer = layer(image)
    torch.testing.assert_close(answer, F.conv2d(image, layer.weight, padding=1), rtol=1e-4, atol=1e-4)
    (answer * torch.randn_like(answer)).sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.flatten(1).any(1).all() if parameter.ndim > 1 else parameter.grad.all()), name


def test_a_norm_behind_it_folds_into_it() -> None:
    torch.manual_seed(0)
    block = deformable_norm(4, 6)
    layer = block[0]
    assert isinstance(layer, DeformableConv)
    nn.init.normal_(layer.offset.weight, std=0.1)
    images = torch.randn(3, 4, 8, 8)
    with torch.no_grad():
        block.train()(images)
        expected = block.eval()(images)
        freeze(block)
        assert isinstance(block[1], nn.Identity)
        torch.testing.assert_close(block(images), expected)


def test_every_convolution_of_the_context_is_deformable() -> None:
    context = SSHDeformable((64, 64, 64))
    level = context.get_submodule("p4")
    assert sum(parameter.numel() for parameter in level.parameters()) == 77_655
    layers = [module for module in level.modules() if isinstance(module, DeformableConv)]
    assert [tuple(layer.weight.shape[:2]) for layer in layers] == [(32, 64), (16, 64), (16, 16), (16, 16), (16, 16)]
