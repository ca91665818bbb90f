import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from harness.errors import DataError
from harness.evaluation.files import load_predictions, parse_predictions, write_predictions

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


def test_written_files_are_read_back(tmp_path: Path) -> None:
    rows = np.array([[1.25, 2.5, 30.125, 40, 0.98765432, 7, 7]], dtype=np.float64)
    write_predictions(tmp_path / "out", IDS, [rows, np.zeros((0, 15))])
    found = load_predictions(tmp_path / "out", IDS)
    np.testing.assert_allclose(found[0], rows[:, :5], atol=1e-3)
    assert len(found[1]) == 0
