from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from harness.data.truth import LISTS, GroundTruth, load_ground_truth, load_ids
from harness.errors import DataError
from harness.evaluation.attributes import ATTRIBUTES, attribute_groups, found_faces, recall, size_groups
from harness.evaluation.predictions import load_predictions
from tests.mat import column

FACES = [[[0, 0, 7, 7], [20, 0, 8, 8], [50, 0, 15, 16]], [[0, 0, 100, 130]], [[5, 5, 40, 40]]]
"""For each image x, y, w, h."""
HARD = [[1, 2, 3], [1], []]
BLUR = [[2, 1, 0], [0], [1]]


def write_mats(folder: Path, drop: str = "") -> Path:
    """Write the official layout, two events of two and one images, with ``BLUR`` and zeros in all else."""
    zeros = [[0] * len(image) for image in FACES]
    labels = {name: BLUR if name == "blur" else zeros for name in ATTRIBUTES if name != drop}
    tables = {f"{name}_label_list": [np.array(image).reshape(-1, 1) for image in of] for name, of in labels.items()}
    tables["face_bbx_list"] = [np.array(image) for image in FACES]
    content = {name: column([column(images[:2]), column(images[2:])]) for name, images in tables.items()}
    content["event_list"] = column(["0--Parade", "1--Talk"])
    content["file_list"] = column([column(["a", "b"]), column(["c"])])
    savemat(folder / "wider_face_val.mat", content)
    for name in LISTS:
        kept = [np.array(image, dtype=np.uint8).reshape(-1, 1) for image in HARD]
        savemat(folder / f"wider_{name}_val.mat", {"gt_list": column([column(kept[:2]), column(kept[2:])])})
    return folder


def test_sizes_are_heights_of_faces_that_count(tmp_path: Path) -> None:
    groups = size_groups(load_ground_truth(write_mats(tmp_path)))["size"]
    assert {name: np.flatnonzero(mask).tolist() for name, mask in groups.items()} == {
        "below 8 px": [0],
        "8–16 px": [1],
        "16–32 px": [2],
        "128 px and more": [3],
    }


def test_attributes_follow_the_order_of_the_images(tmp_path: Path) -> None:
    folder = write_mats(tmp_path)
    groups = attribute_groups(folder, load_ground_truth(folder, ["1--Talk/c", "0--Parade/b", "0--Parade/a"]))
    assert list(groups) == ["blur", "occlusion", "pose", "illumination", "expression"]
    assert {name: np.flatnonzero(mask).tolist() for name, mask in groups["blur"].items()} == {
        "clear": [1, 4],
        "normal": [3],
        "heavy": [2],
    }
    assert list(groups["occlusion"]) == ["none"]


def test_files_that_do_not_belong_together_are_named(tmp_path: Path) -> None:
    folder = write_mats(tmp_path)
    truth = load_ground_truth(folder)
    with pytest.raises(DataError, match="no ground truth for 1 images, the first is x/y"):
        attribute_groups(folder, GroundTruth(truth.boxes, truth.keep, [*truth.ids[:2], "x/y"]))
    moved = [truth.boxes[0], truth.boxes[1] + 1, truth.boxes[2]]
    with pytest.raises(DataError, match="other faces for 0--Parade/b"):
        attribute_groups(folder, GroundTruth(moved, truth.keep, truth.ids))
    write_mats(tmp_path, drop="pose")
    with pytest.raises(DataError, match="has no pose_label_list"):
        attribute_groups(folder, truth)


def truth_of(images: int) -> GroundTruth:
    """Two faces per image, both on every list, and one image without faces."""
    box = np.array([[0.0, 0.0, 20.0, 20.0], [50.0, 0.0, 70.0, 20.0]])
    boxes = [*[box] * images, box[:0]]
    keep = {name: [np.ones(len(b), dtype=np.bool_) for b in boxes] for name in LISTS}
    return GroundTruth(boxes, keep, [str(i) for i in range(images + 1)])


def test_recall_is_measured_at_one_false_positive_per_image() -> None:
    """Both images: a face at 0.9, the same face again at 0.8, a stray at 0.5, the other face at 0.4."""
    face, other, stray = [0, 0, 20, 20], [50, 0, 70, 20], [0, 80, 20, 99]
    rows = np.array([[*face, 0.9], [*face, 0.8], [*stray, 0.5], [*other, 0.4], [*stray, 0.0]])
    without = np.array([[*stray, 1.0]] * 9)  # In the image without faces: no false alarm.
    assert found_faces([rows, rows, without], truth_of(2)).tolist() == [True, False, True, False]
    assert found_faces([rows, rows[[0, 3, 4]], without], truth_of(2)).tolist() == [True, True, True, True]
    assert not found_faces([rows[:0]] * 3, truth_of(2)).any()


def test_nothing_is_found_if_the_first_threshold_has_too_many_false_positives() -> None:
    face, stray = [0, 0, 20, 20], [0, 80, 20, 99]
    rows = np.array([[*stray, 0.9], [*stray, 0.9], [*face, 0.9], [*stray, 0.1]])
    assert not found_faces([rows, rows[:0]], truth_of(1)).any()


def test_recall_is_a_share() -> None:
    found = np.array([True, False, True, False])
    assert recall(found, np.array([True, True, False, False])) == 0.5


def test_a_published_detector_on_real_faces(widerface_root: Path) -> None:
    truth = load_ground_truth(widerface_root / "ground_truth", load_ids(widerface_root / "val/wider_val.txt"))
    found = found_faces(
        load_predictions(widerface_root / "published_predictions/retinaface_mnet025.tar.gz", truth.ids), truth
    )
    groups = size_groups(truth) | attribute_groups(widerface_root / "ground_truth", truth)
    shares = {name: [recall(found, mask) for mask in groups[name].values()] for name in groups}
    assert shares["size"] == sorted(shares["size"])
    assert shares["blur"] == sorted(shares["blur"], reverse=True)
    assert shares["occlusion"] == sorted(shares["occlusion"], reverse=True)
    hard = int(np.concatenate(truth.keep["hard"]).sum())
    assert all(sum(int(mask.sum()) for mask in of.values()) == hard for of in groups.values())
