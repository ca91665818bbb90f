"""Prediction files and detections files: written data is read back, and broken files are refused by name."""

import io
import os
import tarfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.errors import DataError
from harness.evaluation import predictions
from harness.evaluation.predictions import (
    load_detections,
    load_predictions,
    parse_predictions,
    save_detections,
    write_predictions,
)

IDS = ["0--Parade/a", "1--Talk/c"]
TEXTS = {"0--Parade/a": "a\n2\n1 2 10 20 0.9\n3.5 4 5 6 0.1 \n", "1--Talk/c": "c\r\n0\r\n"}


def write_folder(folder: Path) -> Path:
    for name, text in TEXTS.items():
        path = folder / f"{name}.txt"
        path.parent.mkdir(parents=True)
        path.write_bytes(text.encode())
    return folder


def write_tar(path: Path, members: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, text in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


def assert_read(found: list[np.ndarray]) -> None:
    assert [rows.tolist() for rows in found] == [[[1, 2, 11, 22, 0.9], [3.5, 4, 8.5, 10, 0.1]], []]
    assert all(rows.shape[1] == 5 for rows in found)


def test_folder_and_tar(tmp_path: Path) -> None:
    assert_read(load_predictions(write_folder(tmp_path / "found"), IDS))
    members = {f"./results/{name}.txt": text for name, text in TEXTS.items()}
    members |= {"results/readme.md": "x", "results/2--Other/d.txt": "not read"}
    assert_read(load_predictions(write_tar(tmp_path / "found.tar.gz", members), IDS))


def test_nothing_is_extracted(tmp_path: Path) -> None:
    evil = write_tar(tmp_path / "evil.tar.gz", {f"../../{name}.txt": text for name, text in TEXTS.items()})
    before = set(tmp_path.rglob("*"))
    assert_read(load_predictions(evil, IDS))
    assert set(tmp_path.rglob("*")) == before


def test_the_folder_of_an_archive_names_the_archive(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "results.tar.gz", {f"{name}.txt": text for name, text in TEXTS.items()})
    with pytest.raises(DataError, match=f"if you mean the archive in that folder, give {archive}"):
        load_predictions(tmp_path, IDS)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "found")
    (folder / "1--Talk/c.txt").unlink()
    with pytest.raises(DataError, match=r"no prediction file for 1 of 2 images, the first is 1--Talk/c\.txt"):
        load_predictions(folder, IDS)
    with pytest.raises(DataError, match="do not exist"):
        load_predictions(tmp_path / "none", IDS)


def test_a_broken_archive_is_named(tmp_path: Path) -> None:
    broken = write_tar(tmp_path / "found.tar.gz", {f"{name}.txt": text for name, text in TEXTS.items()})
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(DataError, match=r"found\.tar\.gz"):
        load_predictions(broken, IDS)


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    damaged = write_tar(tmp_path / "found.tar.gz", {f"{name}.txt": text * 50 for name, text in TEXTS.items()})
    content = bytearray(damaged.read_bytes())
    content[20:40] = b"\xff" * 20
    damaged.write_bytes(content)
    with pytest.raises(DataError, match=r"found\.tar\.gz is neither a folder nor a readable tar archive"):
        load_predictions(damaged, IDS)


def test_an_archive_that_inflates_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = {f"{IDS[0]}.txt": "a\n0\n" + " " * 2**24}
    with pytest.raises(
        DataError, match=r"a\.txt would take 16,777,220 bytes; a prediction file has at most 16,777,216"
    ):
        load_predictions(write_tar(tmp_path / "large.tar.gz", large), IDS)
    monkeypatch.setattr(predictions, "LEAST_LIMIT", 2**20)
    many = {f"{name}.txt": "a\n0\n" + " " * 2**19 for name in IDS}
    with pytest.raises(DataError, match="all of them at most 100 times the archive's size"):
        load_predictions(write_tar(tmp_path / "many.tar.gz", many), IDS)


