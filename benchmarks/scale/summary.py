"""What the cases say together: exponents, the largest study's figures, and what saturates first."""

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.scale.fit import exponent

COST_AIM, REPORT_AIM = 200.0, 10.0
"""Most milliseconds of a trial, MLflow included, and most seconds of a report of ``sweep.MOST_REPORTED`` trials."""

PATIENCE = 0.1
"""Share of their time that workers may wait for the harness: beyond it, it is saturated."""

Rows = Sequence[dict[str, Any]]

GROWING: dict[str, Callable[[dict[str, Any]], float | None]] = {
    "time of all trials": lambda row: row["total_ms"] * row["trials"],
    "memory": lambda row: row["memory"],
    "time to resume": lambda row: row["resume"],
    "time of a report": lambda row: row["report"],
}
"""Quantities that grow with the number of trials."""


def summary(sizes: Rows, workers: Rows) -> dict[str, Any]:
    """Return ``exponents`` (store → quantity → as ``fit.exponent``), ``parts`` (part → exponent of its time over all
    trials), ``superlinear`` (those whose interval lies above 1) and ``saturation``.

    Args:
        sizes: cases with different numbers of trials.
        workers: cases with different numbers of workers.
    """
    exponents: dict[str, dict[str, Any]] = {}
    for store in dict.fromkeys(row["store"] for row in sizes):
        of_store = [row for row in sizes if row["store"] == store]
        names = dict.fromkeys(name for row in of_store for name in row["cost_ms"])
        parts = {f"time of {name}": _part(name) for name in names}
        exponents[store] = {what: _fitted(of_store, value) for what, value in {**GROWING, **parts}.items()}
    superlinear = [
        f"{what} ({store})"
        for store, found in exponents.items()
        for what, one in found.items()
        if one["low"] is not None and one["low"] > 1
    ]
    return {"exponents": exponents, "superlinear": superlinear, "saturation": saturation(workers)}


def _part(name: str) -> Callable[[dict[str, Any]], float]:
    return lambda row: float(row["cost_ms"].get(name, 0.0)) * row["trials"]


def _fitted(rows: Rows, value: Callable[[dict[str, Any]], float | None]) -> dict[str, Any]:
    points = [(row["trials"], found) for row in rows if (found := value(row)) is not None]
    return exponent([trials for trials, _ in points], [found for _, found in points])


def saturation(workers: Rows) -> dict[str, Any]:
    """Return what saturates first, and at which number of workers.

    Returns:
        ``trials_a_second``: the most that the searching process proposed and told in any case; ``workers``: the least
        number of workers that waited more than ``PATIENCE`` of their time, None if none did; ``first``: the thread that
        was busier there, or with most workers; ``busy``: the shares of time in which each was; ``largest``: the part
        of the cost that was largest there.
    """
    late = [row for row in workers if row["kept_waiting"] > PATIENCE]
    row = late[0] if late else workers[-1]
    busy = {"the searching thread": row["search_busy"], "the thread that sends to MLflow": row["sender_busy"]}
    return {
        "trials_a_second": max(row["trials_a_second"] for row in workers),
        "workers": late[0]["workers"] if late else None,
        "first": max(busy, key=busy.__getitem__),
        "busy": busy,
        "largest": max(row["cost_ms"], key=row["cost_ms"].__getitem__),
    }
