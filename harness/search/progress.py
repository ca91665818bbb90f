"""What is seen of a study while it runs: a live board on a terminal, plain lines elsewhere. Always on stderr."""

import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text


@dataclass
class Running:
    """A training on the board: ``epoch`` of ``epochs`` are done, with the last ``ap`` (mean) if there is one."""

    label: str
    params: int
    epochs: int
    epoch: int = 0
    ap: float | None = None


@dataclass
class Board:
    """Where a study stands.

    Attributes:
        name, feasible, size: the study, and how many of its space's configurations fit the budget.
        wanted: trials to make; ``states`` counts those made.
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

    def summary(self) -> str:
        """Return one line."""
        said = [f"{self.made} of {self.wanted} trials"]
        said += [f"{self.states[state]} {state}" for state in ("pruned", "failed") if self.states.get(state)]
        said.append(f"{self.feasible:,} of {self.size:,} configurations fit")
        if self.best is not None:
            label, ap, params = self.best
            said.append(f"best {label}: AP {100 * ap:.1f} with {params:,} parameters")
        if self.seconds_left is not None:
            said.append(f"about {clock(self.seconds_left)} left")
        return " · ".join(said)


def clock(seconds: float) -> str:
    """Return minutes and seconds, or hours and minutes."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60}:{whole % 60:02d} min"


class Progress:
    """Hears how a study goes; this one says nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop showing."""

    def stage(self, what: str, done: int, total: int) -> None:
        """Hear how much of a preparation is done."""

    def board(self, board: Board) -> None:
        """Hear where the search stands."""

    def line(self, text: str) -> None:
        """Hear something that stays."""


class PlainProgress(Progress):
    """Prints lines: when a stage begins or says something new, when trials have ended, and what ``line`` is given."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._stage = ""
        self._made = 0

    def stage(self, what: str, done: int, total: int) -> None:
        """Print a line when a stage begins, and when there is something new to say of it: a teacher's last AP."""
        if what != self._stage:
            self._stage = what
            self.line(f"{what}: {done:,} of {total:,}")

    def board(self, board: Board) -> None:
        """Print where the search stands whenever trials have ended."""
        if board.made > self._made:
            self._made = board.made
            self.line(board.summary())

    def line(self, text: str) -> None:
        """Print a line."""
        self._console.print(Text(text), soft_wrap=True)


class LiveProgress(Progress):
    """Keeps a board at the terminal's bottom; what ``line`` is given stays above it."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._live = Live(console=self._console, refresh_per_second=4, transient=True)
        self._stage: tuple[str, int, int] | None = None
        self._board: Board | None = None
        self._shown = 0.0

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the board away."""
        self._live.stop()

    def stage(self, what: str, done: int, total: int) -> None:
        """Show a bar for a preparation."""
        self._stage = (what, done, total) if done < total else None
        # A generator of images calls thousands of times a second.
        if self._stage is None or time.monotonic() - self._shown > 0.1:
            self._show()

    def board(self, board: Board) -> None:
        """Show where the search stands."""
        self._board = board
        self._stage = None
        self._show()

    def line(self, text: str) -> None:
        """Print above the board."""
        self._console.print(Text(text), soft_wrap=True)

    def _show(self) -> None:
        self._shown = time.monotonic()
        shown: list[RenderableType] = []
        if self._stage is not None:
            what, done, total = self._stage
            row = Table.grid(padding=(0, 1))
            row.add_row(what, ProgressBar(total=total, completed=done, width=30), f"{done:,} of {total:,}")
            shown.append(row)
        if self._board is not None:
            rows = Table.grid(padding=(0, 2))
            for running in self._board.running.values():
                rows.add_row(
                    running.label,
                    f"{running.params:,} parameters",
                    ProgressBar(total=running.epochs, completed=running.epoch, width=20),
                    f"epoch {running.epoch} of {running.epochs}",
                    "" if running.ap is None else f"AP {100 * running.ap:.1f}",
                )
            shown += [rows, Text(self._board.summary())]
        self._live.update(Group(*shown))


def make_progress() -> Progress:
    """Return the live board where stderr is a terminal, plain lines elsewhere."""
    console = Console(stderr=True)
    return LiveProgress(console) if console.is_terminal else PlainProgress(console)
