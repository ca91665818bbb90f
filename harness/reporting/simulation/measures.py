"""What replayed searches reached, as arrays over searches and trials, and the claim that is tested on them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.replay import FEASIBLE, NEW, REPEATED, WASTED, Replay, Simulation
from harness.evaluation.stats import CONFIDENCE, Interval

Floats = NDArray[np.float64]

PLAIN = "tpe"
"""The search that all others are compared with."""

CLAIM = 0.5
"""The claim: a search needs at most this share of the trials in which ``PLAIN`` reaches its best AP."""

RESAMPLES = 1_000
QUARTILES = (0.25, 0.75)


@dataclass(frozen=True, eq=False)
class Measured:
    """All searches of one sampler: R searches of T trials. A search that ended early keeps its last values.

    Attributes:
        sampler: its name.
        best: (R, T), expected AP of the chosen configuration after each trial; -inf before the first.
        spent: (R, T), epochs trained so far.
        wasted, repeated: shares of all trials.
        trained: mean number of trials of a search that were trained.
        from_table: share of these whose AP is in the table.
    """

    sampler: str
    best: Floats
    spent: Floats
    wasted: float
    repeated: float
    trained: float
    from_table: float

    @property
    def runs(self) -> int:
        """Number of searches."""
        return len(self.best)

    @property
    def median(self) -> Floats:
        """The median (T,) of ``best``."""
        return np.asarray(np.median(self.best, axis=0))

    def quartiles(self) -> tuple[Floats, Floats]:
        """Return the first and the third quartile (T,) of ``best``."""
        return quartiles(self.best)

    def by_epochs(self, length: int) -> tuple[Floats, Floats]:
        """Return numbers of epochs (N,), multiples of ``length``, and the best APs (R, N) when so many are spent.

        They end where half of the searches have ended; one that ended before keeps its last value.
        """
        grid = np.arange(length, np.median(self.spent[:, -1]) + 1, length)
        reached = [np.searchsorted(row, grid, side="right") - 1 for row in self.spent]
        rows = [np.where(at < 0, -np.inf, row[at]) for at, row in zip(reached, self.best, strict=True)]
        return grid, np.array(rows).reshape(self.runs, len(grid))


def quartiles(values: Floats) -> tuple[Floats, Floats]:
    """Return the first and the third quartile (T,) of values (R, T); -inf where one lies beside a missing AP."""
    with np.errstate(invalid="ignore"):  # Between -inf and a number lies no number.
        low, high = np.nan_to_num(np.quantile(values, QUARTILES, axis=0), nan=-np.inf, neginf=-np.inf)
    return low, high


def measured(found: Simulation) -> dict[str, Measured]:
    """Return sampler → what its searches reached."""
    return {name: _measured(name, replays, found.trials) for name, replays in found.replays.items()}


def _measured(name: str, replays: list[Replay], trials: int) -> Measured:
    steps = [step for one in replays for step in one.steps]
    trained = [step for step in steps if step.outcome != WASTED]
    count = {outcome: sum(step.outcome == outcome for step in steps) for outcome in (NEW, REPEATED, WASTED)}
    return Measured(
        sampler=name,
        best=np.array([_padded([_number(step.best) for step in one.steps], trials) for one in replays]),
        spent=np.array([_padded(np.cumsum([step.epochs for step in one.steps]), trials) for one in replays]),
        wasted=count[WASTED] / len(steps),
        repeated=count[REPEATED] / len(steps),
        trained=len(trained) / len(replays),
        from_table=sum(step.source == "table" for step in trained) / len(trained) if trained else 0.0,
    )


def _number(value: float | None) -> float:
    return -np.inf if value is None else value


def _padded(values: Any, length: int) -> Floats:
    row = np.asarray(values, dtype=np.float64)
    return np.concatenate((row, np.full(length - len(row), row[-1])))


def reached(median: Floats, level: float) -> int | None:
    """Return the first trial, from 1, after which a median (T,) is at least ``level``; None if there is none."""
    at = np.flatnonzero(median >= level)
    return int(at[0]) + 1 if len(at) else None


@dataclass(frozen=True)
class Reach:
    """In how many trials a sampler reaches the level of ``PLAIN``, against that search itself.

    Attributes:
        trials, plain: trials of the sampler and of ``PLAIN``; None if the level is never reached.
        share: the first as a share of the second; None where a number is missing.
        interval: its interval over resampled searches; an end is infinite where the level is never reached.
    """

    trials: int | None
    plain: int | None
    share: float | None
    interval: Interval

    @property
    def verdict(self) -> str:
        """Whether the claim ``holds``, ``fails``, or is ``open`` because the interval covers both."""
        return "holds" if self.interval.high <= CLAIM else "fails" if self.interval.low > CLAIM else "open"


def level(found: dict[str, Measured]) -> float | None:
    """Return the median AP that ``PLAIN`` reaches in all its trials; None if it was not replayed or trained nothing."""
    value = float(found[PLAIN].median[-1]) if PLAIN in found else -np.inf
    return value if np.isfinite(value) else None


def reaches(found: dict[str, Measured]) -> dict[str, Reach]:
    """Return each sampler of this harness → its trials to the level of ``PLAIN``; empty if there is no level."""
    target = level(found)
    if target is None:
        return {}
    plain = found[PLAIN]
    names = [name for name in found if name.startswith(FEASIBLE)]
    return {name: _reach(found[name], plain, target) for name in names}


def _reach(one: Measured, plain: Measured, target: float) -> Reach:
    trials, against = reached(one.median, target), reached(plain.median, target)
    share = None if trials is None or against is None else trials / against
    shares = []
    # Searches of equal seeds are drawn together: they meet the same trainings.
    for mine, theirs in zip(_draws(one.runs), _draws(plain.runs), strict=True):
        rival = np.median(plain.best[theirs], axis=0)
        needed = reached(np.median(one.best[mine], axis=0), rival[-1])
        shares.append(np.inf if needed is None else needed / (reached(rival, rival[-1]) or 1))
    tail = (1 - CONFIDENCE) / 2
    low, high = (float(np.quantile(shares, at, method="inverted_cdf")) for at in (tail, 1 - tail))
    return Reach(trials, against, share, Interval(low, high))


def _draws(runs: int) -> NDArray[np.int64]:
    return np.random.default_rng(0).integers(runs, size=(RESAMPLES, runs))
