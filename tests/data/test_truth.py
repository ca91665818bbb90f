from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

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
    for count, listed in ((1, [1]), (2, [9])):
        write_mats(tmp_path)
        images = column([np.array(listed).reshape(-1, 1)] * count)
        savemat(tmp_path / "wider_easy_val.mat", {"gt_list": column([images, images])})
        with pytest.raises(DataError, match=r"the four \.mat files are not the official ground truth"):
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
    path.write_text("0--Parade/a.jpg\n0--Parade/a\n")
    with pytest.raises(DataError, match="names 0--Parade/a twice"):
        load_ids(path)
    path.write_text("\n")
    with pytest.raises(DataError, match="is empty"):
        load_ids(path)
    with pytest.raises(DataError, match="cannot be read"):
        load_ids(tmp_path / "none.txt")
