"""Matched detections on disk give exactly what the detections gave."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from harness.data.truth import LISTS, GroundTruth
from harness.errors import DataError
from harness.evaluation.ap import Matches, match
from harness.evaluation.attributes import faces_found, found_faces, size_groups
from harness.evaluation.matched import load_faces, load_matches, packed_faces, packed_matches
from harness.evaluation.stats import resample, resample_matches
from tests.fake_comparison import detect, write_images


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> GroundTruth:
    """Faces on 30 images, and one image without any."""
    found = write_images(tmp_path_factory.mktemp("runs"), 30).truth()
    keep = {name: [*masks, np.zeros(0, dtype=np.bool_)] for name, masks in found.keep.items()}
    return GroundTruth([*found.boxes, np.zeros((0, 4))], keep, [*found.ids, "none"])


def _equal(one: Matches, other: Matches) -> bool:
    return all(np.array_equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(Matches))


def test_what_is_read_is_what_was_matched(truth: GroundTruth, tmp_path: Path) -> None:
    path = tmp_path / "matches.npz"
    for skill, seed in ((0.3, 1), (0.9, 2), (0.0, 3)):
        detections = detect(truth, skill, seed)
        twice = [np.concatenate((rows, rows[:1])) for rows in detections]  # A second detection on a face.
        for rows in (detections, twice, [rows[:0] for rows in detections]):
            path.write_bytes(packed_matches(match(rows, truth), truth.listed))
            found = load_matches(path, truth.listed)
            assert _equal(found, match(rows, truth))
            ours, theirs = resample_matches(found, truth.listed, 20), resample(rows, truth, 20)
            assert ours.value == theirs.value
            assert all(np.array_equal(ours.draws[name], theirs.draws[name], equal_nan=True) for name in ours.draws)
            assert np.array_equal(faces_found(found, truth.listed), found_faces(rows, truth))


def test_faces_are_read_with_their_lists_and_groups(truth: GroundTruth, tmp_path: Path) -> None:
    path, groups = tmp_path / "faces.npz", size_groups(truth)
    for given in (groups, {}):
        path.write_bytes(packed_faces(truth.listed, given))
        listed, found = load_faces(path)
        assert (listed.ids, listed.faces) == (truth.ids, truth.faces)
        assert np.array_equal(listed.counts, truth.listed.counts)
        assert all(np.array_equal(listed.keep[name], truth.listed.keep[name]) for name in LISTS)
        assert {name: list(values) for name, values in found.items()} == {n: list(v) for n, v in given.items()}
        assert all(np.array_equal(found[name][value], given[name][value]) for name in given for value in given[name])


def test_damage_is_refused(truth: GroundTruth, tmp_path: Path) -> None:
    path, listed = tmp_path / "matches.npz", truth.listed
    with pytest.raises(DataError, match=r"matches\.npz is missing"):
        load_matches(path, listed)
    matches = match(detect(truth, 0.9, 2), truth)
    path.write_bytes(packed_matches(matches, listed))
    with pytest.raises(DataError, match="was not made on these 30 images"):
        load_matches(path, truth.pick(range(30)).listed)
    few = GroundTruth(
        [rows[:1] for rows in truth.boxes], {n: [m[:1] for m in k] for n, k in truth.keep.items()}, truth.ids
    )
    with pytest.raises(DataError, match="faces that do not exist"):
        load_matches(path, few.listed)
    with pytest.raises(DataError, match="is not readable"):
        load_faces(path)
    np.savez(path, counts=[-1], steps=[0], place=[0])
    with pytest.raises(DataError, match="counts is no row of whole numbers"):
        load_matches(path, listed)
    np.savez(path, counts=np.ones(2, np.uint8), ids=["a"], masks=np.ones((3, 2), np.bool_), names=np.zeros((0, 2)))
    with pytest.raises(DataError, match="its parts do not match"):
        load_faces(path)
