"""Weights of a backbone taken over by one of other widths and depths, against slices written out layer by layer."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from harness.core.arch import ARCHS, MOBILENET_STAGES, Part
from harness.core.budget import Budget
from harness.core.names import load_space
from harness.counting import SpaceCounts
from harness.errors import InputError
from harness.models.builder import build
from harness.models.inherit import fpgm, inherit, is_chain, leading
from harness.models.modules.backbone import MobileNet, MobileNetV1, MobileNetV1Stages
from harness.models.weights import init_backbone, save_weights, state_digest

QUARTER = MOBILENET_STAGES.option_dict()


def _settled(network: nn.Module, seed: int) -> nn.Module:
    """Give all weights and statistics random values, so that every number tells where it comes from."""
    random = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            value.fill_(seed + 3)
        else:
            value.copy_(torch.randn(value.shape, generator=random))
            if name.endswith("running_var"):
                value.abs_().add_(0.5)
    return network


def _stages(seed: int = 0, **changes: int) -> MobileNetV1Stages:
    network = MobileNetV1Stages(**{**QUARTER, **changes})  # type: ignore[arg-type]
    _settled(network, seed)
    return network


def _small(width: int, depth: int, seed: int) -> MobileNetV1Stages:
    return _stages(
        seed,
        **{f"width_p{level}": width for level in (3, 4, 5)},
        **{f"depth_p{level}": depth for level in (2, 3, 4, 5)},
    )


def _arrays(network: nn.Module) -> dict[str, np.ndarray]:
    return {name: value.numpy().copy() for name, value in network.state_dict().items()}


NORM = ("weight", "bias", "running_mean", "running_var")


def test_a_narrower_one_takes_the_leading_channels() -> None:
    wide, narrow = _small(16, 1, seed=1), _small(8, 1, seed=2)
    given = _arrays(wide)
    found = inherit(narrow.state_dict(), wide.state_dict())
    # Stem 1 of 2 channels, then blocks to 2 of 4, 4 of 8 and 8 of 16 channels in stage 1; 8 of 16 afterwards.
    expected = {"stage1.0.0.weight": given["stage1.0.0.weight"][:1]}
    expected |= {f"stage1.0.1.{name}": given[f"stage1.0.1.{name}"][:1] for name in NORM}
    inputs = 1
    for block, outputs in (("1.1", 2), ("1.2", 4), ("1.3", 8), ("2.0", 8), ("3.0", 8)):
        expected[f"stage{block}.0.weight"] = given[f"stage{block}.0.weight"][:inputs]
        expected[f"stage{block}.3.weight"] = given[f"stage{block}.3.weight"][:outputs, :inputs]
        for name in NORM:
            expected[f"stage{block}.1.{name}"] = given[f"stage{block}.1.{name}"][:inputs]
            expected[f"stage{block}.4.{name}"] = given[f"stage{block}.4.{name}"][:outputs]
        inputs = outputs
    tracked = {name for name in found if name.endswith("num_batches_tracked")}
    assert {name: int(found[name]) for name in tracked} == dict.fromkeys(tracked, 4)
    assert found.keys() - tracked == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name].numpy(), value, err_msg=name)


def test_chosen_channels_are_followed_into_the_next_layers() -> None:
    """The channels are chosen by hand: the last ones of every layer."""
    wide, narrow = _small(16, 2, seed=1), _small(8, 2, seed=2)

    def last(filters: Tensor, number: int) -> Tensor:
        return torch.arange(len(filters))[-number:]

    given, found = _arrays(wide), inherit(narrow.state_dict(), wide.state_dict(), last)
    np.testing.assert_array_equal(found["stage1.0.0.weight"], given["stage1.0.0.weight"][1:])
    np.testing.assert_array_equal(found["stage1.1.0.weight"], given["stage1.1.0.weight"][1:])
    np.testing.assert_array_equal(found["stage1.1.3.weight"], given["stage1.1.3.weight"][2:, 1:])
    np.testing.assert_array_equal(found["stage1.2.1.running_mean"], given["stage1.2.1.running_mean"][2:])
    np.testing.assert_array_equal(found["stage1.2.3.weight"], given["stage1.2.3.weight"][4:, 2:])
    np.testing.assert_array_equal(found["stage2.0.1.bias"], given["stage2.0.1.bias"][8:])
    np.testing.assert_array_equal(found["stage3.1.3.weight"], given["stage3.1.3.weight"][8:, 8:])
    np.testing.assert_array_equal(found["stage3.1.4.running_var"], given["stage3.1.4.running_var"][8:])


def test_a_wider_one_computes_the_same_in_its_first_channels() -> None:
    source = _stages(1).double().eval()
    fresh = _stages(2, width_p3=80, width_p4=128, width_p5=288).double()
    found = inherit(fresh.state_dict(), source.state_dict())
    for name, value in fresh.state_dict().items():
        given = source.state_dict()[name]
        if value.ndim:
            assert torch.equal(found[name][len(given) :], value[len(given) :]), "further channels stay fresh"
        else:
            assert torch.equal(found[name], given)
    fresh.load_state_dict(found)
    images = torch.randn(2, 3, 65, 97, dtype=torch.float64)
    for training in (False, True):
        with torch.no_grad():
            ours, theirs = fresh.train(training)(images), source.train(training)(images)
        for mine, image in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine[:, : image.shape[1]], image)


def test_missing_blocks_stay_fresh_and_superfluous_ones_are_left_out() -> None:
    source = _stages(1, depth_p2=1, depth_p3=3, depth_p4=2)
    fresh = _stages(2, depth_p2=3, depth_p3=1, depth_p4=2, depth_p5=3)
    given, wanted = source.state_dict(), fresh.state_dict()
    found = inherit(wanted, given)
    # Stem, block at stride 2, then at strides 4 and 8: layer of the new backbone → layer of the source.
    layers = {"stage1.0": "stage1.0", "stage1.1": "stage1.1", "stage1.2": "stage1.2", "stage1.5": "stage1.3"}
    layers |= {"stage2.0": "stage2.0", "stage2.1": "stage2.1", "stage3.0": "stage3.0", "stage3.1": "stage3.1"}
    for name, value in found.items():
        layer = ".".join(name.split(".")[:2])
        expected = given[name.replace(layer, layers[layer])] if layer in layers else wanted[name]
        assert torch.equal(value, expected), name
    assert {".".join(name.split(".")[:2]) for name in found} - layers.keys() == {"stage1.3", "stage1.4", "stage3.2"}


def test_behind_a_block_that_is_left_out_its_channels_are_taken() -> None:
    """Without the source's last block at a stride, the next one still reads the channels chosen for that last block."""
    source, narrow = _stages(1, depth_p4=2), _stages(2, width_p4=100, depth_p4=1)
    given = source.state_dict()
    found = inherit(narrow.state_dict(), given, fpgm)
    first, last = (fpgm(given[f"stage2.{block}.3.weight"], 100) for block in (0, 1))
    assert not torch.equal(first, last)
    assert torch.equal(found["stage2.0.3.weight"], given["stage2.0.3.weight"][first])
    assert torch.equal(found["stage3.0.0.weight"], given["stage3.0.0.weight"][last])
    assert torch.equal(found["stage3.0.3.weight"], given["stage3.0.3.weight"][:, last])


