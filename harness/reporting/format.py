"""Text of numbers and tables in all reports: shares, differences, intervals, Markdown tables."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table

from harness.core.budget import LATENCY, LATENCY_UNIT
from harness.evaluation.stats import Interval

NOTHING = "–"
"""Text of a missing value."""


def percent(value: float | None) -> str:
    """Return a share as a percentage with one decimal."""
    return NOTHING if value is None else f"{100 * value:.1f}"


def points(value: float | None) -> str:
    """Return a difference of shares in points, with its sign."""
    return NOTHING if value is None else minus(f"{100 * value:+.1f}")


def bounds(interval: Interval | None, text: Callable[[float | None], str] = percent) -> str:
    """Return an interval in brackets."""
    return NOTHING if interval is None else f"[{text(interval.low)}, {text(interval.high)}]"


def deviation(value: float | None) -> str:
    """Return a standard deviation of shares after ±; empty if there is none."""
    return "" if value is None else f" ± {percent(value)}"


def signed(params: int, budget: int) -> str:
    """Return the distance from the budget with its sign; above zero is over it."""
    return minus(f"{params - budget:+,}")


def headroom(params: int, budget: int) -> str:
    """Return how far ``params`` lies from the budget, in words."""
    excess = params - budget
    return f"{excess:,} over the budget" if excess > 0 else f"{-excess:,} under the budget" if excess else "the budget"


def minus(text: str) -> str:
    """Return a number's text with a minus sign in place of its hyphen."""
    return text.replace("-", "−")


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless the number is 1."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def reference_point(objectives: Sequence[str], limits: Sequence[float]) -> str:
    """Return the reference point of a hypervolume in words.

    Args:
        objectives: names of ``OBJECTIVES``, AP first.
        limits: the other objectives at that point, as ``evaluation.objectives.limits`` returns them.
    """
    words: dict[str, Callable[[float], str]] = {
        "params": lambda value: f"{value:,.0f} parameters",
        "latency": lambda value: LATENCY.text(round(LATENCY_UNIT * value)),
    }
    return ", ".join(
        ["search AP 0 %", *(words[name](value) for name, value in zip(objectives[1:], limits, strict=True))]
    )


def markdown(frame: pd.DataFrame, *, text: Sequence[str] = ()) -> str:
    """Return a frame of text as a Markdown table: the first column and those in ``text`` aligned left, others right.

    Empty for a frame without rows.
    """
    if not len(frame):
        return ""
    left = {*map(str, frame.columns[:1]), *text}
    lines = [
        _line(frame.columns),
        _line(":---" if str(name) in left else "---:" for name in frame.columns),
        *(_line(row) for row in frame.itertuples(index=False)),
    ]
    return "\n".join(lines)


def notes(frame: pd.DataFrame, key: str) -> dict[str, str]:
    """Return each value of column ``key`` → its row, one cell a line: the texts of the points of a picture."""
    found = {}
    for row in frame.to_dict("records"):
        cells = (f"{name}: {cell}" for name, cell in row.items() if name != key)
        found[row[key]] = "\n".join([f"{key} {row[key]}", *cells])
    return found


def terminal(frame: pd.DataFrame, styles: Mapping[str, str] | None = None, **options: Any) -> Table:
    """Return a frame of text as a table for the terminal; ``styles`` is column → style, ``options`` are the table's."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, **options)
    for index, name in enumerate(map(str, frame.columns)):
        table.add_column(name, justify="right" if index else "left", style=(styles or {}).get(name, ""), no_wrap=True)
    for row in frame.itertuples(index=False):
        table.add_row(*map(str, row))
    return table


def _line(cells: Iterable[object]) -> str:
    return "| " + " | ".join(" ".join(str(cell).replace("|", "\\|").split()) for cell in cells) + " |"
