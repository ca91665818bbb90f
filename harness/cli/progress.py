"""The progress of a command on stderr."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from harness.cli.output import board_table

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from harness.search.progress import Board

MOST = 8
"""Ended trainings that the table of a running study shows."""


class Progress:
    """Shows a command's progress on stderr: a table and bars on a terminal, occasional lines elsewhere.

    Elsewhere, a new stage is printed if no line was printed for ``QUIET`` seconds, so that short stages print nothing.
    A stage or running trainings are printed again after ``REPEAT`` seconds without a line, also while nothing is
    reported, as in an epoch of minutes.

    Args:
        in_bytes: whether ``stage`` counts bytes.
        console: where to print; stderr by default.
        clock: returns the time in seconds; replaced in tests.
    """

    QUIET, REPEAT = 2.0, 30.0

    def __init__(
        self,
        *,
        in_bytes: bool = False,
        console: "Console | None" = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # Imported here so that help and refused input answer at once.
        from rich import filesize
        from rich.console import Console
        from rich.live import Live

        self._console = console or Console(stderr=True)
        self._amount: Callable[[int], str] = filesize.decimal if in_bytes else "{:,}".format
        self._clock = clock
        self._printed = clock()
        self._said = ("", 0, 0)
        self._stage = ("", 0, 0)
        self._began = (0.0, 0)
        self._board: Board | None = None
        self._made = 0
        self._guard = threading.RLock()
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._remind_regularly, name="progress", daemon=True)
        self._live = Live(console=self._console, get_renderable=self._render, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        else:
            self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bars."""
        self._live.stop()
        self._ended.set()
        if self._watch.is_alive():
            self._watch.join()

    def stage(self, what: str, done: int, total: int) -> None:
        """Show how much of a stage is done; the bar disappears when the stage is complete."""
        with self._guard:
            _, before, planned = self._stage
            if total != planned or done < before:
                self._began = (self._clock(), done)
            self._stage = (what, done, total)
            if not self._console.is_terminal:
                said, done_then, of = self._said
                due = self.REPEAT if what == said else self.QUIET
                ends = done == total == of and (what, done) != (said, done_then)  # What was mentioned is seen to end.
                if ends or self._clock() - self._printed >= due:
                    self._say_stage()

    def board(self, board: "Board") -> None:
        """Show the study's trainings and its summary."""
        with self._guard:
            self._stage, self._board = ("", 0, 0), board.copy()  # Other threads show it while the study changes it.
            if not self._console.is_terminal:
                if board.made > self._made:
                    self.line(board.summary())
                self.remind()
            self._made = board.made

    def line(self, text: str) -> None:
        """Print a permanent line above the bars."""
        with self._guard:
            self._console.print(text, soft_wrap=True, markup=False, highlight=False)
            self._printed = self._clock()

    def remind(self) -> None:
        """Print what goes on if no line was printed for ``REPEAT`` seconds."""
        with self._guard:
            _, done, total = self._stage
            if self._clock() - self._printed < self.REPEAT:
                return
            if done < total:
                self._say_stage()
            elif self._board is not None and self._board.running:
                self.line(self._board.under_way())

    def _remind_regularly(self) -> None:
        while not self._ended.wait(1.0):
            self.remind()

    def _say_stage(self) -> None:
        what, done, total = self._said = self._stage
        self.line(f"{what}: {self._amount(done)} of {self._amount(total)}{self._left()}")

    def _render(self) -> "RenderableType":
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        what, done, total = self._stage
        shown: list[RenderableType] = []
        if self._board is not None:
            shown += [board_table(self._board, most=MOST), Text(self._board.summary())]
        if done < total:
            stage = Table.grid(padding=(0, 1))
            text = f"{self._amount(done)} of {self._amount(total)}{self._left()}"
            stage.add_row(Text(what), ProgressBar(total=total, completed=done, width=30), Text(text))
            shown.append(stage)
        return Group(*shown)

    def _left(self) -> str:
        """Return the estimated remaining time of a stage as text; empty while its speed is unknown."""
        _, done, total = self._stage
        began, first = self._began
        if done <= first:
            return ""
        return f", about {timedelta(seconds=round((self._clock() - began) * (total - done) / (done - first)))} left"
