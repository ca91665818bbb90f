"""How far scores and full trainings agree on the order of the candidates: Kendall's τ-b with bootstrap intervals."""

import itertools
from typing import NamedTuple

import numpy as np

from benchmarks.scores.catalogue import CATALOGUE, Entry
from benchmarks.scores.data import Score, Scores
from harness.evaluation.stats import Interval
from harness.reporting.compare.ranks import Floats, kendall, percentiles, resampled


class Tau(NamedTuple):
    """Kendall's τ, or a mean or difference of several, with the percentile interval over resampled candidates."""

    value: float
    interval: Interval


class Agreement(NamedTuple):
    """One score against the full schedule.

    Attributes:
        name: of the score; ``entry`` is its line in the catalogue, ``detail`` its settings.
        candidates: number of candidates that have the score.
        tau: with the mean AP over seeds; None if all scores or all APs are equal.
        one: with the AP of one training, mean over the seeds.
        gain: ``tau`` less that of the number of parameters, on the same resamples.
        lost: AP that choosing by the score loses: that of the best candidate less that of the one with the highest
            score; None without a τ.
        share: cost per candidate, as a share of a full training; None if it was not measured.
        once: cost of what serves all candidates, as a multiple of a full training.
        front: whether its τ is positive and no cheaper score has one at least as high.
    """

    name: str
    entry: Entry
    detail: str
    candidates: int
    tau: Tau | None
    one: float | None
    gain: Tau | None
    lost: float | None
    share: float | None
    once: float
    front: bool = False


def agreements(found: Scores) -> list[Agreement]:
    """Return every score's agreement, the cheapest per candidate first."""
    rows = [_agreement(name, score, found) for name, score in found.scores.items()]
    rows.sort(key=lambda row: np.inf if row.share is None else row.share)
    front, best = [], 0.0
    for row in rows:
        ahead = row.share is not None and row.tau is not None and row.tau.value > best
        if ahead and row.tau is not None:
            best = row.tau.value
        front.append(row._replace(front=ahead))
    return front


def ceiling(found: Scores) -> Tau | None:
    """Return the τ between full trainings with two seeds, mean over the pairs of seeds; None with one seed.

    Not even a full training orders the candidates more like another one.
    """
    aps = np.array([one.aps for one in found.candidates.values()]).T
    pairs = list(itertools.combinations(range(len(aps)), 2))
    if not pairs:
        return None
    first, second = (aps[[pair[at] for pair in pairs]] for at in (0, 1))
    return _tau(first, second)


def _agreement(name: str, score: Score, found: Scores) -> Agreement:
    labels = [label for label in found.candidates if score.values.get(label) is not None]
    chosen = [found.candidates[label] for label in labels]
    values = np.array([score.values[label] for label in labels], dtype=np.float64)
    aps = np.array([one.aps for one in chosen], dtype=np.float64).reshape(len(chosen), len(found.seeds)).T
    truth, params = aps.mean(axis=0), np.array([one.params for one in chosen], dtype=np.float64)
    single = kendall(np.broadcast_to(values, aps.shape), aps).mean()
    tau = _tau(values[None], truth[None])
    best = max(one.ap for one in found.candidates.values())
    return Agreement(
        name=name,
        entry=CATALOGUE[name],
        detail=score.detail,
        candidates=len(chosen),
        tau=tau,
        one=float(single) if np.isfinite(single) else None,
        gain=None if name == "params" else _gain(values, params, truth),
        lost=None if tau is None else best - float(truth[values.argmax()]),
        share=float(np.mean(list(score.shares.values()))) if score.shares else None,
        once=float(np.mean(list(score.once.values()))) if score.once else 0.0,
    )


def _tau(one: Floats, other: Floats) -> Tau | None:
    """Return the mean τ of pairs of rankings (P, n) and (P, n)."""
    value = kendall(one, other).mean()
    if not np.isfinite(value):
        return None
    drawn = resampled(one.shape[1])
    taus = np.mean([kendall(a[drawn], b[drawn]) for a, b in zip(one, other, strict=True)], axis=0)
    return Tau(float(value), percentiles(taus))


def _gain(values: Floats, params: Floats, truth: Floats) -> Tau | None:
    """Return the τ of a score less that of the parameters, which are resampled together."""
    value = float(kendall(values, truth) - kendall(params, truth))
    if not np.isfinite(value):
        return None
    drawn = resampled(len(truth))
    taus = kendall(values[drawn], truth[drawn]) - kendall(params[drawn], truth[drawn])
    return Tau(value, percentiles(taus))
