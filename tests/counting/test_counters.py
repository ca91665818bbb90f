"""Closed form, numel, fvcore and thop side by side."""

import numpy as np
import pytest

from harness.core.arch import ARCHS, ArchConfig, part
from harness.core.budget import Budget
from harness.core.names import load_space
from harness.counting import SpaceCounts, compare
from harness.counting.counters import Comparison, _require_explained
from harness.errors import HarnessError


@pytest.mark.parametrize(("name", "thop"), [("v1", 487_083), ("v2", 256_136), ("v2_as_written", 268_040)])
def test_counters_agree_but_for_the_fusion_weights(name: str, thop: int) -> None:
    answer = compare(ARCHS[name], 97, 131)
    assert answer.closed_form == answer.numel == answer.fvcore == thop + 20
    assert answer.thop == thop
    assert answer.skipped == {
        f"neck.cells.{cell}.fusion.{node}": size
        for cell in (0, 1)
        for node, size in {"p4_up": 2, "p3_out": 2, "p4_out": 3, "p5_out": 3}.items()
    }
    assert answer.macs_closed_form == answer.macs_fvcore
    assert set(answer.fvcore_extra) == {"batch_norm", "upsample_nearest2d"}
    assert "aten::silu" in answer.fvcore_missing


def test_thop_misses_what_a_deformable_convolution_uses_itself() -> None:
    answer = compare(ARCHS["featherface"], 97, 131)
    assert answer.closed_form == answer.numel == answer.fvcore == 592_371
    assert answer.thop == 488_661
    fusion = {name: size for name, size in answer.skipped.items() if ".fusion." in name}
    taps = {name: size for name, size in answer.skipped.items() if name not in fusion}
    assert sum(fusion.values()) == 3 * 10
    assert len(taps) == 3 * 5
    assert all(name.startswith("context.") and name.endswith(".weight") for name in taps)
    assert sum(taps.values()) == 3 * 9 * (64 * 32 + 64 * 16 + 3 * 16 * 16)
    assert answer.macs_closed_form == answer.macs_fvcore
    assert set(answer.fvcore_extra) == {"batch_norm", "upsample_nearest2d", "grid_sampler"}


@pytest.mark.parametrize("seed", range(4))
def test_counters_agree_on_random_candidates(seed: int) -> None:
    space = load_space("v2_light")
    configuration = SpaceCounts(space).sample(Budget(), np.random.default_rng(seed))
    answer = compare(space.arch(configuration), 33, 70)
    assert answer.numel <= 256_148


def test_parts_that_no_named_architecture_has_agree_too() -> None:
    compare(
        ArchConfig(
            backbone=part("mobilenetv1", width=0.125),
            attention=part("eca"),
            neck=part("bifpn_light", channels=24, repeats=1, depthwise=False, reduction_factor=1),
            neck_attention=part("se", reduction=4),
            context=part("ssh"),
            shuffle=part("none"),
            head=part("shared_multi", trunk="depthwise", per_level=False),
        ),
        50,
        64,
    )


@pytest.mark.parametrize(("params", "macs"), [(99, 7), (100, 8)])
def test_an_unexplained_difference_fails(params: int, macs: int) -> None:
    answer = Comparison(100, 100, params, 90, {"w": 10}, (1, 1), 7, macs, {}, {}, 7)
    with pytest.raises(HarnessError, match="differ"):
        _require_explained(answer)
