"""How far scores and full trainings agree on the order of the candidates: Kendall's τ-b with bootstrap intervals."""

import itertools
from dataclasses import dataclass
from typing import Any, NamedTuple

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


@dataclass(frozen=True)
class Judged:
    """Scores with what follows from them.

    Attributes:
        measured: what was measured.
        rows: every score's agreement, the cheapest per candidate first.
        ceiling: τ between full trainings with two seeds, mean over the pairs of seeds; None with one seed.
    """

    measured: Scores
    rows: tuple[Agreement, ...]
    ceiling: Tau | None


def judge(measured: Scores) -> Judged:
    """Return how far every score agrees with the full schedule, and full trainings with each other."""
    rows = [_agreement(name, score, measured) for name, score in measured.scores.items()]
    rows.sort(key=lambda row: np.inf if row.share is None else row.share)
    marked, best = [], 0.0
    for row in rows:
        tau = None if row.share is None or row.tau is None else row.tau.value
        marked.append(row._replace(front=tau is not None and tau > best))
        best = max(best, tau or 0.0)
    return Judged(measured, tuple(marked), _ceiling(measured))


def _ceiling(measured: Scores) -> Tau | None:
    aps = np.array([one.aps for one in measured.candidates.values()]).T
    pairs = list(itertools.combinations(aps, 2))
    drawn = resampled(aps.shape[1])
    taus = [kendall(one, other) for one, other in pairs]
    draws = [kendall(one[drawn], other[drawn]) for one, other in pairs]
    return _interval(np.mean(taus), np.mean(draws, axis=0)) if pairs else None


def _agreement(name: str, score: Score, measured: Scores) -> Agreement:
    labels = [label for label in measured.candidates if score.values.get(label) is not None]
    chosen = [measured.candidates[label] for label in labels]
    values = np.array([score.values[label] for label in labels], dtype=np.float64)
    aps = np.array([one.aps for one in chosen], dtype=np.float64).reshape(len(chosen), len(measured.seeds)).T
    truth, params = aps.mean(axis=0), np.array([one.params for one in chosen], dtype=np.float64)
    value, base = kendall(values, truth), kendall(params, truth)
    tau = gain = None
    if np.isfinite(value):
        drawn = resampled(len(chosen))
        draws, bases = (kendall(of[drawn], truth[drawn]) for of in (values, params))
        tau, gain = _interval(value, draws), _interval(value - base, draws - bases)
    return Agreement(
        name=name,
        entry=CATALOGUE[name],
        detail=score.detail,
        candidates=len(chosen),
        tau=tau,
        one=None if tau is None else float(kendall(np.broadcast_to(values, aps.shape), aps).mean()),
        gain=None if name == "params" else gain,
        lost=None if tau is None else max(c.ap for c in measured.candidates.values()) - float(truth[values.argmax()]),
        share=float(np.mean(list(score.shares.values()))) if score.shares else None,
        once=float(np.mean(list(score.once.values()))) if score.once else 0.0,
    )


def _interval(value: Floats | np.floating[Any], draws: Floats) -> Tau | None:
    """Return a τ, or a difference of two, with its interval from those of the resamples (R,); None if it is NaN."""
    return Tau(float(value), percentiles(draws)) if np.isfinite(value) else None
