"""Layers by themselves; ``test_reference`` checks them together."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.core.arch import ARCHS
from harness.models.builder import build
from harness.models.modules.attention import CBAMPlus, NoAttention, eca_kernel
from harness.models.modules.conv import max_pool, same_max_pool, upsample_to
from harness.models.modules.head import FACE_PRIOR
from harness.models.modules.shuffle import Shuffle, ShuffleConv, ShuffleDepthwise


def _same_pool_by_definition(image: Tensor) -> Tensor:
    """TensorFlow's "same" max pool, 3×3 at stride 2, written from its definition."""
    height, width = image.shape[-2:]
    rows, columns = math.ceil(height / 2), math.ceil(width / 2)
    down, right = max((rows - 1) * 2 + 3 - height, 0), max((columns - 1) * 2 + 3 - width, 0)
    padded = F.pad(image, (right // 2, right - right // 2, down // 2, down - down // 2))
    answer = image.new_zeros(*image.shape[:2], rows, columns)
    for row in range(rows):
        for column in range(columns):
            answer[..., row, column] = padded[..., 2 * row : 2 * row + 3, 2 * column : 2 * column + 3].amax((-2, -1))
    return answer


@pytest.mark.parametrize("size", [(8, 8), (7, 8), (8, 7), (5, 9), (1, 1), (2, 1), (1, 2)])
def test_pool_pads_as_tensorflow_does(size: tuple[int, int]) -> None:
    # Negative maps show that the padding is zero, not minus infinity.
    image = torch.randn(2, 3, *size) - 2
    assert torch.equal(same_max_pool(image), _same_pool_by_definition(image))


@pytest.mark.parametrize("size", [(8, 8), (7, 8), (1, 1), (2, 1)])
def test_the_other_pool_never_answers_its_padding(size: tuple[int, int]) -> None:
    image = torch.randn(2, 3, *size) - 9
    rows, columns = (math.ceil(side / 2) for side in size)
    answer = max_pool(image)
    assert answer.shape == (2, 3, rows, columns)
    for row in range(rows):
        for column in range(columns):
            window = image[..., max(2 * row - 1, 0) : 2 * row + 2, max(2 * column - 1, 0) : 2 * column + 2]
            assert torch.equal(answer[..., row, column], window.amax((-2, -1)))


def test_upsampling_repeats_pixels_and_is_cropped() -> None:
    image, finer = torch.arange(4.0).view(1, 1, 2, 2), torch.zeros(1, 1, 3, 4)
    assert upsample_to(image, finer)[0, 0].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3]]


@pytest.mark.parametrize(("arch", "node_eps"), [("v1", 1e-3), ("featherface", 1e-3), ("v2", 1e-5)])
def test_norms_hold_the_values_of_the_reference(arch: str, node_eps: float) -> None:
    detector = build(ARCHS[arch])
    for name, module in detector.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            expected = (1e-5, 0.1)
            if name.startswith("neck.cells."):
                expected = (node_eps, 0.01)
            elif name.startswith("neck."):
                expected = (1e-3, 0.01)
            elif ".spatial." in name:
                expected = (1e-5, 0.01)
            assert (module.eps, module.momentum) == expected, name


def test_a_shared_gate_is_one_module_for_equal_widths() -> None:
    shared = CBAMPlus((32, 32, 32), reduction=8, shared_gate=True)
    assert list(shared.channel) == ["p3"]
    partly = CBAMPlus((16, 16, 32), reduction=8, shared_gate=True)
    assert list(partly.channel) == ["p3", "p5"]
    assert (
        sum(p.numel() for p in partly.parameters())
        == CBAMPlus.cost((16, 16, 32), (0, 0, 0), reduction=8, shared_gate=True).params
    )


def test_no_attention_keeps_the_relu() -> None:
    image = torch.tensor([[[[-1.0, 2.0]]]])
    assert NoAttention((1, 1, 1))((image, image, image))[0].tolist() == [[[[0.0, 2.0]]]]


@pytest.mark.parametrize(("channels", "kernel"), [(24, 3), (32, 3), (64, 3), (128, 5), (256, 5), (512, 5)])
def test_eca_kernels_are_those_of_the_paper(channels: int, kernel: int) -> None:
    assert eca_kernel(channels) == kernel


def test_shuffles_reorder_as_documented() -> None:
    image = torch.arange(8.0).view(1, 8, 1, 1)
    shuffle = Shuffle((8, 8, 8), groups=2)((image, image, image))[0]
    assert shuffle.flatten().tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    light = ShuffleConv((8, 8, 8), groups=2).get_submodule("p3.shuffle")
    assert light(image).flatten().tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    released = ShuffleDepthwise((8, 8, 8)).get_submodule("p3.shuffle")
    assert released(image).flatten().tolist() == [0, 2, 4, 6, 1, 3, 5, 7]


@pytest.mark.parametrize("name", ARCHS)
def test_heads_start_from_the_face_prior(name: str) -> None:
    detector = build(ARCHS[name])
    with torch.no_grad():
        for parameter_name, parameter in detector.named_parameters():
            if parameter_name.endswith("classes.weight"):
                parameter.zero_()
    _, classes, _ = detector.eval()(torch.randn(1, 3, 64, 64))
    assert classes[..., 1].detach().numpy() == pytest.approx(FACE_PRIOR, abs=1e-6)
