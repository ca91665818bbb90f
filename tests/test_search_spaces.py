"""Properties of the search spaces in ``search_spaces/``."""

import itertools

import numpy as np
import pytest
import torch

from harness.core.arch import ARCHS, MOBILENET_STAGES, ArchConfig, in_stages
from harness.core.budget import Budget
from harness.core.names import load_space, space_names
from harness.core.space import Choice, Configuration, IntRange, SearchSpace
from harness.core.training import DistillConfig, TrainConfig
from harness.counting import SpaceCounts
from harness.counting.spaces import part_cost
from harness.errors import BudgetError, InputError
from harness.models.builder import build
from harness.models.costs import count, count_parts
from harness.models.wiring import inputs_of


@pytest.mark.parametrize("name", space_names())
def test_spaces_are_named_by_their_module_and_can_be_built(name: str) -> None:
    space = load_space(name)
    assert space.name == name
    assert space.description
    assert SpaceCounts(space).buildable > 0


def test_v2_light_is_what_the_main_study_needs() -> None:
    space = load_space("v2_light")
    counts = SpaceCounts(space)
    assert space.base == ARCHS["v2"]
    assert len(space.axes) >= 10
    assert 10**4 <= counts.size <= 10**7
    assert {"distill.temperature", "distill.alpha", "distill.feature_weight"} <= {axis.name for axis in space.axes}
    assert not any(axis.name.startswith("backbone.") for axis in space.axes)
    assert counts.feasible(Budget()) > counts.buildable / 5
    assert counts.largest(Budget()) <= 256_148


V2_IN_V2_LIGHT: Configuration = {
    "attention.name": "cbam_plus",
    "attention.reduction": 32,
    "neck.channels": 32,
    "neck.repeats": 2,
    "neck.reduction_factor": 1,
    "neck_attention.name": "cbam_plus",
    "neck_attention.reduction": 32,
    "neck_attention.shared_gate": False,
    "context.name": "ssh_grouped",
    "context.groups": 4,
    "context.reduction": 2,
    "shuffle.name": "shuffle_conv",
    "shuffle.groups": 4,
    "head.trunk": "none",
    "head.per_level": True,
    "distill.alpha": 0.7,
    "distill.temperature": 4.0,
    "distill.feature_weight": 0.0,
}


def test_v2_light_holds_the_documented_student() -> None:
    space = load_space("v2_light")
    space.check(V2_IN_V2_LIGHT)
    assert space.arch(V2_IN_V2_LIGHT) == ARCHS["v2"]
    assert DistillConfig(**space.distill(V2_IN_V2_LIGHT)) == DistillConfig()
    assert SpaceCounts(space).total(V2_IN_V2_LIGHT) == 256_156


def test_v2_light_builds_a_different_network_for_every_choice() -> None:
    """Two values of one axis never build the same parameters in every shape: here, never the same count and widths."""
    space = load_space("v2_light")
    for group in ("attention", "neck_attention"):
        for channels in (24, 28, 32, 36, 40, 44, 48):
            totals: dict[tuple[object, ...], set[int]] = {}
            for chosen in space.group_configurations(group):
                configuration = {**V2_IN_V2_LIGHT, "neck.channels": channels, "context.name": "none"}
                kept = {
                    k: v for k, v in configuration.items() if not k.startswith((group + ".", "context.g", "context.r"))
                }
                arch = space.arch({**kept, **chosen, "shuffle.groups": 2})
                key = (chosen[f"{group}.name"], chosen.get(f"{group}.shared_gate"))
                total = count(arch)
                assert total not in totals.setdefault(key, set())
                totals[key].add(total)


def shapes(arch: ArchConfig) -> dict[str, torch.Size]:
    return {name: parameter.shape for name, parameter in build(arch).backbone.named_parameters()}


QUARTER: Configuration = {f"backbone.{name}": value for name, value in MOBILENET_STAGES.options if name != "depth_p2"}
"""MobileNetV1-0.25 in the axes of spaces that search the backbone."""


def test_v2_redistributed_holds_the_documented_student() -> None:
    space, counts = load_space("v2_redistributed"), SpaceCounts(load_space("v2_redistributed"))
    distilled = {name: value for name, value in V2_IN_V2_LIGHT.items() if not name.startswith("distill.")}
    configuration = {**QUARTER, **distilled}
    space.check(configuration)
    assert space.arch(configuration) == space.base == in_stages(ARCHS["v2"])
    assert counts.total(configuration) == 256_156
    assert counts.size == space.size() == 2_102_132_736
    assert counts.feasible(Budget()) == counts.histogram.fitting(np.array([256_148]))[0] == 989_914_000
    assert int(counts.histogram.counts.sum()) == counts.buildable == 1_688_076_288
    assert counts.largest(Budget()) == 256_148


