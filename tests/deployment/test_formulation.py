"""Rewritten networks compute what the networks compute."""

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from harness.core.arch import ARCHS, ArchConfig
from harness.core.names import load_space
from harness.core.space import Configuration
from harness.deployment.formulation import BLOCK, reformulate
from harness.deployment.graph import Deployed
from harness.errors import InputError
from harness.models.builder import validate
from harness.models.fold import freeze
from tests.deployment.nets import lively

SIZES = [(64, 96), (97, 50), (1, 1), (33, 160)]


def drawn(name: str, count: int) -> list[ArchConfig]:
    """Return buildable architectures of a space, drawn by a fixed seed."""
    space = load_space(name).architectures()
    rng = np.random.default_rng(0)
    found: list[ArchConfig] = []
    while len(found) < count:
        chosen: Configuration = {}
        for axis in space.axes:
            if space.active(axis, chosen):
                chosen[axis.name] = axis.values[int(rng.integers(len(axis.values)))]
        try:
            arch = space.arch(chosen)
            validate(arch)
        except InputError:
            continue
        found.append(arch)
    return found


CASES = dict(ARCHS)
CASES |= {f"{space}-{n}": arch for space in ("v2_light", "v2_redistributed") for n, arch in enumerate(drawn(space, 6))}
CASES["narrow"] = ArchConfig.from_dict(ARCHS["v2"].to_dict() | {"backbone": {"name": "mobilenetv1", "width": 0.125}})


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_equal_at_every_size(name: str) -> None:
    network = lively(CASES[name]).double()  # So that the tolerance need not allow for rounding.
    rewritten = copy.deepcopy(network)
    freeze(rewritten)
    reformulate(rewritten)
    with torch.inference_mode():
        for height, width in SIZES:
            image = 60 * torch.randn((1, 3, height, width), dtype=torch.float64)
            for got, wanted in zip(rewritten(image), network(image), strict=True):
                torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9)


def test_depthwise_convolutions_in_chains_fill_whole_blocks() -> None:
    network = lively(ARCHS["v2"])
    freeze(network)
    assert any(conv.groups == conv.in_channels == 8 for conv in convs(network.backbone))
    reformulate(network)
    widths = [(conv.in_channels, conv.out_channels) for conv in convs(network.backbone)]
    assert widths[0] == (3, BLOCK)
    assert all(before[1] == after[0] for before, after in pairwise(widths))
    assert all(width % BLOCK == 0 for pair in widths[1:] for width in pair)


def convs(module: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]


def test_one_convolution_per_level_makes_all_predictions() -> None:
    network = lively(ARCHS["v1"])
    freeze(network)
    assert len(convs(network.head)) == 9
    reformulate(network)
    assert [conv.out_channels for conv in convs(network.head)] == [2 * 16] * 3


def test_the_original_is_as_it_was() -> None:
    network = lively(ARCHS["v2"]).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    Deployed(network)
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    after = network.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
