"""Files of ``torch.save``: whatever happens to one, its content comes back unchanged or is refused in one line."""

import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.errors import DataError
from harness.models.archive import load_archive

STATE: dict[str, Any] = {
    "history": [{"epoch": 1, "ap": {"mean": 0.5}}],
    "student": {f"weight{i}": torch.arange(21.0).reshape(7, 3) + i for i in range(4)},
}


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    return bool(one == other)


def test_no_flipped_bit_and_no_cut_changes_what_is_read(tmp_path: Path) -> None:
    path, draw = tmp_path / "last.pt", random.Random(0)
    torch.save(STATE, path)
    whole, refused = path.read_bytes(), list[str]()
    damaged = [whole[: len(whole) * part // 20] for part in range(20)]
    for _ in range(400):
        flipped = bytearray(whole)
        flipped[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        damaged.append(bytes(flipped))
    for content in damaged:
        path.write_bytes(content)
        try:
            found = load_archive(path, "checkpoint")
        except DataError as error:
            refused.append(str(error))
        else:
            assert same(found, STATE)
    assert len(refused) > 200
    assert all(str(path) in said and "\n" not in said and "weights_only" not in said for said in refused)


def test_a_flipped_bit_of_a_tensor_is_named(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    torch.save(STATE, path)
    content = bytearray(path.read_bytes())
    content[content.index(torch.arange(21.0).numpy().tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"last\.pt is damaged: the checksum of last/data/\d does not match"):
        load_archive(path, "checkpoint")


@pytest.mark.parametrize("content", [b"", b"half of it", b"PK\x03\x04" + bytes(100), b"\x80\x02}q\x00."])
def test_garbage_is_refused_without_pytorchs_advice(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "last.pt"
    path.write_bytes(content)
    with pytest.raises(
        DataError, match=r"last\.pt is not a readable checkpoint: it is damaged, cut off, or no"
    ) as found:
        load_archive(path, "checkpoint")
    assert "weights_only" not in str(found.value)


def test_other_archives_are_named(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", b"")
        archive.writestr("net/constants.pkl", b"")
    with pytest.raises(DataError, match=r"net\.pt is a TorchScript archive, which holds code: save the state dict"):
        load_archive(path, "weights file")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/data/0", bytes(1_000_000))
    with pytest.raises(DataError, match="is compressed, which PyTorch never does"):
        load_archive(path, "weights file")
