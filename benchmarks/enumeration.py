"""Speed of counting a search space: without listing it, by listing it, and by building networks and summing ``numel``.

    python benchmarks/enumeration.py

writes ``benchmarks/results/enumeration.json``. All times are CPU seconds of one core, because wall time is unreliable
on a busy machine. Networks are built with allocated memory, as is necessary without closed forms.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.core.names import load_space
from harness.core.protocol import Budget
from harness.core.provenance import provenance
from harness.counting import SpaceCounts
from harness.counting.spaces import _part_cost
from harness.models.builder import build

RESULT = Path(__file__).parent / "results" / "enumeration.json"


def processor_seconds(run: Callable[[], Any], repeats: int) -> float:
    """Return the median CPU time of ``repeats`` runs, seconds."""
    found = []
    for _ in range(repeats):
        started = time.process_time()
        run()
        found.append(time.process_time() - started)
    return statistics.median(found)


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="v2_light")
    parser.add_argument("--built", type=int, default=200, help="number of networks to build (default: 200)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    space, budget = load_space(given.space), Budget()

    def without_listing() -> int:
        _part_cost.cache_clear()
        return SpaceCounts(space).feasible(budget)

    def listing() -> int:
        _part_cost.cache_clear()
        return sum(int(np.count_nonzero(block <= budget.max_params)) for block in SpaceCounts(space).listed())

    assert without_listing() == listing()
    counts = SpaceCounts(space)
    rng = np.random.default_rng(0)
    positions = rng.integers(counts.buildable, size=given.built).tolist()
    expected = np.concatenate(list(counts.listed()))[positions].tolist()
    archs = [space.arch(counts.configuration(position)) for position in positions]
    build(archs[0])
    started = time.process_time()
    built = [sum(parameter.numel() for parameter in build(arch).parameters()) for arch in archs]
    building = (time.process_time() - started) / len(archs)
    assert built == expected

    counted, listed = processor_seconds(without_listing, 9), processor_seconds(listing, 9)
    result = {
        "space": space.name,
        "digest": space.digest(),
        "configurations": counts.size,
        "buildable": counts.buildable,
        "feasible": counts.feasible(budget),
        "budget": str(budget),
        "counted": {"processor_seconds": round(counted, 4)},
        "listed": {
            "processor_seconds": round(listed, 4),
            "configurations_per_second": round(counts.buildable / listed),
        },
        "built": {
            "networks": len(archs),
            "processor_seconds_each": round(building, 5),
            "configurations_per_second": round(1 / building, 1),
            "hours_for_all": round(building * counts.buildable / 3600, 1),
        },
        "listing_times_faster_than_building": round(counts.buildable / listed * building),
        "machine": {
            "cpu": provenance().machine["cpu"],
            "cores_used": 1,
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
        "command": "python benchmarks/enumeration.py",
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(
        f"{space.name}: {counts.size:,} configurations, {counts.buildable:,} can be built, "
        f"{counts.feasible(budget):,} fit {budget}\n"
        f"counted without listing: {1_000 * counted:.0f} ms of one core\n"
        f"listed with every total:  {1_000 * listed:.0f} ms, "
        f"{counts.buildable / listed:,.0f} configurations per second\n"
        f"built to add up numel:    {1_000 * building:.1f} ms each ({len(archs):,} built, all equal), "
        f"{building * counts.buildable / 3600:.0f} hours for all\n"
        f"listing is {counts.buildable / listed * building:,.0f} times faster than building"
    )


if __name__ == "__main__":
    main()
