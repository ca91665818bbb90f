"""The documented architectures against an independent forward pass, written from their description.

The rewrite applies PyTorch's functions to tensors taken by name from the state dict. It shares no code with the
modules, so it finds a wrong pool, a wrong order of channels or a missing branch, which no parameter count can.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.core.arch import ARCHS
from harness.models.builder import build
from harness.models.detector import Detector

LEVELS = ("p3", "p4", "p5")
SIZES = ((97, 131), (96, 128), (66, 33))


@dataclass(frozen=True)
class Network:
    """The fields in which the documented networks differ; changing one gives a network that is none of them."""

    plus: bool
    """V2's CBAM_Plus: one spatial gate for the three levels."""
    light: bool
    """V2's BiFPN_Light: node convolutions with a BatchNorm and a ReLU inside, one lateral per level."""
    pool: str
    p5_fuses_p4_up: bool
    node_eps: float
    context: str
    stem_relu: bool
    shuffle_rows: int
    """Channels are viewed as (rows, C / rows) and transposed."""
    shuffle_convolves: bool
    trunk: bool
    lateral_eps: float = 1e-3
    spatial_eps: float = 1e-5
    fusion_relu: bool = True


V1 = Network(
    plus=False,
    light=False,
    pool="same",
    p5_fuses_p4_up=False,
    node_eps=1e-3,
    context="conv3x3",
    stem_relu=False,
    shuffle_rows=2,
    shuffle_convolves=False,
    trunk=False,
)
V2 = Network(
    plus=True,
    light=True,
    pool="symmetric",
    p5_fuses_p4_up=True,
    node_eps=1e-5,
    context="grouped, reduced",
    stem_relu=False,
    shuffle_rows=4,
    shuffle_convolves=True,
    trunk=False,
)
V2_AS_WRITTEN = replace(V2, context="grouped", stem_relu=True, shuffle_convolves=False, trunk=True)
NETWORKS = {"v1": V1, "v2": V2, "v2_as_written": V2_AS_WRITTEN}


