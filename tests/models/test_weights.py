"""Weights on disk: the same tensors back, and every mismatch named."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from harness.core.arch import ARCHS
from harness.core.files import write_atomically
from harness.errors import DataError, InputError
from harness.models.builder import build
from harness.models.weights import (
    file_digest,
    init_backbone,
    load_weights,
    read_label,
    read_tensors,
    save_weights,
    state_digest,
    write_labelled,
)


class Touch:
    """Pickles as a call that would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.write_text, (self.path, "run")


def test_what_is_saved_comes_back_to_the_bit(tmp_path: Path) -> None:
    first, second = build(ARCHS["v1"]), build(ARCHS["v1"])
    first.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    save_weights(first, tmp_path / "v1.safetensors")
    load_weights(second, tmp_path / "v1.safetensors")
    assert state_digest(first) == state_digest(second)
    assert [path.name for path in tmp_path.iterdir()] == ["v1.safetensors"]


@pytest.mark.parametrize("wrap", [None, "state_dict", "model"])
def test_pytorch_files_are_read_with_and_without_a_wrapper(tmp_path: Path, wrap: str | None) -> None:
    first, second = build(ARCHS["v2"]), build(ARCHS["v2"])
    state = {f"module.{name}": value for name, value in first.state_dict().items()}
    torch.save({wrap: state, "epoch": 3} if wrap else state, tmp_path / "v2.pth")
    load_weights(second, tmp_path / "v2.pth")
    assert state_digest(first) == state_digest(second)


def test_a_label_travels_in_the_file_s_header(tmp_path: Path) -> None:
    detector = build(ARCHS["v2"])
    save_weights(detector, tmp_path / "v2.safetensors")
    label = {"arch": ARCHS["v2"].to_dict(), "ap": {"mean": 0.5}, "trial": "0003"}
    write_labelled(tmp_path / "v2.safetensors", tmp_path / "labelled.safetensors", label)
    assert read_label(tmp_path / "labelled.safetensors") == label
    again = build(ARCHS["v2"])
    load_weights(again, tmp_path / "labelled.safetensors")
    assert state_digest(again) == state_digest(detector)
    assert read_label(tmp_path / "v2.safetensors") == {}


def test_files_without_a_label_have_none(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors", {"format": "pt"})
    assert read_label(tmp_path / "other.safetensors") == {}
    torch.save({"x": torch.zeros(1)}, tmp_path / "x.pth")
    assert read_label(tmp_path / "x.pth") == {}
    (tmp_path / "broken.safetensors").write_bytes(b"no tensors")
    with pytest.raises(DataError, match=r"broken\.safetensors is not a readable weights file"):
        read_label(tmp_path / "broken.safetensors")
    for name in ("none.safetensors", "none.pth"):
        with pytest.raises(DataError, match=f"there is no weights file .*{name}"):
            read_label(tmp_path / name)


def test_a_digest_sees_statistics_and_not_memory_layout() -> None:
    detector = build(ARCHS["v2"])
    before = state_digest(detector)
    detector.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert state_digest(detector) == before
    detector.train().raw(torch.randn(2, 3, 64, 64))
    assert state_digest(detector) != before


def test_a_mismatch_names_the_tensors(tmp_path: Path) -> None:
    save_weights(build(ARCHS["v2"]), tmp_path / "v2.safetensors")
    with pytest.raises(InputError, match=r"v2.safetensors does not fit this architecture: '.*' is .*; and \d+ more"):
        load_weights(build(ARCHS["v1"]), tmp_path / "v2.safetensors")


def test_a_file_that_fits_elsewhere_says_where(tmp_path: Path) -> None:
    save_weights(build(ARCHS["v1"]), tmp_path / "v1.safetensors")
    with pytest.raises(InputError, match=r"; it fits the arch 'v1'$"):
        load_weights(build(ARCHS["v2"]), tmp_path / "v1.safetensors")
    save_weights(build(ARCHS["v1"]).backbone, tmp_path / "backbone.safetensors")
    with pytest.raises(InputError, match=r"; it holds a backbone alone: give it as --init-backbone$"):
        load_weights(build(ARCHS["v2"]), tmp_path / "backbone.safetensors")


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth"])
@pytest.mark.parametrize("content", [b"", b"not weights", bytes(range(256)) * 8])
def test_an_unreadable_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name} is not a readable weights file"):
        read_tensors(tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no weights file"):
        read_tensors(tmp_path / "none.safetensors")


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "lr": 0.1}, tmp_path / "other.pt")
    with pytest.raises(DataError, match="holds no state dict"):
        read_tensors(tmp_path / "other.pt")


