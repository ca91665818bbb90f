"""Shared weights: every network of a space is a slice of them, and computes and learns as one of its own."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.core.arch import ARCHS, MOBILENET_STAGES, SLOTS, ArchConfig, Part, part
from harness.core.budget import Budget
from harness.core.names import load_space, space_names
from harness.core.space import IntRange, SearchSpace
from harness.counting import SpaceCounts
from harness.errors import InputError
from harness.models.builder import registries, validate
from harness.models.costs import count
from harness.models.detector import Detector
from harness.models.shared import SharedWeights, run

IMAGES = 60 * torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture(autouse=True)
def _in_double_precision() -> Iterator[None]:
    """BatchNorms over few pixels amplify rounding."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def drawn(space: SearchSpace, number: int) -> list[ArchConfig]:
    counts, rng = SpaceCounts(space), np.random.default_rng(0)
    return [space.arch(counts.sample(Budget(10**9), rng)) for _ in range(number)]


def outputs(weights: SharedWeights, arch: ArchConfig) -> tuple[Tensor, Tensor, Tensor]:
    parts = weights.parts(arch)
    return run(parts, parts["backbone"](IMAGES))[1]


def check(weights: SharedWeights, arch: ArchConfig) -> Detector:
    """Check that a network of shared weights computes what the one of its own does, and return that one."""
    own = weights.take(arch).train()
    assert sum(p.numel() for p in own.parameters()) == count(arch)
    with torch.no_grad():
        alone, shared = own.raw(IMAGES), outputs(weights, arch)
    for one, other in zip(alone[:3], shared, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-7)
    return own


@pytest.mark.parametrize("name", [name for name in space_names() if "recipe" not in name and name != "distillation"])
def test_any_network_of_a_space_computes_with_its_slices(name: str) -> None:
    space = load_space(name)
    weights = SharedWeights(space)
    for arch in drawn(space, 6):
        check(weights, arch)


_HOST = replace(
    ARCHS["v2"],
    backbone=MOBILENET_STAGES,
    neck=part("bifpn_light", channels=64, repeats=1, depthwise=True, reduction_factor=1),
    context=part("none"),
    shuffle=part("none"),
)


def variants(slot: str) -> Iterator[Part]:
    """Yield, of each registered part, the variant with the smallest options that can be built in wide and narrow."""
    for entry in registries[slot]:
        choices = [option.values or range(option.low, option.low + 16) for option in entry.item.options]
        for values in itertools.product(*choices):
            chosen = Part(entry.name, tuple((o.name, v) for o, v in zip(entry.item.options, values, strict=True)))
            try:
                for width in (32, 64) if slot not in ("backbone", "neck") else (64,):
                    narrow = replace(_HOST, neck=part("bifpn", channels=width, repeats=1))
                    validate(replace(narrow, **{slot: chosen}))
            except InputError:
                continue
            yield chosen
            break


@pytest.mark.parametrize("slot", SLOTS)
def test_every_registered_part_can_be_shared_over_widths(slot: str) -> None:
    found = list(variants(slot))
    assert {chosen.name for chosen in found} == {entry.name for entry in registries[slot]}
    axes = (IntRange("backbone.width_p5", 128, 256, 128), IntRange("neck.channels", 32, 64, 32))
    for chosen in found:
        base = replace(_HOST, **{slot: chosen})
        space = SearchSpace("widths", "", base, tuple(axis for axis in axes if not axis.name.startswith(f"{slot}.")))
        weights = SharedWeights(space)
        for arch in (space.arch(configuration) for configuration in space.enumerate()):
            check(weights, arch)


def test_widths_and_depths_are_leading_slices_and_other_options_are_apart() -> None:
    weights = SharedWeights(load_space("v2_light"))
    wide, narrow = (
        replace(
            ARCHS["v2"],
            neck=part("bifpn_light", channels=c, repeats=r, depthwise=True, reduction_factor=1),
            context=part("conv3x3"),
        )
        for c, r in ((48, 3), (24, 1))
    )
    large, small = (dict(weights.take(arch).named_parameters()) for arch in (wide, narrow))
    assert set(small) < set(large)
    for name, value in small.items():
        assert torch.equal(value, large[name][tuple(slice(n) for n in value.shape)]), name
    four, two = (
        weights.slices(replace(ARCHS["v2"], context=part("ssh_grouped", groups=g, reduction=2)))["context"]
        for g in (4, 2)
    )
    assert all(four[name].data_ptr() != two[name].data_ptr() for name in four)


def test_gradients_reach_its_slices_and_nothing_else() -> None:
    weights = SharedWeights(load_space("v2_light"))
    sum(value.square().mean() for value in outputs(weights, ARCHS["v2"])).backward()  # type: ignore[union-attr]
    own = weights.take(ARCHS["v2"]).train()
    alone = own.raw(IMAGES)
    torch.autograd.backward(sum((value.square().mean() for value in alone[:3]), torch.zeros(())))
    reached = {name for name, tensor in weights.tensors.items() if tensor.grad is not None}
    assert len(reached) == len(list(own.parameters()))
    for slot, slices in weights.slices(ARCHS["v2"]).items():
        for name, parameter in own.get_submodule(slot).named_parameters():
            (shared,) = (
                tensor
                for tensor in weights.tensors.values()
                if tensor.grad is not None and tensor.data_ptr() == slices[name].data_ptr()
            )
            assert shared.grad is not None
            assert parameter.grad is not None
            inside = shared.grad[tuple(slice(n) for n in parameter.shape)]
            torch.testing.assert_close(inside, parameter.grad, rtol=1e-6, atol=1e-9)
            assert shared.grad.abs().sum().item() == pytest.approx(inside.abs().sum().item(), rel=1e-5)


def test_a_trained_backbone_is_put_into_every_network() -> None:
    weights = SharedWeights(load_space("v2_light"))
    trained = {name: torch.full_like(p, 0.5) for name, p in weights.take(ARCHS["v2"]).backbone.named_parameters()}
    weights.put(ARCHS["v2"], "backbone", trained)
    for arch in drawn(load_space("v2_light"), 3):
        own = dict(weights.take(arch).backbone.named_parameters())
        assert all(torch.equal(own[name], value) for name, value in trained.items())


def test_a_network_outside_the_space_is_an_error() -> None:
    weights = SharedWeights(load_space("v2_light"))
    with pytest.raises(KeyError):
        weights.take(ARCHS["v1"])
    wide = part("bifpn_light", channels=64, repeats=1, depthwise=True, reduction_factor=1)
    with pytest.raises(ValueError, match="larger than the shared tensor"):
        weights.take(replace(ARCHS["v2"], neck=wide))