def test_a_sparse_archive_is_refused(tmp_path: Path) -> None:
    """One that claims a TiB and holds a block, as GNU tar writes it."""
    member = tarfile.TarInfo(f"{IDS[0]}.txt")
    member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(2**40)}
    member.pax_headers["GNU.sparse.name"] = member.name
    content = b"1\n0\n512\n".ljust(512, b"\0") + b"a\n0\n".ljust(512)
    member.size = len(content)
    with tarfile.open(tmp_path / "sparse.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(member, io.BytesIO(content))
    with tarfile.open(tmp_path / "sparse.tar") as archive:
        assert archive.getmembers()[0].size == 2**40
    with pytest.raises(DataError, match=r"a\.txt would take 1,099,511,627,776 bytes"):
        load_predictions(tmp_path / "sparse.tar", IDS)


def test_an_archive_of_two_detectors_is_refused(tmp_path: Path) -> None:
    members = {f"{name}/{image}.txt": text for name in ("ours", "theirs") for image, text in TEXTS.items()}
    with pytest.raises(DataError, match=r"holds 0--Parade/a\.txt twice"):
        load_predictions(write_tar(tmp_path / "both.tar", members), IDS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\n",
        "a\nmany\n",
        "a\n2\n1 2 3 4 0.5\n",
        "a\n1\n1 2 3 4\n",
        "a\n1\n1 2 3 4 high\n",
        "a\n-1\n",
        "a\n0\n1 2 3 4 1\n",
        "a\n1\n1 2 3 4 nan\n",
        "a\n1\n1 2 1e308 4 1\n",
        "a\n1\n1 2 3_0 4 1\n",
        "a\n1\n1 2 ٣ 4 1\n",
        "a\n١\n1 2 3 4 1\n",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(DataError, match=r"^here\.txt is not a prediction file"):
        parse_predictions(text, "here.txt")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a\n1\n1 2 3 4\n"])
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes) -> None:
    folder = write_folder(tmp_path / "found")
    (folder / "0--Parade/a.txt").write_bytes(content)
    with pytest.raises(DataError, match=r"found/0--Parade/a\.txt is not a"):
        load_predictions(folder, IDS)


def test_a_folder_in_a_file_s_place_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "found")
    (folder / "0--Parade/a.txt").unlink()
    (folder / "0--Parade/a.txt").mkdir()
    with pytest.raises(DataError, match=r"a\.txt cannot be read"):
        load_predictions(folder, IDS)


def test_written_files_bring_single_precision_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = np.concatenate((rng.random((200, 4)) * 1500 - 50, rng.random((200, 11))), axis=1).astype(np.float32)
    rows[:, 2:4] += rows[:, :2]
    rows[0, 4], rows[1, 4] = np.float32(0.9999999), np.nextafter(np.float32(0.9999999), np.float32(0))
    write_predictions(tmp_path / "out", IDS, [rows, rows[:0]])
    found = load_predictions(tmp_path / "out", IDS)
    np.testing.assert_array_equal(found[0][:, [0, 1, 4]].astype(np.float32), rows[:, [0, 1, 4]])
    np.testing.assert_allclose(found[0][:, 2:4], rows[:, 2:4], rtol=0, atol=1e-5)
    assert len(found[1]) == 0
    assert (tmp_path / "out" / "1--Talk" / "c.txt").read_text() == "c\n0\n"