class Forward:
    """The forward pass of ``network`` on the tensors of ``state``."""

    def __init__(self, network: Network, state: dict[str, Tensor]) -> None:
        self.network = network
        self.state = state

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return boxes, class logits and landmarks."""
        maps = self.attention("attention", self.backbone(images))
        maps = self.attention("neck_attention", self.neck(maps))
        return self.heads([self.shuffle(level, self.context(level, x)) for level, x in zip(LEVELS, maps, strict=True)])

    def conv(self, name: str, x: Tensor, stride: int = 1, groups: int = 1) -> Tensor:
        weight = self.state[f"{name}.weight"]
        bias = self.state.get(f"{name}.bias")
        return F.conv2d(x, weight, bias, stride, weight.shape[-1] // 2, groups=groups)

    def norm(self, name: str, x: Tensor, eps: float = 1e-5) -> Tensor:
        mean, variance, weight, bias = (
            self.state[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, variance, weight, bias, eps=eps)

    def conv_norm(self, name: str, x: Tensor, stride: int = 1, groups: int = 1) -> Tensor:
        return self.norm(f"{name}.1", self.conv(f"{name}.0", x, stride, groups))

    def backbone(self, x: Tensor) -> list[Tensor]:
        maps = []
        for stage, strides in enumerate(((2, 1, 2, 1, 2, 1), (2, 1, 1, 1, 1, 1), (2, 1)), 1):
            for block, stride in enumerate(strides):
                name = f"backbone.stage{stage}.{block}"
                if (stage, block) == (1, 0):
                    x = F.leaky_relu(self.conv_norm(name, x, stride), 0.1)
                    continue
                x = F.leaky_relu(self.norm(f"{name}.1", self.conv(f"{name}.0", x, stride, x.shape[1])), 0.1)
                x = F.leaky_relu(self.norm(f"{name}.4", self.conv(f"{name}.3", x)), 0.1)
            maps.append(x)
        return maps

    def attention(self, name: str, maps: Sequence[Tensor]) -> list[Tensor]:
        return [F.relu(self.cbam(name, level, x) + x) for level, x in zip(LEVELS, maps, strict=True)]

    def cbam(self, name: str, level: str, x: Tensor) -> Tensor:
        channel = f"{name}.channel.{level}" if self.network.plus else f"{name}.{level}.channel"
        spatial = f"{name}.spatial" if self.network.plus else f"{name}.{level}.spatial"

        def linear(layer: str, values: Tensor) -> Tensor:
            layer = f"{channel}.{layer}"
            return F.linear(values, self.state[f"{layer}.weight"], self.state.get(f"{layer}.bias"))

        def mlp(values: Tensor) -> Tensor:
            return linear("expand", F.relu(linear("reduce", values.flatten(1))))

        gate = torch.sigmoid(mlp(F.adaptive_avg_pool2d(x, 1)) + mlp(F.adaptive_max_pool2d(x, 1)))
        x = x * gate[..., None, None]
        pooled = torch.stack((x.max(1).values, x.mean(1)), 1)
        scores = self.norm(f"{spatial}.norm", self.conv(f"{spatial}.conv", pooled), self.network.spatial_eps)
        return x * torch.sigmoid(scores)

    def pool(self, x: Tensor) -> Tensor:
        if self.network.pool == "symmetric":
            return F.max_pool2d(x, 3, 2, padding=1)
        pads = []
        for side in (x.shape[3], x.shape[2]):
            extra = (math.ceil(side / 2) - 1) * 2 + 3 - side
            pads += [extra // 2, extra - extra // 2]
        return F.max_pool2d(F.pad(x, pads), 3, 2)

    def fuse(self, name: str, *maps: Tensor) -> Tensor:
        weights = F.relu(self.state[name]) if self.network.fusion_relu else self.state[name]
        weights = weights / (weights.sum() + 1e-4)
        fused = sum((weight * x for weight, x in zip(weights, maps, strict=False)), torch.zeros_like(maps[0]))
        return fused * torch.sigmoid(fused)

    def node(self, name: str, x: Tensor) -> Tensor:
        x = self.conv(f"{name}.depthwise", x, groups=x.shape[1])
        if self.network.light:
            x = F.relu(self.norm(f"{name}.depthwise_norm", x, self.network.node_eps))
        return self.norm(f"{name}.norm", self.conv(f"{name}.pointwise", x), self.network.node_eps)

    def lateral(self, name: str, x: Tensor) -> Tensor:
        return self.norm(f"{name}.norm", self.conv(f"{name}.conv", x), self.network.lateral_eps)

    def neck(self, maps: Sequence[Tensor]) -> list[Tensor]:
        p3, p4, p5 = (self.lateral(f"neck.down.{level}", x) for level, x in enumerate(maps))
        p4_in, p5_in = p4, p5
        if not self.network.light:
            p4_in, p5_in = self.lateral("neck.out.0", maps[1]), self.lateral("neck.out.1", maps[2])
        for index in range(2):
            cell = f"neck.cells.{index}"
            up = F.interpolate(p5, p4.shape[2:], mode="nearest")
            p4_up = self.node(f"{cell}.p4_up", self.fuse(f"{cell}.fusion.p4_up", p4, up))
            up = F.interpolate(p4_up, p3.shape[2:], mode="nearest")
            p3 = self.node(f"{cell}.p3_out", self.fuse(f"{cell}.fusion.p3_out", p3, up))
            p4 = self.node(f"{cell}.p4_out", self.fuse(f"{cell}.fusion.p4_out", p4_in, p4_up, self.pool(p3)))
            last = [p5_in, self.pool(p4)] + [self.pool(p4_up)] * self.network.p5_fuses_p4_up
            p5 = self.node(f"{cell}.p5_out", self.fuse(f"{cell}.fusion.p5_out", *last))
            p4_in, p5_in = p4, p5
        return [p3, p4, p5]

    def context(self, level: str, x: Tensor) -> Tensor:
        name = f"context.{level}"
        if self.network.context == "conv3x3":
            return F.relu(self.conv_norm(name, x))

        def first(branch: str) -> Tensor:
            if self.network.context == "grouped":
                return self.conv_norm(f"{name}.{branch}.0", x, groups=4)
            reduced = F.relu(self.conv_norm(f"{name}.{branch}.0", x))
            return self.conv_norm(f"{name}.{branch}.1", reduced, groups=4)

        stem = F.relu(first("stem")) if self.network.stem_relu else first("stem")
        five = self.conv_norm(f"{name}.middle", stem, groups=4)
        seven = F.relu(self.conv_norm(f"{name}.far.0", stem, groups=4))
        seven = self.conv_norm(f"{name}.far.1", seven, groups=4)
        return F.relu(torch.cat((first("near"), five, seven), 1))

    def shuffle(self, level: str, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        rows = self.network.shuffle_rows
        x = x.view(batch, rows, channels // rows, height, width).transpose(1, 2).reshape(x.shape)
        if self.network.shuffle_convolves:
            for layer in ("squeeze", "expand"):
                x = F.relu(self.conv_norm(f"shuffle.{level}.{layer}", x, groups=4))
        return x

    def heads(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        boxes: list[Tensor] = []
        classes: list[Tensor] = []
        landmarks: list[Tensor] = []
        for level, x in zip(LEVELS, maps, strict=True):
            name = f"head.levels.{level}"
            if self.network.trunk:
                x = F.relu(self.conv_norm(f"{name}.trunk", x))
            if self.network.plus:
                name = f"{name}.outputs"
            for found, task, values in ((boxes, "box", 4), (classes, "classes", 2), (landmarks, "landmark", 10)):
                found.append(self.conv(f"{name}.{task}", x).permute(0, 2, 3, 1).reshape(len(x), -1, values))
        return torch.cat(boxes, 1), torch.cat(classes, 1), torch.cat(landmarks, 1)


FUSION = (
    {"p4_up": (0.8, 1.3), "p3_out": (1.1, 0.6), "p4_out": (0.7, -0.5, 1.2), "p5_out": (0.9, 0.4, 1.6)},
    {"p4_up": (1.5, -0.3), "p3_out": (0.5, 1.4), "p4_out": (1.2, 0.9, 0.4), "p5_out": (0.6, 1.2, 0.8)},
)
"""Fusion weights of the two cells: no two of a node are equal, and some are negative."""


def _detector(name: str) -> Detector:
    """Return a network in float64 whose weights, BatchNorm statistics and fusion weights are all different."""
    torch.manual_seed(0)
    detector = build(ARCHS[name]).double().eval()
    with torch.no_grad():
        for key, value in detector.state_dict().items():
            if key.endswith("running_var"):
                value.uniform_(0.5, 2)
            elif key.endswith(("running_mean", "bias")):
                value.normal_(0, 0.3)
            elif key.endswith("weight") and value.ndim == 1:
                value.uniform_(0.5, 1.5)
            elif key.endswith("weight"):
                value.normal_(0, math.sqrt(2 / value[0].numel()))  # He et al.: keeps the signal's size through ReLUs.
        for cell, fusion in enumerate(FUSION):
            for node, weights in fusion.items():
                parameter = detector.get_parameter(f"neck.cells.{cell}.fusion.{node}")
                parameter.copy_(torch.tensor(weights, dtype=torch.float64))
    return detector


def _differences(name: str, network: Network, size: tuple[int, int]) -> list[float]:
    """Return the largest difference between detector and rewrite in boxes, classes and landmarks, over their spread."""
    detector = _detector(name)
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        raw = detector.raw(images)
        expected = Forward(network, detector.state_dict())(images)
    found = []
    for answer, wanted in zip((raw.boxes, raw.classes, raw.landmarks), expected, strict=True):
        assert answer.shape == wanted.shape
        found.append(float((answer - wanted).abs().max() / wanted.std()))
    return found


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_it_computes_what_is_described(name: str, size: tuple[int, int]) -> None:
    assert max(_differences(name, NETWORKS[name], size)) < 1e-10


DEPARTURES: list[tuple[str, Network]] = [
    ("v1", replace(V1, shuffle_rows=37)),
    ("v1", replace(V1, p5_fuses_p4_up=True)),
    ("v1", replace(V1, pool="symmetric")),
    ("v1", replace(V1, node_eps=1e-5)),
    ("v1", replace(V1, lateral_eps=1e-5)),
    ("v1", replace(V1, fusion_relu=False)),
    ("v2", replace(V2, shuffle_rows=8)),
    ("v2", replace(V2, p5_fuses_p4_up=False)),
    ("v2", replace(V2, pool="same")),
    ("v2", replace(V2, node_eps=1e-3)),
    ("v2", replace(V2, lateral_eps=1e-5)),
    ("v2", replace(V2, spatial_eps=1e-3)),
    ("v2", replace(V2, fusion_relu=False)),
    ("v2", replace(V2, stem_relu=True)),
    ("v2_as_written", replace(V2_AS_WRITTEN, shuffle_rows=8)),
    ("v2_as_written", replace(V2_AS_WRITTEN, stem_relu=False)),
]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("name", "other"), DEPARTURES)
def test_every_departure_shows_in_all_three_outputs(name: str, other: Network, size: tuple[int, int]) -> None:
    assert min(_differences(name, other, size)) > 1e-5
