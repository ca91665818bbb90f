"""What early stopping saves and loses in replayed searches, and the aim that is judged on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

import numpy as np

from harness.core.replay import WASTED, Replay, Simulation, Step
from harness.evaluation.fronts import Mask, Points, hypervolume, losses
from harness.evaluation.objectives import scaled
from harness.evaluation.stats import Interval, mean_interval

AIM = 0.4
"""The aim: at least this share of the epochs is saved, and the largest loss of AP at the front is within seed noise."""

HOLDS, FAILS, OPEN = "holds", "fails", "open"


@dataclass(frozen=True, eq=False)
class Stopped:
    """One search with and without stopping. APs are those that the search was told.

    Attributes:
        steps: its trained trials.
        points: (n, objectives) of these after all epochs, as ``evaluation.objectives.scaled`` gives them.
        kept: (n,) bool: the trials that are not stopped.
        losses: AP lost at each point of the front without stopping, as ``evaluation.fronts.losses`` defines it; a point
            with a loss was stopped wrongly.
    """

    steps: Sequence[Step]
    points: Points
    kept: Mask
    losses: Points

    @property
    def epochs(self) -> int:
        """Epochs without stopping."""
        return sum(step.epochs for step in self.steps)

    @property
    def saved(self) -> int:
        """Epochs that stopping saves."""
        return sum(step.epochs - step.stops for step in self.steps if step.stops is not None)

    @property
    def saved_share(self) -> float:
        """``saved`` as a share of ``epochs``; 0 where nothing was trained."""
        return self.saved / self.epochs if self.epochs else 0.0

    @property
    def front(self) -> int:
        """Number of the front's points without stopping."""
        return len(self.losses)

    @property
    def mean_loss(self) -> float:
        """The mean of ``losses``; 0 where nothing was trained."""
        return fmean(self.losses) if self.front else 0.0

    @property
    def largest_loss(self) -> float:
        """The largest of ``losses``, which is the largest one at any bounds on the other objectives."""
        return float(self.losses.max(initial=0.0))

    @property
    def wrong(self) -> int:
        """Number of the front's points that are lost."""
        return int((self.losses > 0).sum())

    @cached_property
    def volumes(self) -> tuple[float, float]:
        """The hypervolume without stopping and with it, as shares of the box between reference point and ideal."""
        reference = np.ones(self.points.shape[1])
        return hypervolume(self.points, reference), hypervolume(self.points[self.kept], reference)

    @property
    def volume_share(self) -> float:
        """The hypervolume with stopping as a share of that without; 1 where there is none."""
        without, with_ = self.volumes
        return min(with_ / without, 1.0) if without else 1.0  # Sums of equal boxes may differ in the last digit.


def stopped(search: Replay, limits: tuple[float, ...]) -> Stopped:
    """Return a search with and without stopping; ``limits`` are the costs at the reference point."""
    steps = [step for step in search.steps if step.outcome != WASTED]
    points = scaled([step.aps[-1] for step in steps], [step.costs for step in steps], limits)
    kept = np.array([step.stops is None for step in steps], dtype=np.bool_)
    return Stopped(steps, points, kept, losses(points, kept))


@dataclass(frozen=True)
class Mean:
    """A mean over searches, and its interval; without one below two searches."""

    value: float
    interval: Interval | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Mean":
        """Return the mean of values, one per search."""
        return cls(fmean(values), mean_interval(values))


@dataclass(frozen=True)
class Measured:
    """All searches of one sampler: their numbers, as ``Stopped`` defines them, on average.

    Attributes:
        sampler: its name.
        searches: by seed.
        noise: standard deviation of a training's AP between seeds.
    """

    sampler: str
    searches: Sequence[Stopped]
    noise: float
    saved: Mean
    volume: Mean
    mean_loss: Mean
    largest_loss: Mean
    wrong: Mean
    front: Mean

    @property
    def enough(self) -> str:
        """Whether enough epochs are saved: ``holds``, ``fails``, or ``open`` because the interval covers both."""
        interval = self.saved.interval
        if interval is None:
            return OPEN
        return HOLDS if interval.low >= AIM else FAILS if interval.high < AIM else OPEN

    @property
    def within(self) -> str:
        """Whether the largest loss is within seed noise: ``holds``, ``fails``, or ``open``."""
        interval = self.largest_loss.interval
        if interval is None:
            return OPEN
        return HOLDS if interval.high <= self.noise else FAILS if interval.low > self.noise else OPEN

    @property
    def verdict(self) -> str:
        """Whether the aim, which is both, ``holds``, ``fails``, or is ``open``."""
        both = (self.enough, self.within)
        return FAILS if FAILS in both else OPEN if OPEN in both else HOLDS


def measured(found: Simulation) -> dict[str, Measured]:
    """Return sampler → what stopping saves and loses in its searches."""
    return {
        name: _measured(name, [stopped(one, found.limits) for one in replays], found.noise["seeds"])
        for name, replays in found.replays.items()
    }


def _measured(name: str, searches: Sequence[Stopped], noise: float) -> Measured:
    return Measured(
        sampler=name,
        searches=searches,
        noise=noise,
        saved=Mean.of([one.saved_share for one in searches]),
        volume=Mean.of([one.volume_share for one in searches]),
        mean_loss=Mean.of([one.mean_loss for one in searches]),
        largest_loss=Mean.of([one.largest_loss for one in searches]),
        wrong=Mean.of([one.wrong for one in searches]),
        front=Mean.of([one.front for one in searches]),
    )
