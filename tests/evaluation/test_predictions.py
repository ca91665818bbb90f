import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from harness.errors import DataError
from harness.evaluation.predictions import load_predictions, parse_predictions, write_predictions

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
