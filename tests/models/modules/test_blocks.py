"""Layers whose details decide what a published network answers."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.core.arch import ARCHS
from harness.models.builder import build
from harness.models.modules.attention import CBAM, CBAMPlus, NoAttention, SpatialGate, eca_kernel
from harness.models.modules.conv import same_max_pool, upsample_to
from harness.models.modules.head import FACE_PRIOR
from harness.models.modules.neck import BiFPN
from harness.models.modules.shuffle import Shuffle, ShuffleConv


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


def test_upsampling_repeats_pixels_and_is_cropped() -> None:
    image, finer = torch.arange(4.0).view(1, 1, 2, 2), torch.zeros(1, 1, 3, 4)
    assert upsample_to(image, finer)[0, 0].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3]]


def test_norms_hold_the_released_values() -> None:
    detector = build(ARCHS["v1"])
    for name, module in detector.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            expected = (1e-5, 0.1)
            if name.startswith("neck."):
                expected = (1e-3, 0.01)
            elif ".spatial." in name:
                expected = (1e-5, 0.01)
            assert (module.eps, module.momentum) == expected, name


def test_the_last_fusion_normalises_by_three_weights_and_uses_two() -> None:
    neck = BiFPN((8, 8, 8), channels=8, repeats=1).eval()
    maps = (torch.randn(1, 8, 8, 8), torch.randn(1, 8, 4, 4), torch.randn(1, 8, 2, 2))
    p3, p4, p5 = neck(maps)
    with torch.no_grad():
        neck.get_submodule("cells.0").get_parameter("fusion.p5_out")[2] = 50.0
    heavier = neck(maps)
    assert torch.equal(p3, heavier[0])
    assert torch.equal(p4, heavier[1])
    assert not torch.allclose(p5, heavier[2])


def test_the_neck_follows_its_written_order() -> None:
    """A cell against the formula, one node at a time, on maps with odd sides."""
    torch.manual_seed(0)
    neck = BiFPN((4, 6, 8), channels=4, repeats=1).eval()
    c3, c4, c5 = torch.randn(1, 4, 13, 9), torch.randn(1, 6, 7, 5), torch.randn(1, 8, 4, 3)
    cell: Any = neck.cells[0]

    def fuse(weights: Tensor, *maps: Tensor) -> Tensor:
        shares = torch.relu(weights) / (torch.relu(weights).sum() + 1e-4)
        mixed = sum(share * image for share, image in zip(shares, maps, strict=False))
        assert isinstance(mixed, Tensor)
        return mixed * torch.sigmoid(mixed)

    def double(image: Tensor, size: torch.Size) -> Tensor:
        return image.repeat_interleave(2, 2).repeat_interleave(2, 3)[..., : size[-2], : size[-1]]

    with torch.no_grad():
        for weights in cell.fusion.parameters():
            weights.copy_(torch.rand_like(weights))
        p3, p4, p5 = neck.down[0](c3), neck.down[1](c4), neck.down[2](c5)
        p4_up = cell.p4_up(fuse(cell.fusion.p4_up, p4, double(p5, p4.shape)))
        p3_out = cell.p3_out(fuse(cell.fusion.p3_out, p3, double(p4_up, p3.shape)))
        p4_out = cell.p4_out(fuse(cell.fusion.p4_out, neck.out[0](c4), p4_up, _same_pool_by_definition(p3_out)))
        p5_out = cell.p5_out(fuse(cell.fusion.p5_out, neck.out[1](c5), _same_pool_by_definition(p4_out)))
        for answer, expected in zip(neck((c3, c4, c5)), (p3_out, p4_out, p5_out), strict=True):
            assert torch.allclose(answer, expected, atol=1e-5)


def test_cbam_follows_the_paper_and_ends_in_a_residual() -> None:
    torch.manual_seed(0)
    attention = CBAM((8, 8, 8), reduction=4).eval()
    image = torch.randn(2, 8, 5, 6)
    level: Any = attention.p3
    assert isinstance(level.spatial, SpatialGate)
    with torch.no_grad():

        def mlp(pooled: Tensor) -> Tensor:
            answer = level.channel.expand(torch.relu(level.channel.reduce(pooled)))
            assert isinstance(answer, Tensor)
            return answer

        channel = torch.sigmoid(mlp(image.mean((2, 3))) + mlp(image.amax((2, 3))))
        gated = image * channel[:, :, None, None]
        pooled = torch.stack((gated.amax(1), gated.mean(1)), 1)
        spatial = torch.sigmoid(level.spatial.norm(level.spatial.conv(pooled)))
        expected = torch.relu(gated * spatial + image)
        assert torch.allclose(attention((image, image, image))[0], expected, atol=1e-6)


def test_a_shared_gate_is_one_module_for_equal_widths() -> None:
    shared = CBAMPlus((32, 32, 32), reduction=8, shared_gate=True)
    assert list(shared.channel) == ["c32"]
    partly = CBAMPlus((16, 16, 32), reduction=8, shared_gate=True)
    assert list(partly.channel) == ["c16", "c32"]
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
    assert shuffle.flatten().tolist() == [0, 2, 4, 6, 1, 3, 5, 7]
    interleave = ShuffleConv((8, 8, 8), groups=2).get_submodule("p3.shuffle")
    assert interleave(image).flatten().tolist() == [0, 4, 1, 5, 2, 6, 3, 7]


@pytest.mark.parametrize("name", ARCHS)
def test_heads_start_from_the_face_prior(name: str) -> None:
    detector = build(ARCHS[name])
    with torch.no_grad():
        for parameter_name, parameter in detector.named_parameters():
            if parameter_name.endswith("classes.weight"):
                parameter.zero_()
    _, classes, _ = detector.eval()(torch.randn(1, 3, 64, 64))
    assert classes[..., 1].detach().numpy() == pytest.approx(FACE_PRIOR, abs=1e-6)