def test_code_in_a_file_is_never_run(tmp_path: Path) -> None:
    torch.save({"a": Touch(tmp_path / "ran")}, tmp_path / "evil.pt")
    with pytest.raises(DataError, match=r"evil.pt is not a readable weights file"):
        read_tensors(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


def test_a_plain_pickle_is_refused_without_a_word_of_pytorchs(tmp_path: Path) -> None:
    (tmp_path / "plain.pth").write_bytes(pickle.dumps({"a": 1}, protocol=4))
    with pytest.raises(
        DataError, match=r"plain.pth is not a readable weights file: it is damaged, cut off, or no PyTorch file"
    ) as refused:
        read_tensors(tmp_path / "plain.pth")
    assert "weights_only" not in str(refused.value)


@pytest.mark.parametrize("kind", [torch.int8, torch.bool, torch.int64])
@pytest.mark.parametrize("name", ["x.safetensors", "x.pth"])
def test_weights_that_are_no_real_numbers_are_refused(tmp_path: Path, name: str, kind: torch.dtype) -> None:
    """They would be converted in silence, scale lost."""
    detector = build(ARCHS["v2"])
    state = {
        key: value.to(kind) if value.is_floating_point() else value for key, value in detector.state_dict().items()
    }
    (save_file if name.endswith("safetensors") else torch.save)(state, tmp_path / name)
    before = state_digest(detector)
    for load in (load_weights, init_backbone):
        with pytest.raises(InputError, match=rf"'.*stage1\.0\.0\.weight' holds {kind}, wanted torch\.float32"):
            load(detector, tmp_path / name)
    assert state_digest(detector) == before


def test_weights_of_half_precision_are_loaded(tmp_path: Path) -> None:
    detector = build(ARCHS["v2"])
    save_weights(detector.half(), tmp_path / "half.safetensors")
    load_weights(build(ARCHS["v2"]), tmp_path / "half.safetensors")


def test_tensors_without_a_number_per_element_are_refused(tmp_path: Path) -> None:
    for tensor in (torch.zeros(2, device="meta"), torch.eye(2).to_sparse()):
        torch.save({"x": tensor}, tmp_path / "odd.pth")
        with pytest.raises(DataError, match="'x' is quantized, sparse or without values"):
            read_tensors(tmp_path / "odd.pth")


@pytest.mark.parametrize("prefix", ["", "module.", "body.", "module.body.", "backbone."])
def test_a_backbone_loads_from_every_published_spelling(tmp_path: Path, prefix: str) -> None:
    source, student = build(ARCHS["v1"]), build(ARCHS["v2"])
    state = {f"{prefix}{name}": value for name, value in source.backbone.state_dict().items()}
    save_file({**state, "fc.weight": torch.zeros(2, 2)}, tmp_path / "backbone.safetensors")
    rest = state_digest(student.neck)
    init_backbone(student, tmp_path / "backbone.safetensors")
    assert state_digest(student.backbone) == state_digest(source.backbone)
    assert state_digest(student.neck) == rest


def test_a_backbone_loads_from_a_whole_detector(tmp_path: Path) -> None:
    source, student = build(ARCHS["v1"]), build(ARCHS["v2"])
    save_weights(source, tmp_path / "v1.safetensors")
    init_backbone(student, tmp_path / "v1.safetensors")
    assert state_digest(student.backbone) == state_digest(source.backbone)


def test_a_backbone_that_lacks_or_adds_a_tensor_is_refused(tmp_path: Path) -> None:
    student = build(ARCHS["v2"])
    state = {name: value.clone() for name, value in student.backbone.state_dict().items()}
    before = state_digest(student)
    del state["stage2.0.0.weight"]
    state["stage4.0.0.weight"] = torch.zeros(1)
    save_file(state, tmp_path / "odd.safetensors")
    wanted = r"does not fit this backbone: 'stage2.0.0.weight' is missing; 'stage4.0.0.weight' is not part of it"
    with pytest.raises(InputError, match=wanted):
        init_backbone(student, tmp_path / "odd.safetensors")
    assert state_digest(student) == before


def test_a_backbone_of_another_width_is_refused_with_both_shapes(tmp_path: Path) -> None:
    student = build(ARCHS["v2"])
    state = {name: torch.cat((value, value)) if value.ndim else value for name, value in _backbone(student).items()}
    save_file(state, tmp_path / "wide.safetensors")
    with pytest.raises(InputError, match=r"'stage1.0.0.weight' is \(16, 3, 3, 3\), wanted \(8, 3, 3, 3\)"):
        init_backbone(student, tmp_path / "wide.safetensors")


def test_a_file_without_a_backbone_says_what_it_holds(tmp_path: Path) -> None:
    save_file({"encoder.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"holds no backbone: no tensor is called stage1.*, but 'encoder.weight'"):
        init_backbone(build(ARCHS["v2"]), tmp_path / "other.safetensors")


def test_a_file_with_two_backbones_is_refused(tmp_path: Path) -> None:
    state = _backbone(build(ARCHS["v2"]))
    both = {f"body.{name}": value for name, value in state.items()} | {f"model.{n}": v + 1 for n, v in state.items()}
    save_file(both, tmp_path / "both.safetensors")
    with pytest.raises(InputError, match="several tensors whose names differ only in"):
        init_backbone(build(ARCHS["v2"]), tmp_path / "both.safetensors")


@pytest.mark.parametrize(
    "name",
    [
        "mobilenetv1_025_imagenet",
        "mobilenetv1_025_widerface_featherface592k",
        "featherface_592371_widerface",
    ],
)
def test_published_backbones_load_with_every_key_used(name: str, published_weights: Path) -> None:
    path = published_weights / f"{name}.safetensors"
    student = build(ARCHS["v1"])
    init_backbone(student, path)
    stored = {key.removeprefix("body."): value for key, value in read_tensors(path).items() if "stage" in key}
    loaded = _backbone(student)
    assert stored.keys() == loaded.keys()
    assert all(torch.equal(stored[key], loaded[key]) for key in stored)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_digest_is_of_its_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"1")
    (tmp_path / "c").write_bytes(b"2")
    assert file_digest(tmp_path / "a") == file_digest(tmp_path / "b") != file_digest(tmp_path / "c")


def _backbone(detector: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in detector.get_submodule("backbone").state_dict().items()}
