"""The landmark error against a plain loop, and on cases made by hand."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.data.faces import FaceSet, FaceSetWriter
from harness.evaluation.landmarks import landmark_error

Rows = NDArray[np.float32]

PIXELS = np.zeros((400, 400, 3), dtype=np.uint8)
FRONTAL = [12.0, 15.0, 28.0, 15.0, 20.0, 22.0, 14.0, 30.0, 26.0, 30.0]
"""Five points of a face at (10, 10, 30, 50): eyes 16 px apart, size √(20 · 40)."""
BOX = [10.0, 10.0, 30.0, 50.0]
SIZE = math.sqrt(20 * 40)
PROFILE = [12.0, 15.0, 14.0, 15.0, *FRONTAL[4:]]
"""The same face with eyes 2 px apart."""
UNKNOWN = [math.nan] * 10


def face_set(folder: Path, *images: list[tuple[list[float], list[float]]]) -> FaceSet:
    """Return images of the given faces: box and points of each."""
    with FaceSetWriter(folder / "set", "marked") as writer:
        for index, faces in enumerate(images):
            boxes = np.array([box for box, _ in faces], dtype=np.float32).reshape(-1, 4)
            points = np.array([marks for _, marks in faces], dtype=np.float32).reshape(-1, 10)
            writer.add(f"event/{index}", PIXELS, boxes, points)
        return writer.finish()


def found(*rows: tuple[list[float], float, list[float]]) -> Rows:
    """Return detections (k, 15): box, score and points of each."""
    return np.array([[*box, score, *points] for box, score, points in rows], dtype=np.float32).reshape(-1, 15)


def moved(points: list[float], by: float) -> list[float]:
    """Return the points ``by`` pixels lower: each of the five distances is ``by``."""
    return [value + by * (index % 2) for index, value in enumerate(points)]


def test_a_face_is_measured_by_its_size(tmp_path: Path) -> None:
    faces = face_set(tmp_path, [(BOX, FRONTAL)])
    error = landmark_error([found((BOX, 0.9, moved(FRONTAL, 2)))], faces)
    one = {"matched": 1, "faces": 1}
    assert error == {
        "nme": pytest.approx(2 / SIZE),
        **one,
        "failure_rate": 0.0,
        "by_size": {"32–64 px": {"nme": pytest.approx(2 / SIZE), **one}},
        "interocular": {"nme": pytest.approx(2 / 16), **one},
    }


def test_the_error_is_the_mean_distance_of_the_five_points(tmp_path: Path) -> None:
    points = list(FRONTAL)
    points[0] += 3
    points[1] += 4
    error = landmark_error([found((BOX, 0.9, points))], face_set(tmp_path, [(BOX, FRONTAL)]))
    assert error["nme"] == pytest.approx(5 / 5 / SIZE)


def test_a_profile_counts_but_not_between_its_eyes(tmp_path: Path) -> None:
    faces = face_set(tmp_path, [(BOX, PROFILE)], [(BOX, FRONTAL)])
    error = landmark_error([found((BOX, 0.9, moved(PROFILE, 4))), found((BOX, 0.9, moved(FRONTAL, 1)))], faces)
    assert (error["matched"], error["faces"]) == (2, 2)
    assert error["nme"] == pytest.approx(2.5 / SIZE)
    assert error["interocular"] == {"nme": pytest.approx(1 / 16), "matched": 1, "faces": 1}


@pytest.mark.parametrize(("apart", "counted"), [(9.9, 0), (10.0, 1)])
def test_the_distance_between_the_eyes_counts_from_ten_pixels(tmp_path: Path, apart: float, counted: int) -> None:
    points = [12.0, 15.0, 12.0 + apart, 15.0, *FRONTAL[4:]]
    error = landmark_error([found((BOX, 0.9, points))], face_set(tmp_path, [(BOX, points)]))
    assert error["interocular"]["faces"] == counted
    assert error["interocular"]["nme"] == (0.0 if counted else None)


def test_eyes_on_one_point_are_a_face_like_any_other(tmp_path: Path) -> None:
    points = [12.0, 15.0, 12.0, 15.0, *FRONTAL[4:]]
    error = landmark_error([found((BOX, 0.9, moved(points, 1)))], face_set(tmp_path, [(BOX, points)]))
    assert (error["nme"], error["faces"]) == (pytest.approx(1 / SIZE), 1)


@pytest.mark.parametrize("unknown", [UNKNOWN, [*FRONTAL[:8], math.nan, math.nan]])
def test_faces_without_landmarks_do_not_count(tmp_path: Path, unknown: list[float]) -> None:
    other = [100.0, 100.0, 120.0, 140.0]
    faces = face_set(tmp_path, [(BOX, FRONTAL), (other, unknown)])
    error = landmark_error([found((BOX, 0.9, FRONTAL), (other, 0.9, FRONTAL))], faces)
    assert (error["matched"], error["faces"]) == (1, 1)
    assert landmark_error([found((BOX, 0.9, FRONTAL))], face_set(tmp_path / "none", [(BOX, UNKNOWN)])) == {}
    assert landmark_error([found()], face_set(tmp_path / "empty", [])) == {}


def test_no_match_is_no_error(tmp_path: Path) -> None:
    faces = face_set(tmp_path, [(BOX, FRONTAL)])
    stray = found(([200.0, 200.0, 220.0, 240.0], 0.9, FRONTAL))
    nothing = {"nme": None, "matched": 0, "faces": 1}
    for rows in (found(), stray):
        assert landmark_error([rows], faces) == {
            **nothing,
            "failure_rate": None,
            "by_size": {"32–64 px": nothing},
            "interocular": nothing,
        }


def test_a_face_that_is_not_matched_lowers_the_count_only(tmp_path: Path) -> None:
    small = ([100.0, 100.0, 105.0, 107.0], [101.0, 102.0, 104.0, 102.0, 102.0, 104.0, 101.0, 106.0, 104.0, 106.0])
    error = landmark_error([found((BOX, 0.9, moved(FRONTAL, 2)))], face_set(tmp_path, [(BOX, FRONTAL), small]))
    assert (error["nme"], error["matched"], error["faces"]) == (pytest.approx(2 / SIZE), 1, 2)
    assert error["by_size"] == {
        "below 8 px": {"nme": None, "matched": 0, "faces": 1},
        "32–64 px": {"nme": pytest.approx(2 / SIZE), "matched": 1, "faces": 1},
    }
    assert error["failure_rate"] == 0.0


@pytest.mark.parametrize(("top", "matched"), [(30.0, 1), (30.2, 0)])
def test_a_match_overlaps_by_half(tmp_path: Path, top: float, matched: int) -> None:
    error = landmark_error([found(([10.0, top, 30.0, 50.0], 0.9, FRONTAL))], face_set(tmp_path, [(BOX, FRONTAL)]))
    assert error["matched"] == matched


def test_the_largest_overlap_matches_whatever_its_score(tmp_path: Path) -> None:
    rows = found(([10.0, 14.0, 30.0, 50.0], 0.9, moved(FRONTAL, 9)), (BOX, 0.1, moved(FRONTAL, 1)))
    assert landmark_error([rows], face_set(tmp_path, [(BOX, FRONTAL)]))["nme"] == pytest.approx(1 / SIZE)


def test_failures_err_by_more_than_a_tenth_of_the_size(tmp_path: Path) -> None:
    faces = face_set(tmp_path, *([(BOX, FRONTAL)] for _ in range(4)), [(BOX, FRONTAL)])
    rows = [found((BOX, 0.9, moved(FRONTAL, share * SIZE))) for share in (0.0, 0.09, 0.11, 0.5)]
    error = landmark_error([*rows, found()], faces)
    assert (error["failure_rate"], error["matched"], error["faces"]) == (0.5, 4, 5)


def test_chosen_images_are_measured_in_their_order(tmp_path: Path) -> None:
    faces = face_set(tmp_path, [(BOX, FRONTAL)], [(BOX, UNKNOWN)], [(BOX, moved(FRONTAL, 10))])
    rows = [found((BOX, 0.9, moved(FRONTAL, 10))), found((BOX, 0.9, FRONTAL))]
    error = landmark_error(rows, faces, np.array([2, 0]))
    assert (error["nme"], error["faces"]) == (0.0, 2)
    with pytest.raises(ValueError, match="zip"):
        landmark_error(rows, faces)


def plain_loop(detections: list[Rows], faces: FaceSet) -> dict[str, Any]:
    """Return the same, face by face."""
    sizes: dict[str, tuple[float, float]] = {
        "below 8 px": (0, 8),
        "8–16 px": (8, 16),
        "16–32 px": (16, 32),
        "32–64 px": (32, 64),
    }
    sizes |= {"64–128 px": (64, 128), "128 px and more": (128, math.inf)}
    every: list[tuple[float | None, str]] = []
    between: list[float | None] = []
    for index, rows in enumerate(detections):
        boxes, points = (part.astype(float).tolist() for part in faces.faces(index))
        for (x1, y1, x2, y2), marks in zip(boxes, points, strict=True):
            if any(math.isnan(value) for value in marks):
                continue
            best, chosen = 0.0, None
            for row in rows.astype(float).tolist():
                width, height = min(x2, row[2]) - max(x1, row[0]), min(y2, row[3]) - max(y1, row[1])
                shared = max(width, 0) * max(height, 0)
                overlap = shared / ((x2 - x1) * (y2 - y1) + (row[2] - row[0]) * (row[3] - row[1]) - shared)
                if overlap > best:
                    best, chosen = overlap, row
            distance = None
            if chosen is not None and best >= 0.5:
                pairs = [(marks[k : k + 2], chosen[5 + k : 7 + k]) for k in range(0, 10, 2)]
                distance = sum(math.dist(one, other) for one, other in pairs) / 5
            (size,) = (name for name, (low, high) in sizes.items() if low <= y2 - y1 < high)
            every.append((None if distance is None else distance / math.sqrt((x2 - x1) * (y2 - y1)), size))
            eyes = math.dist(marks[:2], marks[2:4])
            if eyes >= 10:
                between.append(None if distance is None else distance / eyes)

    def summary(errors: list[float | None]) -> dict[str, Any]:
        known = [error for error in errors if error is not None]
        mean = pytest.approx(sum(known) / len(known), rel=1e-9) if known else None
        return {"nme": mean, "matched": len(known), "faces": len(errors)}

    known = [error for error, _ in every if error is not None]
    groups = {name: [error for error, size in every if size == name] for name in sizes}
    return {
        **summary([error for error, _ in every]),
        "failure_rate": pytest.approx(sum(error > 0.1 for error in known) / len(known)),
        "by_size": {name: summary(errors) for name, errors in groups.items() if errors},
        "interocular": summary(between),
    }


@pytest.mark.parametrize("seed", range(4))
def test_equals_the_plain_loop(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    images: list[list[tuple[list[float], list[float]]]] = []
    detections = []
    for _ in range(20):
        faces, rows = [], []
        for _ in range(int(rng.integers(0, 6))):
            corner, side = rng.random(2) * 200, np.exp(rng.random(2) * 4 + 1)
            box = [*corner, *(corner + side)]
            points = (corner + rng.random((5, 2)) * side).ravel()
            faces.append((box, UNKNOWN if rng.random() < 0.3 else points.tolist()))
            for _ in range(int(rng.integers(0, 4))):
                near = np.array(box) + rng.normal(size=4) * 0.15 * np.tile(side, 2)
                near[2:] = np.maximum(near[2:], near[:2] + 1)
                rows.append((near.tolist(), rng.random(), (points + rng.normal(size=10) * side.mean() * 0.07).tolist()))
        images.append(faces)
        detections.append(rng.permutation(found(*rows)))
    faces_of = face_set(tmp_path, *images)
    error = landmark_error(detections, faces_of)
    assert error == plain_loop(detections, faces_of)
    assert 0 < error["interocular"]["matched"] < error["matched"] < error["faces"]
    assert 0 < error["failure_rate"] < 1
    assert json.loads(json.dumps(error, allow_nan=False)) == error
