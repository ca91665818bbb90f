"""Rank stability: the agreement of two studies on the order of the candidates that both trained.

Studies with the same space, seed and uniform sampler train the same candidates, so that two schedules are compared on
the same networks. Kendall's τ-b is 1 if both studies order all pairs of candidates alike, and 0 if the two orders are
unrelated.
"""

import itertools
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.core.protocol import digest
from harness.core.record import TrialRecord
from harness.evaluation.stats import CONFIDENCE, Interval
from harness.reporting.compare.data import Comparison
from harness.reporting.format import bounds
from harness.reporting.study.data import StudyData

FEWEST = 5
"""Least number of common candidates for a rank correlation."""

_RESAMPLES = 2_000

Floats = NDArray[np.float64]


class Rank(NamedTuple):
    """The agreement of two studies on the order of their common candidates by mean search AP.

    Attributes:
        one, other: the studies, the one with the shorter trainings first.
        candidates: number of candidates that both trained to the end.
        tau: Kendall's τ, with the percentile interval over resampled candidates.
        cost: median training time in ``one``, as a share of that in ``other``.
    """

    one: str
    other: str
    candidates: int
    tau: float
    interval: Interval
    cost: float


def ranks(found: Comparison) -> list[Rank]:
    """Return the rank stability of every pair of studies with at least ``FEWEST`` common candidates.

    Studies whose search APs were measured by different protocols are not compared. A study whose candidates all have
    the same AP has no ranking.
    """
    stable = []
    for pair in itertools.combinations(found.studies, 2):
        protocols = {data.study.search_protocol.get("digest") for data in pair}
        trained = [_candidates(data) for data in pair]
        common = sorted(trained[0].keys() & trained[1].keys())
        if len(protocols) > 1 or len(common) < FEWEST:
            continue
        costs = [float(np.median([of[key].seconds["train"] for key in common])) for of in trained]
        short, long = (0, 1) if costs[0] <= costs[1] else (1, 0)
        one, other = np.array([[of[key].search_ap["mean"] for key in common] for of in trained], dtype=np.float64)
        tau = kendall(one, other)
        if np.isfinite(tau):
            names = pair[short].study.name, pair[long].study.name
            stable.append(Rank(*names, len(common), tau, _interval(one, other), costs[short] / costs[long]))
    return stable


def _candidates(data: StudyData) -> dict[str, TrialRecord]:
    """Return the candidates trained to the end by what they are: configuration, architecture and distillation."""
    return {
        digest({"arch": r.arch, "distill": r.distill, "configuration": r.configuration}): r
        for r in data.ranked
        if r.seconds.get("train") is not None
    }


def kendall(one: Floats, other: Floats) -> float:
    """Return Kendall's τ-b of two rankings (n,); not a number if all values of one are equal."""
    first, second = (np.sign(values[:, None] - values[None, :]) for values in (one, other))
    with np.errstate(invalid="ignore"):
        return float((first * second).sum() / np.sqrt((first**2).sum() * (second**2).sum()))


def _interval(one: Floats, other: Floats) -> Interval:
    rng = np.random.default_rng(0)
    draws = (rng.integers(len(one), size=len(one)) for _ in range(_RESAMPLES))
    tail = 50 * (1 - CONFIDENCE)
    # A draw of candidates with equal APs has no τ.
    low, high = np.nanpercentile([kendall(one[draw], other[draw]) for draw in draws], [tail, 100 - tail])
    return Interval(float(low), float(high))


def table(found: Comparison) -> pd.DataFrame:
    """Return the rank stability as text, one row per pair of studies."""
    return pd.DataFrame(
        [
            {
                "study": rank.one,
                "against": rank.other,
                "common candidates": str(rank.candidates),
                "Kendall τ": f"{rank.tau:.2f}",
                "interval": bounds(rank.interval, "{:.2f}".format),
                "share of the training time": f"{100 * rank.cost:.0f} %",
            }
            for rank in ranks(found)
        ]
    )
