"""Networks start from the same weights wherever their layers agree."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from harness.core.arch import ARCHS, ArchConfig, Part, part
from harness.models.builder import build
from harness.models.initial import initialise


def weights(arch: ArchConfig, seed: int = 3) -> dict[str, Tensor]:
    network = build(arch)
    initialise(network, seed)
    return dict(network.named_parameters())


@pytest.mark.parametrize(
    ("slot", "other"),
    [
        ("attention", part("none")),
        ("neck", part("bifpn_light", channels=32, repeats=3, depthwise=True, reduction_factor=1)),
        ("context", part("conv3x3")),
        ("head", part("shared_multi", trunk="conv", per_level=True)),
    ],
)
def test_networks_that_differ_in_one_part_agree_everywhere_else(slot: str, other: Part) -> None:
    one, changed = weights(ARCHS["v2"]), weights(replace(ARCHS["v2"], **{slot: other}))
    same = {name for name in one if name in changed and torch.equal(one[name], changed[name])}
    assert same >= {name for name in one if not name.startswith(f"{slot}.")}
    if slot == "neck":
        assert same == set(one), "a deeper neck has the same first cells"


def test_every_random_layer_depends_on_the_seed_and_on_its_name() -> None:
    one, other = weights(ARCHS["v2"]), weights(ARCHS["v2"], seed=4)
    drawn = [name for name in one if not torch.equal(one[name], other[name])]
    assert {name for name in one if one[name].ndim > 1} <= set(drawn)
    assert not torch.equal(one["context.p3.middle.0.weight"], one["context.p4.middle.0.weight"])


@pytest.mark.parametrize("name", ARCHS)
def test_values_that_a_module_sets_itself_stay(name: str) -> None:
    torch.manual_seed(0)
    built = dict(build(ARCHS[name]).named_parameters())
    drawn = weights(ARCHS[name])
    for key in built:
        if key.endswith("classes.bias") or ".offset." in key or ".modulator." in key or ".norm." in key:
            assert torch.equal(built[key], drawn[key]), key
        elif built[key].ndim > 1:
            assert drawn[key].std().item() == pytest.approx(built[key].std().item(), rel=0.7), key


def test_the_global_generator_is_left_alone() -> None:
    network = build(ARCHS["v2"])
    before = torch.get_rng_state()
    initialise(network, 0)
    assert torch.equal(torch.get_rng_state(), before)
