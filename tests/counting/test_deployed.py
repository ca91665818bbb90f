"""Buffers, bytes and the deployed count against networks that are really built, saved and folded."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from harness.core.arch import ARCHS, ArchConfig, part
from harness.core.budget import Budget
from harness.core.names import load_space
from harness.counting import SpaceCounts
from harness.models.builder import build
from harness.models.costs import costs
from harness.models.modules.conv import norm_cost
from harness.models.modules.part import Cost


def _random(name: str, seed: int) -> ArchConfig:
    space = load_space(name)
    return space.arch(SpaceCounts(space).sample(Budget(10**9), np.random.default_rng(seed)))


ARCHITECTURES = {
    **ARCHS,
    "factored": replace(
        ARCHS["v2"], neck=part("bifpn_light", channels=32, repeats=1, depthwise=True, reduction_factor=4)
    ),
    "full": replace(
        ARCHS["v2"],
        neck=part("bifpn_light", channels=24, repeats=1, depthwise=False, reduction_factor=1),
        context=part("ssh"),
        shuffle=part("none"),
        head=part("shared_multi", trunk="depthwise", per_level=False),
    ),
    **{f"{name}-{seed}": _random(name, seed) for name in ("v2_light", "v1_to_v2") for seed in range(2)},
}


def _whole(arch: ArchConfig) -> Cost:
    return sum(costs(arch).values(), Cost())


def _settle(detector: nn.Module) -> None:
    """Give every norm statistics, scales and shifts of its own: fresh ones would hide a mistake."""
    for module in detector.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)


def _fold(detector: nn.Module, image: Tensor) -> tuple[int, int]:
    """Fold each norm whose input is a convolution's very output; return how many were folded, and how many stay."""
    before: dict[str, str] = {}
    made: dict[int, tuple[str, Tensor]] = {}

    def watch(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if isinstance(module, nn.BatchNorm2d) and id(inputs[0]) in made:
                before[name] = made[id(inputs[0])][0]
            if isinstance(module, nn.Conv2d):
                made[id(output)] = (name, output)

        return hook

    hooks = [module.register_forward_hook(watch(name)) for name, module in detector.named_modules()]
    detector(image)
    for hook in hooks:
        hook.remove()
    norms = [name for name, module in detector.named_modules() if isinstance(module, nn.BatchNorm2d)]
    for norm, conv in before.items():
        weights, statistics = detector.get_submodule(conv), detector.get_submodule(norm)
        assert isinstance(weights, nn.Conv2d)
        assert isinstance(statistics, nn.BatchNorm2d)
        detector.set_submodule(conv, fuse_conv_bn_eval(weights, statistics))
        detector.set_submodule(norm, nn.Identity())
    return len(before), len(norms) - len(before)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_buffers_bytes_and_the_deployed_count(name: str) -> None:
    arch = ARCHITECTURES[name]
    torch.manual_seed(0)
    detector = build(arch).eval()
    whole = _whole(arch)
    buffers = dict(detector.named_buffers())
    assert whole.buffers == sum(buffer.numel() for buffer in buffers.values())
    assert whole.norms == sum(buffer.dtype == torch.int64 for buffer in buffers.values())
    assert whole.with_buffers == sum(tensor.numel() for tensor in detector.state_dict().values())

    saved = safetensors.torch.save(dict(detector.state_dict()))
    header = int.from_bytes(saved[:8], "little")
    assert set(json.loads(saved[8 : 8 + header])) - {"__metadata__"} == set(detector.state_dict())
    assert whole.bytes == len(saved) - 8 - header

    _settle(detector)
    image = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        expected = detector(image)
        folded, left = _fold(detector, image)
        answer = detector(image)
    assert (folded, left) == (whole.norms, 0)
    assert whole.deployed == sum(parameter.numel() for parameter in detector.parameters())
    assert not list(detector.buffers())
    for one, other in zip(answer, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_a_norm_without_a_convolution_before_it_stays() -> None:
    alone = norm_cost(10)
    assert (alone.params, alone.buffers, alone.deployed) == (20, 21, 20)


def test_the_documented_architectures_counted_every_way() -> None:
    found = {
        name: (whole.params, whole.with_buffers, whole.deployed, whole.bytes)
        for name in ("v1", "v2", "v2_as_written")
        for whole in (_whole(ARCHS[name]),)
    }
    assert found == {
        "v1": (487_103, 495_004, 482_215, 1_980_212),
        "v2": (256_156, 263_643, 252_450, 1_054_872),
        "v2_as_written": (268_060, 275_202, 264_522, 1_101_072),
    }
