"""The released FeatherFace: its names, its parts, and the AP of its weights."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from harness.core.arch import ARCHS
from harness.core.data import DataConfig
from harness.core.evaluation import EvalConfig
from harness.data import load_split
from harness.errors import InputError
from harness.evaluation.ap import evaluate_ap
from harness.evaluation.inference import predict
from harness.models.builder import build
from harness.models.released import MODULES, is_released, released_name
from harness.models.weights import load_weights, read_tensors, save_weights, state_digest

FEATHERFACE = ARCHS["featherface"]
AP = (0.85077, 0.88242, 0.78303)
"""What ``python -m harness.evaluate --arch featherface --limit 24`` answers on the copy's validation images."""


@pytest.fixture
def checkpoint(published_weights: Path) -> Path:
    return published_weights / "featherface_592371_widerface.safetensors"


def _released_state() -> tuple[str, dict[str, Tensor]]:
    """Return a random network's digest, and its tensors as the authors' own code would have named them."""
    detector = build(FEATHERFACE)
    return state_digest(detector), {released_name(name): value for name, value in detector.state_dict().items()}


def test_every_tensor_has_a_released_name_of_its_own() -> None:
    ours = list(build(FEATHERFACE).state_dict())
    theirs = {released_name(name) for name in ours}
    assert len(theirs) == len(ours) == 587
    assert not theirs & set(ours)
    used = {name for name in MODULES if any(f"{one}.".startswith(f"{name}.") for one in ours)}
    assert used == set(MODULES)
    assert len(set(MODULES.values())) == len(MODULES)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("backbone.stage1.0.0.weight", "body.stage1.0.0.weight"),
        ("attention.p5.channel.reduce.bias", "bacbkbone_2_cbam.ChannelGate.mlp.1.bias"),
        ("neck_attention.p3.spatial.norm.running_var", "bif_cbam_0.SpatialGate.spatial.bn.running_var"),
        ("neck.down.1.conv.weight", "bifpn.0.p4_down_channel.0.conv.weight"),
        ("neck.out.0.conv.weight", "bifpn.0.p4_down_channel_2.0.conv.weight"),
        ("neck.out.1.norm.running_mean", "bifpn.0.p5_down_channel_2.1.running_mean"),
        ("neck.cells.0.fusion.p4_up", "bifpn.0.p4_w1"),
        ("neck.cells.1.fusion.p4_out", "bifpn.1.p4_w2"),
        ("neck.cells.2.fusion.p3_out", "bifpn.2.p3_w1"),
        ("neck.cells.2.fusion.p5_out", "bifpn.2.p5_w2"),
        ("neck.cells.1.p3_out.pointwise.bias", "bifpn.1.conv3_up.pointwise_conv.conv.bias"),
        ("neck.cells.1.p4_out.depthwise.weight", "bifpn.1.conv4_down.depthwise_conv.conv.weight"),
        ("context.p3.stem.0.weight", "ssh1.conv5X5_1.0.regular_conv.weight"),
        ("context.p4.far.0.0.offset.weight", "ssh2.conv7X7_2.0.offset_conv.weight"),
        ("context.p5.far.1.0.modulator.bias", "ssh3.conv7x7_3.0.modulator_conv.bias"),
        ("context.p5.near.1.num_batches_tracked", "ssh3.conv3X3.1.num_batches_tracked"),
        ("shuffle.p3.depthwise.0.weight", "ssh1_cs.3.weight"),
        ("head.levels.p4.landmark.bias", "LandmarkHead.1.conv1x1.bias"),
    ],
)
def test_names_that_equal_shapes_leave_open(ours: str, theirs: str) -> None:
    assert released_name(ours) == theirs


def test_a_tensor_it_never_had_keeps_its_name() -> None:
    assert released_name("context.p3.0.weight") == "context.p3.0.weight"
    assert not is_released(build(ARCHS["v1"]).state_dict())


@pytest.mark.parametrize("prefix", ["", "module."])
def test_both_spellings_load_to_the_same_network(tmp_path: Path, prefix: str) -> None:
    wanted, released = _released_state()
    torch.save({"state_dict": {f"{prefix}{name}": value for name, value in released.items()}}, tmp_path / "theirs.pth")
    detector = build(FEATHERFACE)
    load_weights(detector, tmp_path / "theirs.pth")
    assert state_digest(detector) == wanted
    save_weights(detector, tmp_path / "ours.safetensors")
    again = build(FEATHERFACE)
    load_weights(again, tmp_path / "ours.safetensors")
    assert state_digest(again) == wanted


def test_what_is_left_over_or_missing_is_named_as_the_file_names_it(tmp_path: Path) -> None:
    _, released = _released_state()
    released["bifpn.0.p4_down_channel_3.0.conv.weight"] = released.pop("bifpn.0.p4_down_channel_2.0.conv.weight")
    released["bifpn.2.p5_w2"] = torch.ones(2)
    save_file(released, tmp_path / "odd.safetensors")
    detector = build(FEATHERFACE)
    before = state_digest(detector)
    with pytest.raises(InputError) as refused:
        load_weights(detector, tmp_path / "odd.safetensors")
    assert str(refused.value).endswith(
        "odd.safetensors does not fit this architecture: 'bifpn.0.p4_down_channel_2.0.conv.weight' is missing; "
        "'bifpn.0.p4_down_channel_3.0.conv.weight' is not part of it; 'bifpn.2.p5_w2' is (2,), wanted (3,)"
    )
    assert state_digest(detector) == before


def test_the_released_checkpoint_does_not_fit_v1(tmp_path: Path) -> None:
    save_file(_released_state()[1], tmp_path / "released.safetensors")
    with pytest.raises(InputError, match=r"does not fit this architecture: 'context.p3.0.weight' is missing"):
        load_weights(build(ARCHS["v1"]), tmp_path / "released.safetensors")


def test_every_published_tensor_has_its_place(checkpoint: Path) -> None:
    stored = read_tensors(checkpoint)
    detector = build(FEATHERFACE)
    load_weights(detector, checkpoint)
    loaded = {released_name(name): value for name, value in detector.state_dict().items()}
    assert loaded.keys() == stored.keys()
    assert all(torch.equal(loaded[name], stored[name]) for name in stored)


def test_published_weights_reach_their_ap(checkpoint: Path, widerface_root: Path, tmp_path: Path) -> None:
    detector = build(FEATHERFACE)
    load_weights(detector, checkpoint)
    faces = load_split(DataConfig(source=str(widerface_root), val_images=24), "val", tmp_path, processes=1)
    result = evaluate_ap(predict(detector, faces, EvalConfig(), 0), faces.truth())
    assert (result.images, result.faces) == (24, 178)
    assert (result.easy, result.medium, result.hard) == pytest.approx(AP, abs=1e-3)
