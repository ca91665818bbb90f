"""Rank stability: whether two studies rank the candidates that both trained alike.

Studies of one space, sampler and seed propose the same candidates as long as no result decides, so that two schedules
are compared on the same networks. Kendall's τ (tau-b) is 1 where both rank all pairs alike, 0 where they are unrelated.
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
Indices = NDArray[np.int64]


class Rank(NamedTuple):
    """How alike two studies rank their common candidates by mean search AP.

    Attributes:
        one, other: the studies, the one with the shorter trainings first.
        candidates: how many both trained to the end.
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

    Studies whose search APs were measured by different protocols are not compared.
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
        aps = np.array([[of[key].search_ap["mean"] for key in common] for of in trained], dtype=np.float64)
        stable.append(
            Rank(
                pair[short].study.name,
                pair[long].study.name,
                len(common),
                float(kendall(aps, np.arange(len(common))[None])[0]),
                _interval(aps),
                costs[short] / costs[long] if costs[long] else float("nan"),
            )
        )
    return stable


def _candidates(data: StudyData) -> dict[str, TrialRecord]:
    """Return the candidates trained to the end by what they are: configuration, architecture and distillation."""
    return {
        digest({"arch": r.arch, "distill": r.distill, "configuration": r.configuration}): r
        for r in data.ranked
        if r.seconds.get("train") is not None
    }


def kendall(aps: Floats, drawn: Indices) -> Floats:
    """Return Kendall's τ-b (R,) of R draws of candidates; not a number where a draw has no two different APs.

    Args:
        aps: (2, n), the APs of n candidates in two studies.
        drawn: (R, m) positions of candidates.
    """
    order = np.sign(aps[:, :, None] - aps[:, None, :])
    one, other = order[:, drawn[:, :, None], drawn[:, None, :]]
    with np.errstate(invalid="ignore"):
        tau: Floats = (one * other).sum((1, 2)) / np.sqrt((one**2).sum((1, 2)) * (other**2).sum((1, 2)))
    return tau


def _interval(aps: Floats) -> Interval:
    count = aps.shape[1]
    draws = kendall(aps, np.random.default_rng(0).integers(count, size=(_RESAMPLES, count)))
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.nanpercentile(draws, [tail, 100 - tail])
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
