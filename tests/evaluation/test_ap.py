"""The vectorised evaluator against a plain one, on random sets, on the odd cases, and on published detections."""

from pathlib import Path

import numpy as np
import pytest

from harness.data.truth import LISTS, GroundTruth, load_ground_truth, load_ids
from harness.errors import DataError
from harness.evaluation import ap as widerface
from harness.evaluation.ap import evaluate_ap
from harness.evaluation.predictions import load_predictions
from tests.evaluation import ap_oracle as oracle


def make_set(seed: int, images: int = 30, faces: int = 12, side: float = 200) -> tuple[list[np.ndarray], GroundTruth]:
    """Faces of mixed lists, and detections that lie on them, beside them, twice on them, or outside the image."""
    rng = np.random.default_rng(seed)
    detections, boxes = [], []
    keep: dict[str, list[np.ndarray]] = {name: [] for name in LISTS}
    for _ in range(images):
        count = int(rng.integers(0, faces + 1))
        corner, size = rng.random((count, 2)) * side, np.exp(rng.random((count, 2)) * 4)
        face = np.concatenate((corner, corner + size), axis=1).round(1)
        hard = rng.random(count) < 0.8
        medium = hard & (rng.random(count) < 0.6)
        easy = medium & (rng.random(count) < 0.5)
        for name, mask in zip(LISTS, (easy, medium, hard), strict=True):
            keep[name].append(mask)
        boxes.append(face)
        near = np.repeat(face, rng.integers(0, 4, count), axis=0)
        near += rng.normal(size=near.shape) * 0.1 * (near[:, 2:] - near[:, :2]).repeat(2, axis=1)
        stray = rng.random((int(rng.integers(0, 8)), 4)) * side * 1.5 - side / 4
        stray[:, 2:] += stray[:, :2]
        every = np.concatenate((near, stray))
        scores = rng.random((len(every), 1)).round(2)
        detections.append(rng.permutation(np.concatenate((every, scores), axis=1)))
    return detections, GroundTruth(boxes, keep, [f"event/{i}" for i in range(images)])


def assert_equals_oracle(detections: list[np.ndarray], truth: GroundTruth) -> None:
    result = evaluate_ap(detections, truth)
    rows, faces = [d.tolist() for d in detections], [b.tolist() for b in truth.boxes]
    for name in LISTS:
        expected = oracle.average_precision(rows, faces, [mask.tolist() for mask in truth.keep[name]])
        assert getattr(result, name) == (None if expected is None else pytest.approx(expected, abs=1e-12)), name


@pytest.mark.parametrize("seed", range(8))
def test_random_sets(seed: int) -> None:
    detections, truth = make_set(seed)
    assert_equals_oracle(detections, truth)