def rows(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(count).random((count, 15), dtype=np.float32)


SAVED = [rows(3), rows(0), rows(2)]
NAMES = ["0--Parade/a", "0--Parade/β", "1--Talk/c"]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_detections(tmp_path / "new" / "found.npz", NAMES, SAVED)
    return tmp_path / "new" / "found.npz"


def test_detections_come_back_to_the_bit(saved: Path) -> None:
    for names, found in (load_detections(saved), load_detections(saved, NAMES)):
        assert names == NAMES
        for before, after in zip(SAVED, found, strict=True):
            assert after.dtype == np.float32
            np.testing.assert_array_equal(after, before)
    assert list(saved.parent.iterdir()) == [saved]


def test_no_detections_and_no_images_are_saved_too(tmp_path: Path) -> None:
    save_detections(tmp_path / "0.npz", NAMES[:1], [rows(0)])
    names, found = load_detections(tmp_path / "0.npz")
    assert (names, [part.shape for part in found]) == (NAMES[:1], [(0, 15)])
    save_detections(tmp_path / "0.npz", [], [])
    assert load_detections(tmp_path / "0.npz", []) == ([], [])


def test_a_failed_write_leaves_the_file_before(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_detections(saved, ["x/y"], [rows(1)])
    assert load_detections(saved)[0] == NAMES
    assert list(saved.parent.iterdir()) == [saved]


def test_detections_that_do_not_fit_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3 images and 2 arrays of detections"):
        save_detections(tmp_path / "0.npz", NAMES, SAVED[:2])
    with pytest.raises(ValueError, match="dimension"):
        save_detections(tmp_path / "0.npz", NAMES[:1], [rows(3)[:, :5]])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("keep", [0, 1, 30, 200, -1])
def test_a_file_that_was_cut_off_is_named(saved: Path, keep: int) -> None:
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"found\.npz is not a readable detections file \(.+\): delete it") as refusal:
        load_detections(saved)
    assert "\n" not in str(refusal.value)


def test_any_damaged_byte_is_refused_or_does_not_matter(saved: Path) -> None:
    whole = saved.read_bytes()
    refused = 0
    for place in range(0, len(whole), 3):
        saved.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                names, found = load_detections(saved)
            except DataError:
                refused += 1
                continue
        assert names == NAMES
        assert all(np.array_equal(before, after) for before, after in zip(SAVED, found, strict=True))
    assert refused > len(whole) / 6


OFFSETS = np.array([0, 3, 3, 5])
STORED: dict[str, NDArray[Any]] = {"detections": np.concatenate(SAVED), "offsets": OFFSETS, "ids": np.array(NAMES)}


@pytest.mark.parametrize(
    "wrong",
    [
        {"detections": np.concatenate(SAVED)[:, :5]},
        {"detections": np.concatenate(SAVED).astype(np.float64)},
        {"detections": np.concatenate(SAVED)[:4]},
        {"detections": np.concatenate(SAVED)[0]},
        {"offsets": OFFSETS[:3]},
        {"offsets": OFFSETS.astype(np.float64)},
        {"offsets": np.array([0, 4, 3, 5])},
        {"offsets": np.array([1, 3, 3, 5])},
        {"offsets": np.array(5)},
        {"ids": np.array(NAMES[:2])},
        {"ids": np.array([1, 2, 3])},
        {"ids": np.array("0--Parade/a")},
        {"ids": np.array(NAMES)[:, None]},
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, wrong: dict[str, NDArray[Any]]) -> None:
    np.savez(tmp_path / "0.npz", **STORED)  # type: ignore[arg-type]
    load_detections(tmp_path / "0.npz")
    np.savez(tmp_path / "0.npz", **{**STORED, **wrong})  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"0\.npz is not a readable detections file"):
        load_detections(tmp_path / "0.npz")


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "0.npz"
    np.savez(path, detections=STORED["detections"], offsets=OFFSETS)
    with pytest.raises(DataError, match=r"not a readable detections file .*ids"):
        load_detections(path)
    with path.open("wb") as file:
        np.save(file, OFFSETS)
    with pytest.raises(DataError, match="not a readable detections file"):
        load_detections(path)
    np.savez(path, **{**STORED, "ids": np.array(NAMES, dtype=object)})  # type: ignore[arg-type]
    with pytest.raises(DataError, match="not a readable detections file"):
        load_detections(path)
    with pytest.raises(DataError, match=r"none\.npz is missing"):
        load_detections(tmp_path / "none.npz")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ([*NAMES, "1--Talk/d"], "on 3 images, not on the 4 that are evaluated: 1--Talk/d is missing"),
        ([*NAMES[:2], "1--Talk/d"], "1--Talk/d is missing"),
        (NAMES[:2], "not on the 2 that are evaluated: there are more, or they are in another order"),
        (NAMES[::-1], "another order"),
    ],
)
def test_other_images_are_refused(saved: Path, wanted: list[str], message: str) -> None:
    with pytest.raises(DataError, match=rf"found\.npz holds detections .*{message}"):
        load_detections(saved, wanted)
