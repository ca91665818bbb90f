"""Seed variance of AP, and the least significant difference between two networks.

Seed variance is assumed to be the same for every network of a study: the variances of all networks that were trained
more than once are pooled, weighted by their degrees of freedom. The difference of two single trainings then has the
standard deviation √2 · sd, and t · √2 · sd is Fisher's least significant difference (The Design of Experiments, 1935).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from scipy.special import stdtrit

from harness.core.record import TrialRecord
from harness.evaluation.stats import CONFIDENCE, Interval, seed_interval, spread
from harness.reporting.format import counted
from harness.reporting.study.data import StudyData


@dataclass(frozen=True)
class Noise:
    """Seed variance of an AP in [0, 1]: the pooled standard deviation ``sd`` and its degrees of freedom."""

    sd: float
    degrees_of_freedom: int

    @property
    def least_difference(self) -> float:
        """Return the difference that two single trainings of one network exceed with probability 1 - ``CONFIDENCE``."""
        return float(stdtrit(self.degrees_of_freedom, (1 + CONFIDENCE) / 2)) * math.sqrt(2) * self.sd

    def to_dict(self) -> dict[str, float]:
        """Return plain data, APs in [0, 1]."""
        freedom = self.degrees_of_freedom
        return {"sd": self.sd, "degrees_of_freedom": freedom, "least_difference": self.least_difference}


def pooled(networks: Iterable[Sequence[float]]) -> Noise | None:
    """Return the seed variance of networks' APs, one sequence per network; None if none was trained more than once."""
    repeated = [values for values in networks if len(values) > 1]
    freedom = sum(len(values) - 1 for values in repeated)
    if not freedom:
        return None
    squares = sum((len(values) - 1) * variance(values) for values in repeated)
    return Noise(math.sqrt(squares / freedom), freedom)


def repeated(data: StudyData) -> dict[str, list[TrialRecord]]:
    """Return label → complete trainings of every network of a study that was trained more than once."""
    found = {record.label: data.trainings(record.label) for record in data.records if not record.repeat_of}
    return {label: trainings for label, trainings in found.items() if len(trainings) > 1}


def search_noise(data: StudyData) -> Noise | None:
    """Return the seed variance of the mean search AP; None if nothing was trained more than once."""
    return pooled(means(r.search_ap for r in trainings) for trainings in repeated(data).values())


def validation_noise(data: StudyData) -> Noise | None:
    """Return the seed variance of the mean validation AP; None if nothing was graded more than once."""
    return pooled(means(r.ap for r in trainings) for trainings in repeated(data).values())


def means(aps: Iterable[dict[str, float | None]]) -> list[float]:
    """Return the mean APs that are not None."""
    return [value for ap in aps if (value := ap.get("mean")) is not None]


def over_seeds(trainings: Sequence[TrialRecord], level: str) -> tuple[float, float | None] | None:
    """Return mean and standard deviation of a network's validation APs; None if no training was graded.

    The standard deviation is None with one training.
    """
    values = [value for record in trainings if (value := record.ap.get(level)) is not None]
    return (fmean(values), spread(values)) if values else None


def gap(one: Sequence[TrialRecord], other: Sequence[TrialRecord]) -> tuple[float, Interval | None] | None:
    """Return how far a network's mean validation AP is above another's, means over seeds, with its interval over seeds.

    None if one of the two was not graded; without an interval if one of the two was trained once.
    """
    sides = [{r.seed: mean for r in side if (mean := r.ap.get("mean")) is not None} for side in (one, other)]
    if not all(sides):
        return None
    return fmean(sides[0].values()) - fmean(sides[1].values()), seed_interval(*sides)


def ties(data: StudyData) -> list[TrialRecord] | None:
    """Return the candidates that differ from the best in search AP by less than the least difference, best first.

    None if seed variance was not measured, or if there is no best candidate.
    """
    noise = search_noise(data)
    if noise is None or not data.ranked:
        return None
    best, *others = zip(means(r.search_ap for r in data.ranked), data.ranked, strict=True)
    return [record for mean, record in others if best[0] - mean < noise.least_difference]


def noise_sentences(measured: Mapping[str, Noise | None]) -> list[str]:
    """Return the seed variance, and the differences that it explains; empty if none was measured.

    Args:
        measured: AP in words → its seed variance.
    """
    noises = {name: noise for name, noise in measured.items() if noise is not None}
    if not noises:
        return []
    deviations = " and ".join(
        f"{100 * noise.sd:.1f} points of {name} ({counted(noise.degrees_of_freedom, 'degree')} of freedom)"
        for name, noise in noises.items()
    )
    least = " and ".join(f"{100 * noise.least_difference:.1f} points of {name}" for name, noise in noises.items())
    return [
        f"Trainings of one network with different seeds have a standard deviation of {deviations}.",
        f"Between two networks trained once each, seed variance explains differences of up to {least} "
        f"({100 * CONFIDENCE:.0f} %).",
    ]
