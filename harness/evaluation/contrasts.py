"""Tests of differences between networks that were trained alike with the same seeds.

**Seeds.** All networks see the same seeds, which are the blocks of a randomised block design (Fisher, The Design of
Experiments, 1935): AP = network + seed + rest. The variance of the rest is pooled over all networks, from the seeds
that all of them have; a single pair with three seeds would give two degrees of freedom only. A difference of two means
over n seeds then has the standard error √(2/n) · sd, and Student's t applies. It is assumed that the rest varies
equally in all networks.

**Images.** The standard error of a difference over images is the standard deviation of its paired bootstrap
(``evaluation.stats``), and the normal distribution applies.

**Both.** A difference counts as shown only if neither seeds nor images explain it: its p-value is the larger of the two
(intersection-union test; Berger, Technometrics 24, 1982).

**Many differences.** p-values are corrected by Holm's method (Scandinavian Journal of Statistics 6, 1979), so that the
probability of any wrong verdict is at most ``ALPHA``.

**Seeds that are added.** Where an undecided difference gets more seeds, its test is repeated. A p-value is multiplied
by the number of planned looks (Bonferroni), which is valid for any rule of stopping, whatever data it reads. Group
sequential boundaries (Jennison and Turnbull, Group Sequential Methods, 1999) need fewer seeds, but fix the rule.
Intervals over seeds are widened to the same level. The pooled variance comes from the first look, so that it does not
depend on who gets more seeds (Stein, Annals of Mathematical Statistics 16, 1945).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.core.ablation import MARGIN
from harness.evaluation.stats import CONFIDENCE, Interval

ALPHA = round(1 - CONFIDENCE, 12)
"""Probability of any wrong verdict among all that are corrected together."""

BETTER, WORSE, TIE = "better", "worse", "tie"


@dataclass(frozen=True)
class Blocks:
    """What varies between seeds beside the networks' means: standard deviation ``sd`` and its degrees of freedom."""

    sd: float
    freedom: int


def blocks(aps: Sequence[Sequence[float]]) -> Blocks | None:
    """Return the pooled deviation of networks' APs after the networks' and the seeds' means are removed.

    Args:
        aps: one row per network, one column per seed, none missing.

    Returns:
        None with fewer than two networks or seeds.
    """
    table = np.array(aps, dtype=np.float64)
    if table.ndim != 2 or min(table.shape) < 2:
        return None
    rest = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0, keepdims=True) + table.mean()
    freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
    return Blocks(math.sqrt(float((rest**2).sum()) / freedom), freedom)


@dataclass(frozen=True)
class Estimate:
    """A difference, or another combination of networks' APs whose factors add up to 0.

    Attributes:
        value: the estimate, from means over seeds.
        seeds: number of seeds.
        error: its standard error over seeds, with ``freedom`` degrees of freedom.
        image_error: its standard error over images; 0 leaves the images out.
        looks: number of times that it may be tested.
    """

    value: float
    seeds: int
    error: float
    freedom: int
    image_error: float = 0.0
    looks: int = 1

    def p(self, null: float = 0.0) -> float:
        """Return the two-sided p-value of the hypothesis that the difference is ``null``, corrected for the looks."""
        from scipy.special import ndtr, stdtr

        distance = abs(self.value - null)
        if distance == 0:
            return 1.0
        by_seeds = 2 * float(stdtr(self.freedom, -distance / self.error)) if self.error else 0.0
        by_images = 2 * float(ndtr(-distance / self.image_error)) if self.image_error else 0.0
        return min(1.0, self.looks * max(by_seeds, by_images))

    def over_seeds(self) -> Interval:
        """Return the interval over seeds, for this difference alone, corrected for the looks as ``p`` is."""
        from scipy.special import stdtrit

        reach = float(stdtrit(self.freedom, 1 - (1 - CONFIDENCE) / 2 / self.looks)) * self.error
        return Interval(self.value - reach, self.value + reach)

    def least(self, tests: int) -> float:
        """Return the lower bound of the difference over seeds and images, with a probability of error of ``ALPHA``.

        Args:
            tests: number of bounds that are to hold together (Bonferroni).
        """
        from scipy.special import ndtri, stdtrit

        level = 1 - ALPHA / tests / self.looks
        return self.value - float(max(stdtrit(self.freedom, level) * self.error, ndtri(level) * self.image_error))


def estimate(
    factors: Mapping[str, float],
    aps: Mapping[str, Sequence[float]],
    seeds: int,
    noise: Blocks,
    *,
    image_error: float = 0.0,
    looks: int = 1,
) -> Estimate:
    """Return a combination of networks' mean APs.

    Args:
        factors: network → factor; they add up to 0.
        aps: network → its APs, one per seed in the order of the seeds.
        seeds: number of seeds, the first ones, that are used.
        noise: the deviation between seeds.
        image_error, looks: as in ``Estimate``.
    """
    value = sum(factor * sum(aps[name][:seeds]) / seeds for name, factor in factors.items())
    error = noise.sd * math.sqrt(sum(factor**2 for factor in factors.values()) / seeds)
    return Estimate(value, seeds, error, noise.freedom, image_error, looks)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values that are corrected for their number, in the same order."""
    if not p_values:
        return []
    from statsmodels.stats.multitest import multipletests  # Takes seconds to load.

    return [float(p) for p in multipletests(p_values, alpha=ALPHA, method="holm")[1]]


def verdicts(found: Sequence[Estimate]) -> list[str]:
    """Return for each difference ``better``, ``worse`` or ``tie``, corrected for their number."""
    corrected = holm([one.p() for one in found])
    return [TIE if p > ALPHA else BETTER if one.value > 0 else WORSE for one, p in zip(found, corrected, strict=True)]


def undecided(found: Sequence[Estimate]) -> list[bool]:
    """Return for each difference whether more seeds may change its verdict.

    They may not where it is better or worse already, or where the interval over seeds lies within ``MARGIN`` of 0.
    """
    return [
        verdict == TIE and max(map(abs, one.over_seeds())) > MARGIN
        for one, verdict in zip(found, verdicts(found), strict=True)
    ]