@pytest.mark.parametrize("pairs", [1, 7, 100])
def test_blocks_of_any_size_give_the_same(pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    detections, truth = make_set(3)
    expected = evaluate_ap(detections, truth).to_dict()
    monkeypatch.setattr(widerface, "PAIRS_AT_ONCE", pairs)
    assert evaluate_ap(detections, truth).to_dict() == expected


def test_integer_boxes_with_equal_overlaps() -> None:
    rng = np.random.default_rng(0)
    extent = np.array([0, 0, 8, 8])
    boxes = [np.tile(rng.integers(0, 6, (4, 2)) * 4.0, 2) + extent for _ in range(20)]
    keep = {name: [rng.random(4) < 0.6 for _ in range(20)] for name in LISTS}
    rows = [np.tile(rng.integers(0, 12, (9, 2)) * 2.0, 2) + extent for _ in range(20)]
    detections = [np.column_stack((part, rng.integers(0, 4, 9) / 4)) for part in rows]
    assert_equals_oracle(detections, GroundTruth(boxes, keep, [str(i) for i in range(20)]))


def test_exact_duplicates() -> None:
    detections, truth = make_set(9)
    assert_equals_oracle([np.concatenate((rows, rows[::-1])) for rows in detections], truth)
    again = [np.concatenate((rows, rows * [1, 1, 1, 1, 0.5])) for rows in detections]
    assert_equals_oracle(again, truth)
    assert (evaluate_ap(again, truth).mean or 0) < (evaluate_ap(detections, truth).mean or 0)


def test_no_detection_at_all_is_zero() -> None:
    _, truth = make_set(1)
    assert_equals_oracle([np.zeros((0, 5))] * len(truth.ids), truth)
    result = evaluate_ap([np.zeros((0, 5))] * len(truth.ids), truth)
    assert result.to_dict() == {"easy": 0.0, "medium": 0.0, "hard": 0.0, "mean": 0.0}
    assert result.images == len(truth.ids)
    assert result.faces == sum(len(boxes) for boxes in truth.boxes)


def test_some_images_without_detections() -> None:
    detections, truth = make_set(2)
    detections[::3] = [np.zeros((0, 5))] * len(detections[::3])
    assert_equals_oracle(detections, truth)


def test_a_list_without_faces_has_no_ap() -> None:
    detections, truth = make_set(4)
    truth.keep["easy"] = [np.zeros_like(mask) for mask in truth.keep["easy"]]
    result = evaluate_ap(detections, truth)
    assert result.easy is None
    assert result.mean is None
    assert result.hard is not None
    assert set(result.curves) == {"medium", "hard"}
    assert_equals_oracle(detections, truth)


def test_no_face_anywhere() -> None:
    truth = GroundTruth([np.zeros((0, 4))], {name: [np.zeros(0, dtype=bool)] for name in LISTS}, ["a"])
    result = evaluate_ap([np.array([[0.0, 0.0, 5.0, 5.0, 0.5]])], truth)
    assert result.to_dict() == dict.fromkeys((*LISTS, "mean"))


def one_face(keep: bool = True) -> GroundTruth:
    return GroundTruth([np.array([[10.0, 10.0, 29.0, 29.0]])], {name: [np.array([keep])] for name in LISTS}, ["a/b"])


def test_equal_scores_all_become_one() -> None:
    detections, truth = make_set(5)
    for rows in detections:
        rows[:, 4] = 0.3
    assert_equals_oracle(detections, truth)
    assert evaluate_ap([np.array([[10.0, 10.0, 29.0, 29.0, 0.01]])], one_face()).easy == 1.0


def test_a_second_detection_of_a_face_is_wrong() -> None:
    box = [10.0, 10.0, 29.0, 29.0]
    precision, recall = evaluate_ap([np.array([[*box, 0.9], [*box, 0.5]])], one_face()).curves["easy"]
    assert precision[0] == 1.0
    assert recall[0] == 1.0
    assert precision[-1] == 0.5


def test_a_detection_on_an_ignored_face_does_not_count() -> None:
    truth = GroundTruth(
        [np.array([[10.0, 10.0, 29.0, 29.0], [50.0, 50.0, 69.0, 69.0]])],
        {name: [np.array([True, False])] for name in LISTS},
        ["a/b"],
    )
    ignored, counted = [50.0, 50.0, 69.0, 69.0, 0.9], [10.0, 10.0, 29.0, 29.0, 0.8]
    result = evaluate_ap([np.array([ignored, ignored, counted])], truth)
    assert result.easy == 1.0
    assert result.listed == {"easy": 1, "medium": 1, "hard": 1}


def test_overlap_counts_the_last_pixel() -> None:
    # 20 × 20 pixels against its left 20 × 10: one half exactly only with the +1 convention.
    assert evaluate_ap([np.array([[10.0, 10.0, 19.0, 29.0, 0.5]])], one_face()).easy == 1.0
    assert evaluate_ap([np.array([[10.0, 10.0, 18.9, 29.0, 0.5]])], one_face()).easy == 0.0


def test_images_without_annotated_faces_are_left_out() -> None:
    truth = GroundTruth(
        [np.array([[10.0, 10.0, 29.0, 29.0]]), np.zeros((0, 4))],
        {name: [np.array([True]), np.zeros(0, dtype=bool)] for name in LISTS},
        ["a", "b"],
    )
    stray = np.array([[0.0, 0.0, 9.0, 9.0, 1.0]])
    assert evaluate_ap([np.array([[10.0, 10.0, 29.0, 29.0, 0.5]]), stray], truth).easy == 1.0


def test_boxes_far_outside_or_without_area() -> None:
    detections, truth = make_set(6)
    odd = [[-1e6, -1e6, 1e6, 1e6, 0.9], [9e5, 0, 9e5 + 3, 5, 0.8], [-9e5, 0, -9e5 + 3, 5, 0.8], [5, 5, 4, 4, 0.7]]
    odd += [[50, 50, 30, 30, 0.6], [0, 0, 0, 0, 1.0]]
    assert_equals_oracle([np.concatenate((rows, odd)) for rows in detections], truth)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("column", [0, 4])
def test_values_that_are_no_numbers_are_refused(value: float, column: int) -> None:
    detections, truth = make_set(7)
    rows = np.array([[1.0, 1.0, 5.0, 5.0, 0.5], [1.0, 1.0, 5.0, 5.0, 0.5]])
    rows[1, column] = value
    detections[11] = rows
    with pytest.raises(DataError, match="event/11: detection 2 is not finite"):
        evaluate_ap(detections, truth)


def test_wrong_shapes_are_refused() -> None:
    detections, truth = make_set(7)
    with pytest.raises(DataError, match="29 lists of detections for 30 images"):
        evaluate_ap(detections[1:], truth)
    detections[3] = detections[3][:, :4]
    with pytest.raises(DataError, match="event/3: detections are"):
        evaluate_ap(detections, truth)
    with pytest.raises(DataError, match="one entry per image"):
        GroundTruth(truth.boxes[1:], truth.keep, truth.ids)
    with pytest.raises(DataError, match="has the lists easy, medium, hard"):
        GroundTruth([], {}, [])


def test_more_columns_and_single_precision_are_welcome() -> None:
    detections, truth = make_set(8)
    wide = [np.concatenate((rows, np.full((len(rows), 10), np.nan)), axis=1) for rows in detections]
    assert evaluate_ap(wide, truth).to_dict() == evaluate_ap(detections, truth).to_dict()
    single = evaluate_ap([rows.astype(np.float32) for rows in detections], truth)
    assert single.mean == pytest.approx(evaluate_ap(detections, truth).mean, abs=1e-3)


@pytest.mark.parametrize(("which", "images"), [("all", 3_226), ("part", 600)])
def test_equals_the_reference_on_published_detections(which: str, images: int, widerface_root: Path) -> None:
    ids = None if which == "all" else load_ids(widerface_root / "val" / "wider_val.txt")
    truth = load_ground_truth(widerface_root / "ground_truth", ids)
    detections = load_predictions(widerface_root / "published_predictions" / "retinaface_mnet025.tar.gz", truth.ids)
    result = evaluate_ap(detections, truth)
    assert result.images == images
    assert (result.easy, result.medium, result.hard) == pytest.approx(oracle.REFERENCE[which], abs=1e-6)


def test_equals_the_oracle_on_real_images(widerface_root: Path) -> None:
    ids = load_ids(widerface_root / "val" / "wider_val.txt")[::25]
    truth = load_ground_truth(widerface_root / "ground_truth", ids)
    detections = load_predictions(widerface_root / "published_predictions" / "retinaface_mnet025.tar.gz", ids)
    assert_equals_oracle(detections, truth)
