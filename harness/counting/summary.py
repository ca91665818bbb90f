"""Counts of a space or of one architecture against a budget, as plain data."""

import time
from dataclasses import asdict
from typing import Any

import numpy as np

from harness.core.arch import ArchConfig
from harness.core.budget import Budget
from harness.core.space import Configuration, SearchSpace
from harness.counting.spaces import SpaceCounts
from harness.counting.totals import Totals
from harness.counting.tree import tree
from harness.models.builder import resolve_arch
from harness.models.costs import broken, costs
from harness.models.modules.part import Cost

BINS = 24
"""Bins of a space's histogram."""

LISTED = 5
"""Number of the largest configurations within the budget that are listed."""


def count(what: str | ArchConfig | SearchSpace, budget: Budget | None = None) -> dict[str, Any]:
    """Return the counts of an architecture or of a search space.

    >>> import harness
    >>> counted = harness.count("v2")
    >>> counted["total"], counted["excess"], counted["parts"]["head"]
    (256156, 8, 3168)
    >>> harness.count(harness.load_space("v2_light"))["feasible"]
    1119490

    Args:
        what: an architecture, its name (``v1``, ``v2``, …), or a space.
        budget: the bounds to compare with, and the side of the image for MACs; the documented budget by default.

    Raises:
        InputError: as ``summarise_arch``, or the name is unknown.
        BudgetError: as ``summarise_space``.
    """
    budget = budget or Budget()
    if isinstance(what, SearchSpace):
        return summarise_space(what, budget, BINS)
    name, arch = (what, resolve_arch(what)) if isinstance(what, str) else (what.digest(), what)
    return summarise_arch(name, arch, budget, budget.macs_size)


def summarise_space(space: SearchSpace, budget: Budget, bins: int) -> dict[str, Any]:
    """Count a space. ``histogram`` has at most ``bins`` bins; ``configurations_per_second`` is the speed of counting.

    Raises:
        InputError: the space is too large for a budget of several bounds.
        BudgetError: nothing in it can be built or fits; the message gives the smallest possible count.
    """
    started = time.perf_counter()
    counts = SpaceCounts(space)
    totals, feasible = counts.histogram, counts.feasible(budget)
    seconds = time.perf_counter() - started
    over = counts.over(budget)
    edges, numbers = histogram(totals, budget.max_params, bins)
    return {
        "space": space.name,
        "digest": space.digest(),
        "budget": budget.max_params,
        "bounds": _bounds(budget),
        "configurations": counts.size,
        "buildable": counts.buildable,
        "feasible": feasible,
        "smallest": counts.smallest,
        "largest": counts.largest(),
        "largest_feasible": [{"params": n, "configuration": c} for n, c in counts.nearest(budget, LISTED)],
        "smallest_excess": None if over is None else _excess(counts, *over, budget),
        "histogram": {"edges": edges, "counts": numbers},
        "seconds": seconds,
        "configurations_per_second": counts.size / seconds,
    }


def histogram(totals: Totals, limit: int, bins: int) -> tuple[list[int], list[int]]:
    """Return bin edges, and for each bin how many configurations lie above its lower edge and not above its upper edge.

    There are at most ``bins`` bins. ``limit`` is an edge, or the largest total if that is smaller.
    """
    values = totals.values
    limit = min(limit, int(values[-1]))
    step = max(-(-int(values[-1] - values[0]) // (bins - 2)), 1)
    below = max(-(-(limit - int(values[0]) + 1) // step), 0)
    above = max(-(-(int(values[-1]) - limit) // step), 0)
    edges = [limit + step * k for k in range(-below, above + 1)]
    cumulative = np.concatenate(([0], totals.up_to))[np.searchsorted(values, edges, side="right")]
    return edges, np.diff(cumulative).tolist()


def _excess(counts: SpaceCounts, params: int, configuration: Configuration, budget: Budget) -> dict[str, Any]:
    return {
        "params": params,
        "excess": params - budget.max_params,
        "configuration": configuration,
        "moves": [asdict(move) | {"text": str(move)} for move in counts.moves(configuration, budget)],
    }


def _bounds(budget: Budget) -> list[dict[str, Any]]:
    return [{"measure": str(measure), "limit": limit} for measure, limit in budget.bounds]


def summarise_arch(name: str, arch: ArchConfig, budget: Budget, size: int) -> dict[str, Any]:
    """Count an architecture's parts; ``excess`` is negative if it is under the parameter budget.

    Args:
        name: name of the architecture in the summary.
        arch: the architecture.
        budget: the bounds to compare with.
        size: side of the square input image for MACs, pixels.

    Raises:
        InputError: the architecture cannot be built.
    """
    parts = costs(arch, size, size)
    whole = sum(parts.values(), Cost())
    problems = broken(arch, budget)
    return {
        "arch": name,
        "options": {slot: str(part) for slot, part in arch.parts().items()},
        "total": whole.params,
        "with_buffers": whole.with_buffers,
        "deployed": whole.deployed,
        "bytes": whole.bytes,
        "parts": {slot: cost.params for slot, cost in parts.items()},
        "macs": whole.macs,
        "macs_parts": {slot: cost.macs for slot, cost in parts.items()},
        "size": size,
        "budget": budget.max_params,
        "bounds": _bounds(budget),
        "excess": whole.params - budget.max_params,
        "hints": next((one.hints for one in problems if one.measure.name == "params"), ""),
        "broken": [
            {"measure": str(one.measure), "total": one.total, "limit": one.limit, "excess": one.excess}
            | {"hints": one.hints}
            for one in problems
        ],
        "tree": tree(arch, size, size).to_dict(),
    }
