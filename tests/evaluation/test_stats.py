"""The bootstrap against resampling by hand, the coverage of its interval, and what it refuses."""

import math
from pathlib import Path

import numpy as np
import pytest

from harness.data.truth import LISTS, GroundTruth, load_ground_truth, load_ids
from harness.errors import InputError
from harness.evaluation.ap import evaluate_ap
from harness.evaluation.predictions import load_predictions
from harness.evaluation.stats import (
    LEVELS,
    Interval,
    average,
    difference,
    mean_interval,
    multiplicities,
    resample,
    seed_interval,
    spread,
)
from tests.evaluation import ap_oracle as oracle


def make_truth(rng: np.random.Generator, images: int = 9) -> GroundTruth:
    """Return images of 0 to 4 faces; the easy list holds few of them, so that some resamples hold none."""
    boxes: list[np.ndarray] = []
    keep: dict[str, list[np.ndarray]] = {name: [] for name in LISTS}
    for index in range(images):
        count = 0 if index == 4 else int(rng.integers(1, 5))
        corner = rng.random((count, 2)) * 100
        boxes.append(np.concatenate((corner, corner + 8 + rng.random((count, 2)) * 20), axis=1))
        hard = rng.random(count) < 0.8
        keep["hard"].append(hard)
        keep["medium"].append(hard & (rng.random(count) < 0.6))
        keep["easy"].append(np.full(count, index in (0, 1)))
    return GroundTruth(boxes, keep, [f"event/{i}" for i in range(images)])


def make_detections(rng: np.random.Generator, truth: GroundTruth) -> list[np.ndarray]:
    found = []
    for boxes in truth.boxes:
        near = np.repeat(boxes, rng.integers(0, 3, len(boxes)), axis=0)
        stray = rng.random((int(rng.integers(0, 5)), 4)) * 60
        stray[:, 2:] += stray[:, :2]
        every = np.concatenate((near + rng.normal(size=near.shape), stray))
        found.append(np.concatenate((every, rng.random((len(every), 1))), axis=1))
    return found


def by_hand(detections: list[np.ndarray], truth: GroundTruth, times: np.ndarray) -> dict[str, float | None]:
    """Return the AP after copying images; one more, without faces, holds the lowest and the highest score."""
    scores = np.concatenate(detections)[:, 4]
    ends = [[0.0, 0.0, 9.0, 9.0, scores.min()], [0.0, 0.0, 9.0, 9.0, scores.max()]]
    drawn = np.repeat(np.arange(len(truth.ids)), times.astype(int))
    rows = [*(detections[i].tolist() for i in drawn), ends]
    faces = [*(truth.boxes[i].tolist() for i in drawn), []]
    found = {
        name: oracle.average_precision(rows, faces, [*(truth.keep[name][i].tolist() for i in drawn), []])
        for name in LISTS
    }
    known = [value for value in found.values() if value is not None]
    return found | {"mean": sum(known) / 3 if len(known) == 3 else None}


