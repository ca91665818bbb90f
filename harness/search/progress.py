"""What a running study tells about itself: a board that says where it stands, and what shows it."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol


@dataclass
class Running:
    """A training under way: ``epoch`` of ``epochs`` are done; ``ap`` is its last mean AP, None while there is none."""

    label: str
    params: int
    epochs: int
    epoch: int = 0
    ap: float | None = None


@dataclass
class Board:
    """Where a study stands.

    Attributes:
        name: the study's.
        feasible, size: how many of the space's configurations fit the budget, and how many there are.
        wanted: trials to make; ``states`` counts those made, by state.
        running: label → training under way.
        best: label, mean AP and parameters of the best candidate.
        seconds_left: an estimate, None while there is none.
    """

    name: str
    feasible: int = 0
    size: int = 0
    wanted: int = 0
    states: dict[str, int] = field(default_factory=dict)
    running: dict[str, Running] = field(default_factory=dict)
    best: tuple[str, float, int] | None = None
    seconds_left: float | None = None

    @property
    def made(self) -> int:
        """How many trials have ended."""
        return sum(self.states.get(state, 0) for state in ("complete", "pruned", "failed"))

    def bars(self) -> list[tuple[str, int, int, str]]:
        """Return what is trained, epochs done, epochs in all, and a text, for every training under way."""
        return [
            (
                f"{one.label}  {one.params:,} parameters",
                one.epoch,
                one.epochs,
                f"epoch {one.epoch} of {one.epochs}" + ("" if one.ap is None else f", AP {100 * one.ap:.1f}"),
            )
            for one in self.running.values()
        ]

    def summary(self) -> str:
        """Return one line."""
        said = [f"{self.made} of {self.wanted} trials"]
        said += [f"{self.states[state]} {state}" for state in ("pruned", "failed") if self.states.get(state)]
        said.append(f"{self.feasible:,} of {self.size:,} configurations fit")
        if self.best is not None:
            label, ap, params = self.best
            said.append(f"best {label}: AP {100 * ap:.1f} with {params:,} parameters")
        if self.seconds_left is not None:
            said.append(f"about {timedelta(seconds=round(self.seconds_left))} left")
        return " · ".join(said)


class Progress(Protocol):
    """Shows how a study goes; ``harness.cli.Progress`` is the one that entry points use."""

    def stage(self, what: str, done: int, total: int) -> None:
        """Show how much of a preparation is done."""

    def board(self, board: Board) -> None:
        """Show where the search stands."""

    def line(self, text: str) -> None:
        """Show a line that stays."""
