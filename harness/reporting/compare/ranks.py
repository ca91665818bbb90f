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

from harness.core.digest import digest
from harness.core.record import TrialRecord
from harness.evaluation.stats import CONFIDENCE, Interval
from harness.reporting.compare.data import Comparison
from harness.reporting.format import bounds, minus, percent
from harness.reporting.study.data import StudyData

FEWEST = 5
"""Least number of common candidates for a rank correlation."""

RESAMPLES = 2_000
"""Resamples of the candidates behind an interval."""

Floats = NDArray[np.float64]


class Rank(NamedTuple):
    """The agreement of two studies on the order of their common candidates by mean search AP.

    Attributes:
        one, other: the studies, the one with the shorter trainings first.
        candidates: number of candidates that both trained to the end.
        tau: Kendall's τ, with the percentile interval over resampled candidates.
        cost: median training time in ``one``, as a share of that in ``other``.
        behind: AP that choosing by ``one`` loses: in ``other``, its best candidate less that of ``one``.
    """

    one: str
    other: str
    candidates: int
    tau: float
    interval: Interval
    cost: float
    behind: float


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
        aps = np.array([[of[key].search_ap["mean"] for key in common] for of in trained], dtype=np.float64)
        one, other = aps[short], aps[long]
        tau = kendall(one, other)
        if np.isfinite(tau):
            names, cost = (pair[short].study.name, pair[long].study.name), costs[short] / costs[long]
            behind = float(other.max() - other[one.argmax()])
            drawn = resampled(len(common))
            interval = percentiles(kendall(one[drawn], other[drawn]))
            stable.append(Rank(*names, len(common), float(tau), interval, cost, behind))
    return stable


def shared(found: Comparison) -> pd.DataFrame:
    """Return the candidates that all studies of ``ranks`` trained, the best one of the longest study first.

    Columns candidate (its label in the longest study), params, study, minutes (median over these candidates), ap (mean
    search AP), rank (from 1); studies by rising training time. Empty if there are fewer than ``FEWEST``, or several
    protocols.
    """
    named = {name for rank in ranks(found) for name in (rank.one, rank.other)}
    studies = [data for data in found.studies if data.study.name in named]
    trained = [_candidates(data) for data in studies]
    common = sorted(set.intersection(*map(set, trained))) if trained else []
    if len(common) < FEWEST or len({data.study.search_protocol.get("digest") for data in studies}) > 1:
        return pd.DataFrame()
    minutes = [float(np.median([of[key].seconds["train"] for key in common])) / 60 for of in trained]
    order = np.argsort(minutes, kind="stable")
    longest = trained[order[-1]]
    common.sort(key=lambda key: -(longest[key].search_ap["mean"] or 0.0))
    rows = []
    for at in order:
        aps = [trained[at][key].search_ap["mean"] or 0.0 for key in common]
        for key, ap in zip(common, aps, strict=True):
            row = {"candidate": longest[key].label, "params": longest[key].params, "study": studies[at].study.name}
            rows.append(row | {"minutes": minutes[at], "ap": ap, "rank": 1 + sum(other > ap for other in aps)})
    return pd.DataFrame(rows)


def candidates(found: Comparison) -> pd.DataFrame:
    """Return ``shared`` as text, one row per candidate, with its AP and rank in every study."""
    frame = shared(found)
    if frame.empty:
        return frame
    rows = []
    for candidate, each in frame.groupby("candidate", sort=False):
        aps = {
            f"{row['study']}: search AP mean, %": f"{percent(row['ap'])} ({row['rank']})"
            for row in each.to_dict("records")
        }
        rows.append({"candidate": candidate, "parameters": f"{each['params'].iloc[0]:,}", **aps})
    return pd.DataFrame(rows)


def _candidates(data: StudyData) -> dict[str, TrialRecord]:
    """Return the candidates trained to the end by what they are: configuration, architecture and distillation."""
    return {
        digest({"arch": r.arch, "distill": r.distill, "configuration": r.configuration}): r
        for r in data.ranked
        if r.seconds.get("train") is not None
    }


def kendall(one: Floats, other: Floats) -> Floats:
    """Return Kendall's τ-b of two rankings (…, n), one number per row; NaN if all values of one ranking are equal."""
    first, second = (np.sign(values[..., :, None] - values[..., None, :]) for values in (one, other))
    pairs = (-2, -1)
    with np.errstate(invalid="ignore"):
        agreed = (first * second).sum(axis=pairs) / np.sqrt((first**2).sum(axis=pairs) * (second**2).sum(axis=pairs))
    return np.asarray(agreed)


def resampled(candidates: int) -> NDArray[np.int64]:
    """Return resamples (R, ``candidates``) of the candidates, by index."""
    return np.random.default_rng(0).integers(candidates, size=(RESAMPLES, candidates))


def percentiles(taus: Floats) -> Interval:
    """Return the percentile interval of the τ (R,) of resamples. A resample of candidates with equal APs has none."""
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.nanpercentile(taus, [tail, 100 - tail])
    return Interval(float(low), float(high))


def table(found: Comparison) -> pd.DataFrame:
    """Return the rank stability as text, one row per pair of studies."""
    return pd.DataFrame(
        [
            {
                "study": rank.one,
                "against": rank.other,
                "common candidates": str(rank.candidates),
                "Kendall τ": minus(f"{rank.tau:.2f}"),
                "interval": minus(bounds(rank.interval, "{:.2f}".format)),
                "share of the training time": f"{100 * rank.cost:.0f} %",
                "points lost by its choice": f"{100 * rank.behind:.1f}",
            }
            for rank in ranks(found)
        ]
    )
