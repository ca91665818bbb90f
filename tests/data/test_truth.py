import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from harness.data.truth import LISTS, image_id, load_ground_truth, load_ids
from harness.errors import DataError
from tests.mat import column


def write_mats(folder: Path) -> None:
    """Write the official layout: two events of two and one images; easy keeps a face, medium two, hard all."""
    faces: list[list[list[list[int]]]] = [[[[1, 2, 10, 20], [5, 5, 5, 5]], [[0, 0, 4, 4]]], [[[7, 8, 9, 10]]]]
    keep: dict[str, list[list[list[int]]]] = {
        "easy": [[[1], []], [[]]],
        "medium": [[[1], []], [[1]]],
        "hard": [[[1, 2], [1]], [[1]]],
    }
    savemat(
        folder / "wider_face_val.mat",
        {
            "event_list": column(["0--Parade", "1--Talk"]),
            "file_list": column([column(["a", "b"]), column(["c"])]),
            "face_bbx_list": column([column([np.array(image) for image in event]) for event in faces]),
        },
    )
    for name in LISTS:
        lists = [column([np.array(kept, dtype=np.uint8).reshape(-1, 1) for kept in event]) for event in keep[name]]
        savemat(folder / f"wider_{name}_val.mat", {"gt_list": column(lists)})


def test_the_official_layout(tmp_path: Path) -> None:
    write_mats(tmp_path)
    truth = load_ground_truth(tmp_path)
    assert truth.ids == ["0--Parade/a", "0--Parade/b", "1--Talk/c"]
    assert truth.faces == 4
    assert [boxes.tolist() for boxes in truth.boxes] == [
        [[1, 2, 11, 22], [5, 5, 10, 10]],
        [[0, 0, 4, 4]],
        [[7, 8, 16, 18]],
    ]
    assert [mask.tolist() for mask in truth.keep["easy"]] == [[True, False], [False], [False]]
    assert [mask.tolist() for mask in truth.keep["medium"]] == [[True, False], [False], [True]]
    assert [mask.tolist() for mask in truth.keep["hard"]] == [[True, True], [True], [True]]


def test_chosen_images_keep_their_order(tmp_path: Path) -> None:
    write_mats(tmp_path)
    truth = load_ground_truth(tmp_path, ["1--Talk/c", "0--Parade/a"])
    assert truth.ids == ["1--Talk/c", "0--Parade/a"]
    assert [len(boxes) for boxes in truth.boxes] == [1, 2]
    with pytest.raises(DataError, match="no ground truth for 1 images, the first is 9--X/z"):
        load_ground_truth(tmp_path, ["1--Talk/c", "9--X/z"])


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"wider_face_val\.mat is missing"):
        load_ground_truth(tmp_path)
    (tmp_path / "ground_truth").mkdir()
    write_mats(tmp_path / "ground_truth")
    with pytest.raises(DataError, match=r"is missing: .*; did you mean .*ground_truth\?$"):
        load_ground_truth(tmp_path)
    write_mats(tmp_path)
    (tmp_path / "wider_medium_val.mat").write_bytes(b"no mat file at all")
    with pytest.raises(DataError, match=r"wider_medium_val\.mat is not a readable MATLAB file"):
        load_ground_truth(tmp_path)
    savemat(tmp_path / "wider_medium_val.mat", {"other": 1})
    with pytest.raises(DataError, match=r"wider_medium_val\.mat has no gt_list"):
        load_ground_truth(tmp_path)


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    write_mats(tmp_path)
    images = column([np.array([1]).reshape(-1, 1)])
    savemat(tmp_path / "wider_easy_val.mat", {"gt_list": column([images, images])})
    with pytest.raises(DataError, match=r"the four \.mat files are not the official ground truth"):
        load_ground_truth(tmp_path)


