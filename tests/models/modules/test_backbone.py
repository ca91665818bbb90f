"""MobileNetV1 with a width for each level and a depth for each stride."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from harness.core.arch import ARCHS, MOBILENET_STAGES
from harness.models.builder import build
from harness.models.costs import count_parts, macs
from harness.models.modules.backbone import MobileNetV1, MobileNetV1Stages
from harness.models.weights import init_backbone, read_tensors

QUARTER = MOBILENET_STAGES.option_dict()


def _stages(**changes: int) -> MobileNetV1Stages:
    return MobileNetV1Stages(**{**QUARTER, **changes})  # type: ignore[arg-type]


def test_the_documented_backbone_is_one_of_them() -> None:
    torch.manual_seed(0)
    one = MobileNetV1(width=0.25)
    torch.manual_seed(0)
    other = _stages()
    assert list(one.state_dict()) == list(other.state_dict())
    images = torch.randn(2, 3, 65, 97)
    for network in (one, other):
        network.train()(images)
        network.eval()
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
    for first, second in zip(one(images), other(images), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("name", ARCHS)
def test_it_counts_as_the_documented_backbone(name: str) -> None:
    arch = ARCHS[name]
    other = replace(arch, backbone=MOBILENET_STAGES)
    assert count_parts(other)["backbone"] == 213_072
    assert count_parts(other) == count_parts(arch)
    assert macs(other, 640, 480) == macs(arch, 640, 480)


@pytest.mark.parametrize("name", ["mobilenetv1_025_imagenet", "mobilenetv1_025_widerface_featherface592k"])
def test_published_weights_load_and_compute_the_same(name: str, published_weights: Path) -> None:
    path = published_weights / f"{name}.safetensors"
    one, other = build(ARCHS["v2"]).eval(), build(replace(ARCHS["v2"], backbone=MOBILENET_STAGES)).eval()
    init_backbone(one, path)
    init_backbone(other, path)
    stored = {key.removeprefix("body."): value for key, value in read_tensors(path).items() if "stage" in key}
    assert all(torch.equal(stored[key], value) for key, value in other.backbone.state_dict().items())
    images = torch.rand(1, 3, 64, 64) * 255
    with torch.no_grad():
        assert all(map(torch.equal, one.backbone(images), other.backbone(images)))


def test_widths_and_depths_are_where_their_names_say() -> None:
    network = _stages(width_p3=43, width_p4=20, width_p5=9, depth_p2=3, depth_p3=1, depth_p4=2, depth_p5=4)
    convolutions = [
        (stage, module)
        for stage in ("stage1", "stage2", "stage3")
        for module in network.get_submodule(stage).modules()
        if isinstance(module, nn.Conv2d)
    ]
    (_, stem), *pairs = convolutions
    assert (stem.in_channels, stem.out_channels, stem.stride) == (3, 5, (2, 2))
    blocks = [
        (stage, pointwise.out_channels, depthwise.stride[0])
        for (stage, depthwise), (_, pointwise) in zip(pairs[::2], pairs[1::2], strict=True)
    ]
    assert blocks == [
        ("stage1", 10, 1),
        ("stage1", 21, 2),
        ("stage1", 21, 1),
        ("stage1", 21, 1),
        ("stage1", 43, 2),
        ("stage2", 20, 2),
        ("stage2", 20, 1),
        ("stage3", 9, 2),
        ("stage3", 9, 1),
        ("stage3", 9, 1),
        ("stage3", 9, 1),
    ]
    shapes = [tuple(image.shape[1:]) for image in network(torch.randn(2, 3, 72, 56))]
    assert shapes == [(43, 9, 7), (20, 5, 4), (9, 3, 2)]


@pytest.mark.parametrize("option", QUARTER)
def test_every_option_changes_the_network(option: str) -> None:
    value = QUARTER[option]
    assert isinstance(value, int)
    shapes = [
        {name: tensor.shape for name, tensor in _stages(**{option: changed}).state_dict().items()}
        for changed in (value, value + 1, value + 2)
    ]
    assert shapes[0] != shapes[1] != shapes[2]


def test_the_smallest_has_a_channel_in_every_layer() -> None:
    smallest = MobileNetV1Stages(width_p3=8, width_p4=8, width_p5=8, depth_p2=1, depth_p3=1, depth_p4=1, depth_p5=1)
    assert min(p.numel() for p in smallest.parameters()) == 1
