"""The documented architectures and the released one, counted part by part, and the way to them by name."""

import pytest
import torch

from harness.core.arch import ARCHS, SLOTS, ArchConfig
from harness.core.budget import Budget
from harness.errors import BudgetError, InputError
from harness.models.builder import build, registries, resolve_arch, validate

PARTS = {
    "v1": (213_072, 293 + 742 + 2_921, 113_610, 3 * 323, 148_296, 0, 900 + 1_800 + 4_500),
    "v2": (213_072, 5_732, 26_068, 868, 3 * 2_064, 3 * 352, 3 * 1_056),
    "v2_as_written": (213_072, 5_732, 26_068, 868, 3 * 2_256, 0, 3 * 5_184),
    "featherface": (213_072, 11_528, 112_606, 2_040, 3 * 77_655, 3 * 4_640, 780 + 1_560 + 3_900),
}
TOTALS = {"v1": 487_103, "v2": 256_156, "v2_as_written": 268_060, "featherface": 592_371}


@pytest.mark.parametrize("name", ARCHS)
def test_named_architectures_count_exactly(name: str) -> None:
    detector = build(ARCHS[name])
    parts = {slot: sum(p.numel() for p in module.parameters()) for slot, module in detector.named_children()}
    assert list(parts) == list(SLOTS)
    assert tuple(parts.values()) == PARTS[name]
    assert sum(p.numel() for p in detector.parameters()) == TOTALS[name]


def test_v1_in_finer_parts() -> None:
    detector = build(ARCHS["v1"])

    def numel(path: str) -> int:
        return sum(p.numel() for p in detector.get_submodule(path).parameters())

    assert [numel(f"backbone.stage{i}") for i in (1, 2, 3)] == [10_128, 99_392, 103_552]
    assert [numel(f"attention.{level}") for level in ("p3", "p4", "p5")] == [293, 742, 2_921]
    assert numel("neck.down") + numel("neck.out") == 62_678
    assert numel("neck.cells.0.p4_up") == 6_364
    assert numel("neck.cells.1.fusion") == 10


def test_the_released_featherface_in_finer_parts() -> None:
    detector = build(ARCHS["featherface"])
    numel = {path: sum(p.numel() for p in module.parameters()) for path, module in detector.named_modules()}
    assert [numel[f"context.{level}"] for level in ("p3", "p4", "p5")] == [77_655] * 3
    assert [numel[f"shuffle.{level}"] for level in ("p3", "p4", "p5")] == [4_640] * 3
    for task, whole in (("classes", 780), ("box", 1_560), ("landmark", 3_900)):
        assert sum(numel[f"head.levels.{level}.{task}"] for level in ("p3", "p4", "p5")) == whole


def test_archs_survive_plain_data() -> None:
    for arch in ARCHS.values():
        assert ArchConfig.from_dict(arch.to_dict()) == arch
        validate(ArchConfig.from_dict(arch.to_dict()))


def test_names_are_resolved_or_refused() -> None:
    assert resolve_arch("v1") is ARCHS["v1"]
    with pytest.raises(InputError, match=r"unknown arch 'v3'.*known: featherface, v1, v2, v2_as_written"):
        resolve_arch("v3")
    with pytest.raises(InputError, match=r"'archs/v2.py' is a path: give a name; did you mean 'v2'\?"):
        resolve_arch("archs/v2.py")


def test_over_budget_is_refused_before_a_tensor_exists() -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a tensor was made")

    before = torch.get_rng_state()
    with pytest.raises(BudgetError):
        build(ARCHS["v2"], Budget())
    assert torch.equal(before, torch.get_rng_state())
    assert build(ARCHS["v2"], Budget(256_156)).feature_channels == 32


def test_both_attention_slots_share_one_registry() -> None:
    assert registries["attention"] is registries["neck_attention"]
    assert set(registries) == set(SLOTS)
    assert {entry.name for entry in registries["attention"]} == {"none", "cbam", "cbam_plus", "se", "eca"}
    assert {entry.name for entry in registries["context"]} == {"none", "conv3x3", "ssh", "ssh_deform", "ssh_grouped"}
    assert {entry.name for entry in registries["shuffle"]} == {"none", "shuffle", "shuffle_conv", "shuffle_depthwise"}
    assert {entry.name for entry in registries["head"]} == {"separate", "shared_multi"}
    assert {entry.name for entry in registries["neck"]} == {"bifpn", "bifpn_light"}
