"""What commands print on stdout."""

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

    from harness.search.progress import Board


def emit(data: Any) -> None:
    """Print one JSON object on stdout."""
    json.dump(data, sys.stdout, indent=1, allow_nan=False)
    sys.stdout.write("\n")


def show(*parts: "RenderableType", least: int = 0) -> None:
    """Print texts and tables on stdout.

    Args:
        parts: strings, which are never wrapped, or other renderables of rich.
        least: least width in columns, also on a narrower terminal.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)  # A file has room for every column.
    console.width = max(console.width, least)
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, str | Text), markup=False)


def board_table(board: "Board", most: int | None = None) -> "RenderableType":
    """Return a study's trainings as a table: the running ones, then those that have ended, best AP first.

    Args:
        board: the study.
        most: the largest number of ended trainings; None shows all.
    """
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, side in (("network", "left"), ("parameters", "right"), ("search AP, %", "right"), ("", "left")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for running in board.running.values():
        made = ProgressBar(total=running.epochs, completed=running.epoch, width=30)
        progress = Table.grid(padding=(0, 1))
        progress.add_row(made, f"epoch {running.epoch} of {running.epochs}")
        table.add_row(running.label, f"{running.params:,}", _percent(running.ap), progress)
    ended = board.ended[:most]
    for one in ended:
        graded = "" if one.ap is None else f", validation AP {100 * one.ap:.1f}"
        table.add_row(one.label, f"{one.params:,}", _percent(one.search_ap), f"{one.state}{graded}")
    if len(ended) < len(board.ended):
        table.add_row("…", "", "", f"{len(board.ended) - len(ended):,} more")
    return table


def _percent(ap: float | None) -> str:
    return "–" if ap is None else f"{100 * ap:.1f}"