def _far_from_the_others(filters: np.ndarray, number: int) -> list[int]:
    """FPGM in plain loops: leave out, one filter after the other, what has the smallest sum of distances."""
    rows = filters.reshape(len(filters), -1).tolist()
    sums = [math.fsum(math.dist(row, other) for other in rows) for row in rows]
    kept = list(range(len(rows)))
    while len(kept) > number:
        kept.remove(min(kept, key=lambda index: sums[index]))
    return kept


@pytest.mark.parametrize("shape", [(8, 3, 3, 3), (16, 8, 1, 1), (64, 64, 1, 1)])
def test_fpgm_keeps_what_is_far_from_the_others(shape: tuple[int, ...]) -> None:
    filters = torch.randn(shape, generator=torch.Generator().manual_seed(shape[0]))
    for number in (1, 2, shape[0] // 2, shape[0] - 1, shape[0], shape[0] + 5):
        assert fpgm(filters, number).tolist() == _far_from_the_others(filters.numpy(), number)
    line = torch.tensor([0.0, 10.0, 4.0, 5.0, -7.0]).view(5, 1, 1, 1)  # Sums of distances: 26, 38, 18, 19, 47.
    assert fpgm(line, 2).tolist() == [1, 4]
    assert fpgm(line, 4).tolist() == [0, 1, 3, 4]


def test_of_equal_filters_the_first_are_kept() -> None:
    assert fpgm(torch.ones(6, 2, 1, 1), 4).tolist() == [0, 1, 2, 3]
    assert leading(torch.ones(6, 2, 1, 1), 4).tolist() == [0, 1, 2, 3]
    assert leading(torch.ones(3, 2, 1, 1), 4).tolist() == [0, 1, 2]


def _kill(network: nn.Module, widths: Mapping[tuple[str, int], int]) -> dict[str, Tensor]:
    """Make channels of every layer dead, and return the indices of the others for P3, P4 and P5.

    A dead channel has a filter of zeros, and BatchNorms with scale and shift zero behind it: it is zero everywhere. The
    network's widths are those of ``widths``, whose values are the numbers of channels that live on.
    """
    random = torch.Generator().manual_seed(4)
    state, living = network.state_dict(), {}
    dead = torch.zeros(0, dtype=torch.long)
    for stage in ("stage1", "stage2", "stage3"):
        for number, layer in enumerate(network.get_submodule(stage).children()):
            name, stem = f"{stage}.{number}", len(list(layer.children())) == 3
            if not stem:
                state[f"{name}.1.weight"][dead] = state[f"{name}.1.bias"][dead] = 0
            filters, norm = (f"{name}.0", f"{name}.1") if stem else (f"{name}.3", f"{name}.4")
            width = len(state[f"{filters}.weight"])
            order = torch.randperm(width, generator=random)
            alive, dead = order[: widths[stage, width]].sort().values, order[widths[stage, width] :]
            for value in (state[f"{filters}.weight"], state[f"{norm}.weight"], state[f"{norm}.bias"]):
                value[dead] = 0
            living[stage] = alive
    return living


@pytest.mark.parametrize("training", [False, True])
def test_without_its_dead_channels_a_backbone_computes_the_same(training: bool) -> None:
    widths = {("stage1", 8): 6, ("stage1", 16): 12, ("stage1", 32): 24, ("stage1", 64): 48}
    whole = _stages(1).double()
    living = _kill(whole, {**widths, ("stage2", 128): 80, ("stage3", 256): 100})
    slim = _stages(2, width_p3=48, width_p4=80, width_p5=100).double()
    slim.load_state_dict(inherit(slim.state_dict(), whole.state_dict(), fpgm))
    images = torch.randn(2, 3, 96, 65, dtype=torch.float64)
    with torch.no_grad():
        full, pruned = whole.train(training)(images), slim.train(training)(images)
    for image, other, alive in zip(full, pruned, living.values(), strict=True):
        torch.testing.assert_close(other, image[:, alive])
        assert float(image.abs().sum()) == pytest.approx(float(other.abs().sum())), "all other channels are zero"
        assert float(other.std()) > 0.01


@pytest.mark.parametrize("choose", [leading, fpgm])
def test_an_equal_one_takes_everything(choose: Callable[[Tensor, int], Tensor]) -> None:
    source = _settled(MobileNetV1(width=0.25), 1).state_dict()
    found = inherit(_stages(2).state_dict(), source, choose)
    assert found.keys() == source.keys()
    assert all(torch.equal(found[name], value) for name, value in source.items())


def test_what_is_wanted_and_given_stays_as_it_is() -> None:
    fresh, source = _stages(1, width_p3=48), _stages(2, width_p5=300)
    before = state_digest(fresh), state_digest(source)
    inherit(fresh.state_dict(), source.state_dict(), fpgm)
    assert (state_digest(fresh), state_digest(source)) == before


def _broken() -> dict[str, dict[str, Tensor]]:
    state = _stages(1).state_dict()
    equal = MobileNet(8, (((16, 1), (32, 2), (32, 2)), ((64, 2),), ((96, 2),)))
    return {
        "nothing": {},
        "no filters": {name: value for name, value in state.items() if name != "stage2.3.3.weight"},
        "no bias": {name: value for name, value in state.items() if name != "stage2.3.1.bias"},
        "a gap": {name: value for name, value in state.items() if not name.startswith("stage2.3.")},
        "no stage 3": {name: value for name, value in state.items() if not name.startswith("stage3.")},
        "one tensor more": {**state, "stage2.3.1.extra": torch.zeros(3)},
        "a number for filters": {**state, "stage2.3.3.weight": torch.tensor(1.0)},
        "inputs that no layer computes": {**state, "stage2.3.3.weight": torch.zeros(128, 64, 1, 1)},
        "two widths in stage 2": {**state, "stage2.5.3.weight": torch.zeros(130, 128, 1, 1)},
        "equal widths at two strides": dict(equal.state_dict()),
    }


@pytest.mark.parametrize("what", _broken())
def test_other_tensors_are_no_chain(what: str) -> None:
    state, tensors = _stages(1).state_dict(), _broken()[what]
    assert is_chain(state)
    assert not is_chain(tensors)
    with pytest.raises(InputError, match="the given tensors are not those of a MobileNetV1"):
        inherit(state, tensors)
    with pytest.raises(InputError, match="the wanted tensors are not those of a MobileNetV1"):
        inherit(tensors, state)


def _start(tmp_path: Path) -> tuple[nn.Module, Path]:
    source = build(ARCHS["v1"])
    _settled(source.backbone, 1)
    save_weights(source, tmp_path / "v1.safetensors")
    return source.backbone, tmp_path / "v1.safetensors"


def test_a_detector_s_backbone_starts_from_another_width(tmp_path: Path) -> None:
    source, path = _start(tmp_path)
    part = Part("mobilenetv1_stages", tuple({**QUARTER, "width_p3": 48, "width_p4": 160, "depth_p5": 1}.items()))
    student = build(replace(ARCHS["v2"], backbone=part))
    expected = inherit(student.backbone.state_dict(), source.state_dict(), fpgm)
    rest = state_digest(student.neck)
    init_backbone(student, path)
    assert all(torch.equal(value, expected[name]) for name, value in student.backbone.state_dict().items())
    assert state_digest(student.neck) == rest


def test_a_backbone_of_equal_shapes_is_loaded_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, path = _start(tmp_path)
    monkeypatch.setattr("harness.models.weights.inherit", None)
    for backbone in (MOBILENET_STAGES, ARCHS["v1"].backbone):
        student = build(replace(ARCHS["v2"], backbone=backbone))
        init_backbone(student, path)
        assert state_digest(student.backbone) == state_digest(source)


@pytest.mark.parametrize("name", ["v2_redistributed", "v1_slim"])
def test_every_student_of_a_space_starts_from_v1(name: str, tmp_path: Path) -> None:
    space, (_, path) = load_space(name), _start(tmp_path)
    counts, random = SpaceCounts(space), np.random.default_rng(0)
    for _ in range(5):
        student = build(space.arch(counts.sample(Budget(), random)))
        fresh = state_digest(student.backbone)
        init_backbone(student, path)
        assert state_digest(student.backbone) != fresh
        with torch.no_grad():
            assert all(bool(tensor.isfinite().all()) for tensor in student.eval()(torch.randn(1, 3, 64, 64)))


def test_a_backbone_that_is_no_chain_is_refused_with_its_differences(tmp_path: Path) -> None:
    state = {name: value.clone() for name, value in _stages(1).state_dict().items()}
    state["stage1.3.3.weight"] = torch.zeros(32, 30, 1, 1)
    save_file(state, tmp_path / "odd.safetensors")
    part = Part("mobilenetv1_stages", tuple({**QUARTER, "width_p5": 96}.items()))
    student = build(replace(ARCHS["v2"], backbone=part))
    before = state_digest(student)
    with pytest.raises(
        InputError, match=r"odd.safetensors does not fit this backbone: 'stage1.3.3.weight' is \(32, 30"
    ):
        init_backbone(student, tmp_path / "odd.safetensors")
    assert state_digest(student) == before