@pytest.mark.parametrize("seed", range(3))
def test_resamples_equal_copied_images(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = make_truth(rng)
    detections = make_detections(rng, truth)
    sampled = resample(detections, truth, resamples=12, seed=seed)
    for row, times in enumerate(multiplicities(len(truth.ids), 12, seed)):
        expected = by_hand(detections, truth, times)
        for level in LEVELS:
            drawn = sampled.draws[level][row]
            assert math.isnan(drawn) if expected[level] is None else drawn == pytest.approx(expected[level], abs=1e-9)
    assert sampled.value == pytest.approx(evaluate_ap(detections, truth).to_dict(), abs=1e-12)


def test_draws_are_whole_images_and_those_of_the_seed() -> None:
    drawn = multiplicities(50, 400, 3)
    assert (drawn.sum(axis=1) == 50).all()
    assert drawn.mean() == 1
    assert drawn.var() == pytest.approx(1 - 1 / 50, abs=0.05)
    np.testing.assert_array_equal(drawn, multiplicities(50, 400, 3))
    assert (drawn != multiplicities(50, 400, 4)).any()


def test_the_interval_has_its_nominal_coverage() -> None:
    """One face per image, found with probability 0.7 and nothing else: the AP converges to 0.7."""
    rng = np.random.default_rng(0)
    count, runs = 60, 60
    box = np.array([[0.0, 0.0, 20.0, 20.0]])
    keep = {name: [np.ones(1, dtype=np.bool_)] * count for name in LISTS}
    truth = GroundTruth([box] * count, keep, [f"event/{i}" for i in range(count)])
    row = np.array([[0.0, 0.0, 20.0, 20.0, 0.9]])
    held = 0
    for run in range(runs):
        detections = [row if found else row[:0] for found in rng.random(count) < 0.7]
        interval = resample(detections, truth, resamples=100, seed=run).interval("hard")
        assert interval is not None
        held += interval.low <= 0.7 <= interval.high
    assert 0.88 <= held / runs < 1


def test_a_difference_is_paired_and_an_average_is_of_the_draws() -> None:
    rng = np.random.default_rng(1)
    truth = make_truth(rng, images=30)
    one, other = (resample(make_detections(rng, truth), truth, 200) for _ in range(2))
    apart, together = difference(one, other), average([one, other])
    np.testing.assert_allclose(apart.draws["hard"], one.draws["hard"] - other.draws["hard"], atol=1e-15)
    np.testing.assert_allclose(together.draws["hard"], (one.draws["hard"] + other.draws["hard"]) / 2, atol=1e-15)
    assert apart.value["hard"] == pytest.approx((one.value["hard"] or 0) - (other.value["hard"] or 0))
    assert together.value["mean"] == pytest.approx(((one.value["mean"] or 0) + (other.value["mean"] or 0)) / 2)
    assert difference(one, one).interval("mean") == (0, 0)
    assert difference(together, average([other, one])).interval("mean") == pytest.approx((0, 0), abs=1e-15)


def test_pairing_narrows_the_difference_of_like_networks() -> None:
    rng = np.random.default_rng(2)
    truth = make_truth(rng, images=40)
    detections = make_detections(rng, truth)
    moved = [np.column_stack((rows[:, :4], rows[:, 4] + rng.normal(0, 0.02, len(rows)))) for rows in detections]
    one, other = resample(detections, truth, 300), resample(moved, truth, 300)
    paired = np.nanstd(difference(one, other).draws["hard"])
    unpaired = np.hypot(np.nanstd(one.draws["hard"]), np.nanstd(other.draws["hard"]))
    assert paired < unpaired / 2


def test_a_list_without_faces_has_no_interval() -> None:
    truth = make_truth(np.random.default_rng(0))
    empty = {**truth.keep, "easy": [np.zeros(len(boxes), dtype=np.bool_) for boxes in truth.boxes]}
    sampled = resample([np.zeros((0, 5))] * 9, GroundTruth(truth.boxes, empty, truth.ids), 20)
    assert (sampled.value["easy"], sampled.value["mean"], sampled.value["hard"]) == (None, None, 0.0)
    assert sampled.interval("easy") is None
    assert sampled.interval("mean") is None
    assert difference(sampled, sampled).value["easy"] is None
    assert average([sampled, sampled]).interval("hard") == (0, 0)


def test_other_images_are_named() -> None:
    rng = np.random.default_rng(0)
    truth = make_truth(rng)
    nothing = [np.zeros((0, 5))] * 9
    here = resample(nothing, truth, 10)
    other = [*(f"other/{i}" for i in range(4)), *truth.ids[4:]]
    there = resample(nothing, GroundTruth(truth.boxes, truth.keep, other), 10)
    words = r"4 only in the first \(event/0, event/1, event/2, …\) and 4 only in the second \(other/0, "
    with pytest.raises(InputError, match=words):
        difference(here, there)
    turned = resample(nothing, GroundTruth(truth.boxes, truth.keep, truth.ids[::-1]), 10)
    with pytest.raises(InputError, match="the same images in another order"):
        average([here, turned])
    with pytest.raises(InputError, match="10 of seed 0 and 11 of seed 0"):
        difference(here, resample(nothing, truth, 11))
    with pytest.raises(InputError, match="10 of seed 0 and 10 of seed 1"):
        difference(here, resample(nothing, truth, 10, seed=1))


def test_the_interval_over_seeds() -> None:
    assert seed_interval({1: 0.5}, {1: 0.4, 2: 0.4}) is None
    # Differences 0.1, 0.2, 0.3: mean 0.2, standard error 0.1 / √3, t(0.975, 2) = 4.302653.
    paired = seed_interval({1: 0.5, 2: 0.6, 3: 0.7}, {3: 0.4, 2: 0.4, 1: 0.4})
    assert paired == pytest.approx((0.2 - 4.302653 * 0.1 / 3**0.5, 0.2 + 4.302653 * 0.1 / 3**0.5), abs=1e-6)
    # Equal variances 0.01 and 3 seeds each: 4 degrees of freedom, t(0.975, 4) = 2.776445.
    apart = seed_interval({1: 0.5, 2: 0.6, 3: 0.7}, {4: 0.3, 5: 0.4, 6: 0.5})
    assert apart == pytest.approx((0.2 - 2.776445 * (0.02 / 3) ** 0.5, 0.2 + 2.776445 * (0.02 / 3) ** 0.5), abs=1e-6)
    assert seed_interval({1: 0.5, 2: 0.5}, {3: 0.4, 4: 0.4}) == pytest.approx((0.1, 0.1))


def test_the_interval_of_a_mean_is_that_of_the_tables_of_student_s_t() -> None:
    """For two degrees of freedom and 95 %, t is 4.3027."""
    reach = 4.3027 * 0.1 / math.sqrt(3)
    assert mean_interval([0.1, 0.2, 0.3]) == pytest.approx((0.2 - reach, 0.2 + reach), abs=1e-5)
    assert mean_interval([0.2, 0.2]) == (0.2, 0.2)
    assert mean_interval([0.2]) is None


def test_small_helpers() -> None:
    assert spread([0.5]) is None
    assert spread([0.4, 0.6]) == pytest.approx(0.02**0.5)
    assert [Interval(*ends).excludes_zero for ends in ((0.1, 0.2), (-0.2, -0.1), (-0.1, 0.1), (0, 0.1))] == [
        True,
        True,
        False,
        False,
    ]


def test_the_interval_of_a_published_detector_holds_its_ap(widerface_root: Path) -> None:
    truth = load_ground_truth(widerface_root / "ground_truth", load_ids(widerface_root / "val/wider_val.txt"))
    detections = load_predictions(widerface_root / "published_predictions/retinaface_mnet025.tar.gz", truth.ids)
    sampled = resample(detections, truth, 1_000)
    assert sampled.value["hard"] == pytest.approx(0.7677506414336969, abs=1e-12)
    interval = sampled.interval("hard")
    assert interval is not None
    assert 0.6 < interval.low < 0.7677506414336969 < interval.high < 0.9
