"""Uncertainty of an AP: bootstrap over images, paired differences of two networks, and intervals over seeds.

A resample draws as many images as there are, with replacement (Efron, Annals of Statistics 7(1), 1979); intervals are
percentiles over resamples. An image that is drawn k times counts k times, with all its faces and detections. Scores
stay scaled over the whole set, as for the AP itself, and every detection keeps its match, because matching never
crosses images. So nothing is matched again, and the AP of a resample follows from weighted sums over images.

Two networks are evaluated on the same resamples. Their difference is paired: what makes an image hard for both cancels.
An interval over images covers other images of the same kind for the same weights. It does not cover other seeds;
``seed_interval`` does.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev, variance
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.data.truth import LISTS, Array, GroundTruth, Listed, Mask
from harness.errors import InputError
from harness.evaluation.ap import THRESHOLDS, Matches, match

LEVELS = (*LISTS, "mean")
CONFIDENCE = 0.95
RESAMPLES = 1_000

AT_ONCE = 250
"""Resamples computed at once: bounds the memory at about 10 MB."""

NAMED = 3
"""Most images named in an error message."""


class Interval(NamedTuple):
    """A confidence interval at ``CONFIDENCE``."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, eq=False)
class Sampled:
    """An AP, a mean of APs or a difference of two APs, on all images and on every resample of them.

    Attributes:
        ids: the images' names.
        seed: seed of the resamples; the same seed, number of images and number of resamples draw the same images.
        value: easy, medium, hard and mean on all images; None where a list holds no face.
        draws: the same names → (R,) float64, the value on each resample; NaN where it holds no face of the list.
    """

    ids: tuple[str, ...]
    seed: int
    value: dict[str, float | None]
    draws: dict[str, Array]

    def interval(self, level: str) -> Interval | None:
        """Return the percentile interval over images; None where the list holds no face."""
        drawn = self.draws[level][np.isfinite(self.draws[level])]
        if self.value[level] is None or not len(drawn):
            return None
        low, high = np.percentile(drawn, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
        return Interval(float(low), float(high))


def multiplicities(images: int, resamples: int, seed: int) -> Array:
    """Return how often each resample draws each image: (resamples, images) float64; each row adds up to ``images``."""
    drawn = np.random.default_rng(seed).integers(images, size=(resamples, images))
    places = drawn + images * np.arange(resamples)[:, None]
    return np.bincount(places.ravel(), minlength=resamples * images).reshape(resamples, images).astype(np.float64)


def resample(
    detections: Sequence[NDArray[Any]], truth: GroundTruth, resamples: int = RESAMPLES, seed: int = 0
) -> Sampled:
    """Return the AP of ``detections`` on all images and on each resample of them.

    Args:
        detections: for each image (k, 5 or more), x1, y1, x2, y2, score, in any order.
        truth: the same images, in the same order.
        resamples: number of resamples.
        seed: seed of the draws.

    Raises:
        DataError: a wrong number of images, a wrong shape, or a value that is not finite; names the image.
    """
    return resample_matches(match(detections, truth), truth.listed, resamples, seed)


def resample_matches(matches: Matches, listed: Listed, resamples: int = RESAMPLES, seed: int = 0) -> Sampled:
    """Return what ``resample`` does, of detections that are matched already to the faces ``listed``."""
    images = len(listed.ids)
    weights = np.concatenate((np.ones((1, images)), multiplicities(images, resamples, seed)))
    draws = {}
    for name in LISTS:
        keep = listed.keep[name]
        faces = np.bincount(np.repeat(np.arange(images), listed.counts)[keep], minlength=images)
        draws[name] = _average_precisions(*_tables(matches, keep, images), faces, weights)
    draws["mean"] = np.mean([draws[name] for name in LISTS], axis=0)
    value = {name: float(drawn[0]) if math.isfinite(drawn[0]) else None for name, drawn in draws.items()}
    return Sampled(tuple(listed.ids), seed, value, {name: drawn[1:] for name, drawn in draws.items()})


def _tables(matches: Matches, keep: Mask, images: int) -> tuple[Array, Array]:
    """Return, per image and threshold, how many detections first count there: all and correct, (images, THRESHOLDS)."""
    on_face = matches.face >= 0
    listed = np.zeros_like(on_face)
    listed[on_face] = keep[matches.face[on_face]]

    def table(chosen: Mask) -> Array:
        places = matches.image[chosen] * THRESHOLDS + matches.level[chosen]
        return np.bincount(places, minlength=images * THRESHOLDS).reshape(images, THRESHOLDS).astype(np.float64)

    return table(listed | ~on_face), table(listed & matches.first)


def _average_precisions(proposed: Array, right: Array, faces: NDArray[np.int64], weights: Array) -> Array:
    """Return the AP (R,) of each row of ``weights``; NaN where it holds no face. Sums of whole numbers are exact."""
    found = []
    for start in range(0, len(weights), AT_ONCE):
        block = weights[start : start + AT_ONCE]
        gained = block @ right
        passed = (block @ proposed).cumsum(axis=1)
        precision = np.divide(gained.cumsum(axis=1), passed, out=np.ones_like(passed), where=passed > 0)
        envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        total = block @ faces.astype(np.float64)
        area = (gained * envelope).sum(axis=1)
        found.append(np.divide(area, total, out=np.full_like(total, np.nan), where=total > 0))
    return np.concatenate(found)


def average(members: Sequence[Sampled]) -> Sampled:
    """Return the mean over networks on the same resamples, as over trainings with several seeds.

    Its interval covers other images for these trainings; ``spread`` of their values measures the seed variance.

    Raises:
        InputError: the networks are on different images or resamples; names the images.
    """
    return combine(members, [1 / len(members)] * len(members))


def difference(one: Sampled, other: Sampled) -> Sampled:
    """Return ``one - other`` on the same resamples.

    Raises:
        InputError: the networks are on different images or resamples; names the images.
    """
    return combine((one, other), (1.0, -1.0))


def combine(members: Sequence[Sampled], factors: Sequence[float]) -> Sampled:
    """Return the sum of the networks' APs times ``factors``, on the same resamples.

    Raises:
        InputError: the networks are on different images or resamples; names the images.
    """
    for other in members[1:]:
        _check(members[0], other)
    value: dict[str, float | None] = {}
    for level in LEVELS:
        values = [v for member in members if (v := member.value[level]) is not None]
        whole = len(values) == len(members)
        value[level] = sum(f * v for f, v in zip(factors, values, strict=True)) if whole else None
    draws = {
        level: np.sum([f * member.draws[level] for f, member in zip(factors, members, strict=True)], axis=0)
        for level in LEVELS
    }
    return Sampled(members[0].ids, members[0].seed, value, draws)


def _check(one: Sampled, other: Sampled) -> None:
    if one.ids != other.ids:
        sides = [("first", set(one.ids) - set(other.ids)), ("second", set(other.ids) - set(one.ids))]
        said = [f"{len(only):,} only in the {side} ({_first(only)})" for side, only in sides if only]
        apart = " and ".join(said) or "the same images in another order"
        raise InputError(f"networks on different images cannot be compared: {apart}")
    rows = [(len(sampled.draws["mean"]), sampled.seed) for sampled in (one, other)]
    if rows[0] != rows[1]:
        raise InputError(
            f"different resamples cannot be paired: {rows[0][0]:,} of seed {rows[0][1]} and {rows[1][0]:,} of seed "
            f"{rows[1][1]}; use the same number and seed"
        )


def _first(names: set[str]) -> str:
    return ", ".join(sorted(names)[:NAMED]) + (", …" if len(names) > NAMED else "")


def spread(values: Sequence[float]) -> float | None:
    """Return the sample standard deviation (n - 1); None below two values."""
    return stdev(values) if len(values) > 1 else None


def seed_interval(one: Mapping[int, float], other: Mapping[int, float]) -> Interval | None:
    """Return the interval over seeds of mean(one) - mean(other), from Student's t; None below two seeds each.

    If both sides have the same seeds, the differences per seed are averaged, with n - 1 degrees of freedom. Otherwise
    the sides are two samples of unequal variance (Welch, Biometrika 34, 1947).

    Args:
        one, other: seed → AP.
    """
    if min(len(one), len(other)) < 2:
        return None
    if set(one) == set(other):
        return mean_interval([one[seed] - other[seed] for seed in one])
    parts = [(variance(side.values()) / len(side), len(side) - 1) for side in (one, other)]
    error = sum(part for part, _ in parts)
    freedom = error**2 / sum(part**2 / n for part, n in parts) if error else 1.0
    return _t_interval(mean(one.values()) - mean(other.values()), error, freedom)


def mean_interval(values: Sequence[float]) -> Interval | None:
    """Return the interval of the mean of independent values, from Student's t; None below two values."""
    if len(values) < 2:
        return None
    return _t_interval(mean(values), variance(values) / len(values), len(values) - 1)


def _t_interval(middle: float, squared_error: float, freedom: float) -> Interval:
    from scipy.special import stdtrit

    reach = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * math.sqrt(squared_error)
    return Interval(middle - reach, middle + reach)