@pytest.mark.parametrize("number", [0, -1, 3, 1.5])
def test_a_list_that_keeps_no_face_of_the_image_is_refused(tmp_path: Path, number: float) -> None:
    """Index 0 would keep the last face."""
    write_mats(tmp_path)
    images = [column([np.array([number]), np.zeros((0, 1))]), column([np.zeros((0, 1))])]
    savemat(tmp_path / "wider_easy_val.mat", {"gt_list": column(images)})
    said = (
        rf"wider_easy_val\.mat: 0--Parade/a has 2 faces, and the list keeps face {number:g}: they are numbered from 1"
    )
    with pytest.raises(DataError, match=said):
        load_ground_truth(tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e308, -1e7])
def test_a_face_that_lies_in_no_image_is_refused(tmp_path: Path, value: float) -> None:
    """One such face would give an AP of 0 on every list."""
    write_mats(tmp_path)
    content = loadmat(tmp_path / "wider_face_val.mat")
    content["face_bbx_list"][1, 0][0, 0] = np.array([[7, 8, value, 10.0]])
    savemat(tmp_path / "wider_face_val.mat", {key: item for key, item in content.items() if key[0] != "_"})
    with pytest.raises(
        DataError, match=r"face_val\.mat: a face of 1--Talk/c has a value that is not a number of pixels"
    ):
        load_ground_truth(tmp_path)


@pytest.mark.parametrize("names", [["../../x", "b"], ["b", "b"]])
def test_names_that_cannot_be_are_refused(tmp_path: Path, names: list[str]) -> None:
    write_mats(tmp_path)
    content = loadmat(tmp_path / "wider_face_val.mat")
    content["file_list"][0, 0] = column(names)
    savemat(tmp_path / "wider_face_val.mat", {key: item for key, item in content.items() if key[0] != "_"})
    with pytest.raises(DataError, match=r"which is no event/name|names 0--Parade/b twice"):
        load_ground_truth(tmp_path)


def test_a_reader_that_crashes_is_a_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mats(tmp_path)
    crash = tmp_path / "python"
    crash.write_text("#!/bin/sh\necho wider_face_val.mat >&2; kill -SEGV $$\n", encoding="utf-8")
    crash.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(crash))
    with pytest.raises(DataError, match=r"^wider_face_val\.mat: reading it crashes \(SIGSEGV\): the file is damaged"):
        load_ground_truth(tmp_path)


@pytest.mark.slow
def test_a_file_that_inflates_to_gigabytes_is_refused(tmp_path: Path) -> None:
    write_mats(tmp_path)
    savemat(
        tmp_path / "wider_easy_val.mat", {"gt_list": np.zeros((1, 300_000_000), dtype=np.uint8)}, do_compression=True
    )
    with pytest.raises(DataError, match=r"wider_easy_val\.mat is not a readable MATLAB file: it needs more than 2 GiB"):
        load_ground_truth(tmp_path)


def test_some_images_are_picked_in_the_order_asked_for(tmp_path: Path) -> None:
    write_mats(tmp_path)
    some = load_ground_truth(tmp_path).pick([2, 0])
    assert some.ids == ["1--Talk/c", "0--Parade/a"]
    assert [len(mask) for mask in some.keep["hard"]] == [1, 2]
    assert some.faces == 3


@pytest.mark.parametrize(
    "text",
    ["/0--Parade/a_1.jpg", "# 0--Parade/a_1.jpg", "0--Parade/a_1", "./x/0--Parade/a_1.txt\n", "0--Parade/a_1.png"],
)
def test_image_ids(text: str) -> None:
    assert image_id(text) == "0--Parade/a_1"


def test_image_lists(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("/0--Parade/a.jpg\n\n/1--Talk/c.jpg\n")
    assert load_ids(path) == ["0--Parade/a", "1--Talk/c"]
    path.write_bytes(b"\xef\xbb\xbf/0--Parade/a.jpg\r\n/1--Talk/c.jpg\r\n")
    assert load_ids(path) == ["0--Parade/a", "1--Talk/c"], "as Windows writes it"
    path.write_text("0--Parade/a.jpg\n0--Parade/a\n")
    with pytest.raises(DataError, match="names 0--Parade/a twice"):
        load_ids(path)
    path.write_text("\n")
    with pytest.raises(DataError, match="is empty"):
        load_ids(path)
    with pytest.raises(DataError, match="cannot be read"):
        load_ids(tmp_path / "none.txt")
