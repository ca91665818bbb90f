from pathlib import Path

import numpy as np
import pytest

from harness.evaluation.chunks import load_chunk, save_chunk


def rows(count: int) -> np.ndarray:
    return np.random.default_rng(count).random((count, 15), dtype=np.float32)


def test_what_was_saved_comes_back_to_the_bit(tmp_path: Path) -> None:
    path = tmp_path / "new" / "0.npz"
    saved = [rows(3), rows(0), rows(2)]
    save_chunk(path, saved)
    found = load_chunk(path, 3)
    assert found is not None
    for before, after in zip(saved, found, strict=True):
        assert after.dtype == np.float32
        np.testing.assert_array_equal(after, before)
    assert list(path.parent.iterdir()) == [path]


def test_no_detections_at_all(tmp_path: Path) -> None:
    save_chunk(tmp_path / "0.npz", [rows(0)])
    found = load_chunk(tmp_path / "0.npz", 1)
    assert found is not None
    assert [part.shape for part in found] == [(0, 15)]


@pytest.mark.parametrize("keep", [0, 1, 30, 200, -1])
def test_a_damaged_file_is_not_used(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "0.npz"
    save_chunk(path, [rows(3), rows(2)])
    path.write_bytes(path.read_bytes()[:keep])
    assert load_chunk(path, 2) is None


def test_another_number_of_images_or_no_file_is_not_used(tmp_path: Path) -> None:
    save_chunk(tmp_path / "0.npz", [rows(3), rows(2)])
    assert load_chunk(tmp_path / "0.npz", 3) is None
    assert load_chunk(tmp_path / "none.npz", 2) is None