def test_v2_p5_holds_the_documented_student_and_keeps_its_first_stages() -> None:
    space, counts = load_space("v2_p5"), SpaceCounts(load_space("v2_p5"))
    distilled = {name: value for name, value in V2_IN_V2_LIGHT.items() if not name.startswith("distill.")}
    configuration = {**{name: QUARTER[name] for name in ("backbone.width_p5", "backbone.depth_p5")}, **distilled}
    space.check(configuration)
    assert space.arch(configuration) == space.base == in_stages(ARCHS["v2"])
    assert counts.total(configuration) == 256_156
    assert counts.size == space.size() == 8_515_584
    assert counts.feasible(Budget()) == counts.histogram.fitting(np.array([256_148]))[0] == 4_134_218
    assert int(counts.histogram.counts.sum()) == counts.buildable == 6_635_520
    thin = count_parts(space.arch({**configuration, "backbone.width_p5": 96, "backbone.depth_p5": 1}))
    assert count_parts(space.base)["backbone"] - thin["backbone"] == 89_664
    quarter = [shape for name, shape in shapes(space.base).items() if name.startswith(("stage1", "stage2"))]
    for chosen in space.group_configurations("backbone"):
        narrow = shapes(space.arch({**configuration, **chosen}))
        assert [shape for name, shape in narrow.items() if name.startswith(("stage1", "stage2"))] == quarter


def test_v1_slim_holds_v1_and_narrower_ones() -> None:
    space, counts = load_space("v1_slim"), SpaceCounts(load_space("v1_slim"))
    widths = {name: value for name, value in QUARTER.items() if "width" in name}
    configuration = {**widths, "attention.reduction": 48, "neck.channels": 74, "neck_attention.reduction": 48}
    space.check(configuration)
    assert space.arch(configuration) == space.base == in_stages(ARCHS["v1"])
    assert counts.total(configuration) == 487_103
    assert counts.buildable == counts.size == 11_700
    assert counts.feasible(Budget()) == counts.histogram.fitting(np.array([256_148]))[0] == 5_734
    names = {slot: part.name for slot, part in space.base.parts().items()}
    for chosen in list(space.enumerate())[::500]:
        assert {slot: part.name for slot, part in space.arch(chosen).parts().items()} == names


@pytest.mark.parametrize("name", ["v2_redistributed", "v2_p5", "v1_slim"])
@pytest.mark.parametrize("slot", ["attention", "neck_attention"])
def test_gates_of_every_reduction_differ_at_every_width(name: str, slot: str) -> None:
    space = load_space(name)
    backbones = {space.arch(chosen).backbone for chosen in space.group_configurations("backbone")}
    necks = {space.arch(chosen).neck for chosen in space.group_configurations("neck")}
    parts = {space.arch(chosen).parts()[slot] for chosen in space.group_configurations(slot)}
    for inputs in {inputs_of(slot, *pair) for pair in itertools.product(backbones, necks)}:
        costs = [(part.name, part_cost(slot, part, inputs)) for part in parts]
        built = [pair for pair in costs if pair[1] is not None]
        assert len(set(built)) == len(built), inputs


def test_v1_to_v2_holds_both_ends() -> None:
    space = load_space("v1_to_v2")
    archs = [space.arch(configuration) for configuration in space.enumerate()]
    assert ARCHS["v1"] in archs
    assert ARCHS["v2"] in archs
    assert len(set(archs)) == len(archs) == 128


@pytest.mark.parametrize("name", ["recipe", "recipe_scenes", "distillation"])
def test_recipes_train_one_architecture_in_many_ways(name: str) -> None:
    space, counts = load_space(name), SpaceCounts(load_space(name))
    assert counts.architectures == 1
    assert counts.buildable == counts.size == space.size() == len({*map(str, space.recipes())})
    assert counts.feasible(Budget(max_params=256_156)) == counts.size
    with pytest.raises(BudgetError, match="its smallest configuration has 256,156"):
        counts.sample(Budget(), np.random.default_rng(0))
    for configuration in space.enumerate():
        assert space.arch(configuration) == ARCHS["v2"]
        TrainConfig(**space.train(configuration))
        DistillConfig(**space.distill(configuration))


def test_axes_of_a_schedule_are_its_fields() -> None:
    space = SearchSpace("s", "", ARCHS["v2"], (Choice("train.clip", (10, 35)), IntRange("train.large_crops", 0, 2)))
    chosen = space.train({"train.clip": 10, "train.large_crops": 2})
    assert chosen == {"clip": 10.0, "large_crops": 2}
    assert isinstance(chosen["clip"], float), "an integer axis value is converted to the field's float"
    assert isinstance(chosen["large_crops"], int)
    with pytest.raises(InputError, match="unknown axis of train 'momentum'"):
        Choice("train.momentum", (0.9,))
    with pytest.raises(InputError, match="unknown axis of train 'epochs'"):
        IntRange("train.epochs", 1, 9)
    with pytest.raises(InputError, match=r"axis 'lr' must be GROUP.OPTION with GROUP one of backbone, .*, distill"):
        Choice("lr", (0.1,))
