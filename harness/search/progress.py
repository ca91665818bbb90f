"""Progress of a running study: a board with its current state, and the interface that displays it."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Protocol


@dataclass
class Running:
    """A running training: ``epoch`` of ``epochs`` are done; ``ap`` is its last mean AP, None before the first."""

    label: str
    params: int
    epochs: int
    epoch: int = 0
    ap: float | None = None


@dataclass(frozen=True)
class Ended:
    """A training that has ended: ``state`` and AP, mean on the search split and on the validation images if known."""

    label: str
    role: str
    state: str
    params: int
    search_ap: float | None
    ap: float | None


@dataclass
class Board:
    """Current state of a study.

    Attributes:
        name: name of the study.
        feasible, size: number of configurations of the space that fit the budget, and of all; 0 without a search.
        wanted: number of trials to run; ``states``: state → number of trials in it.
        running: label → running training; ``ended``: the others, best AP first.
        best: label, mean AP and parameters of the best candidate.
        seconds_left: estimated remaining time, None while unknown.
        unit: what is counted, ``trials`` or ``trainings``.
    """

    name: str
    feasible: int = 0
    size: int = 0
    wanted: int = 0
    states: dict[str, int] = field(default_factory=dict)
    running: dict[str, Running] = field(default_factory=dict)
    ended: list[Ended] = field(default_factory=list)
    best: tuple[str, float, int] | None = None
    seconds_left: float | None = None
    unit: str = "trials"

    @property
    def made(self) -> int:
        """Number of trials that have ended."""
        return sum(self.states.get(state, 0) for state in ("complete", "pruned", "failed"))

    def copy(self) -> "Board":
        """Return a copy that does not change when this board does."""
        running = {label: replace(one) for label, one in self.running.items()}
        return replace(self, states=dict(self.states), running=running, ended=list(self.ended))

    def under_way(self) -> str:
        """Return the running trainings and the time left in one line."""
        said = [
            f"{one.label}: epoch {one.epoch} of {one.epochs}" + ("" if one.ap is None else f", AP {100 * one.ap:.1f}")
            for one in self.running.values()
        ]
        return "; ".join(said) + self._left()

    def summary(self) -> str:
        """Return the state in one line."""
        said = [f"{self.made} of {self.wanted} {self.unit}"]
        said += [f"{self.states[state]} {state}" for state in ("pruned", "failed") if self.states.get(state)]
        if self.size:
            said.append(f"{self.feasible:,} of {self.size:,} configurations fit")
        if self.best is not None:
            label, ap, params = self.best
            said.append(f"best {label}: AP {100 * ap:.1f} with {params:,} parameters")
        return " · ".join(said) + self._left()

    def _left(self) -> str:
        return "" if self.seconds_left is None else f" · about {timedelta(seconds=round(self.seconds_left))} left"


class Progress(Protocol):
    """Displays the progress of a study; entry points use ``harness.cli.Progress``."""

    def stage(self, what: str, done: int, total: int) -> None:
        """Show how much of a preparation is done."""

    def board(self, board: Board) -> None:
        """Show the state of the search."""

    def line(self, text: str) -> None:
        """Show a permanent line."""
