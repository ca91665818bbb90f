"""The picture of early stopping, with its caption."""

from collections.abc import Mapping

import pandas as pd

from harness.core.replay import Simulation
from harness.reporting.lock import protocol_digest
from harness.reporting.publish import Picture
from harness.reporting.simulation.stopping import plots
from harness.reporting.simulation.stopping.measures import Measured

AXES = {"params": "parameters", "latency": "latency, × V1's"}
"""Objective → label of its axis."""


def pictures_of(by_name: Mapping[str, Measured], found: Simulation) -> list[Picture]:
    """Return the picture of both fronts of every sampler's first search."""
    cost = found.objectives[1]
    text = (
        "The search with seed 0 of each sampler. Stopped trials are drawn at the AP that they would have reached. AP "
        "is lost where the front of all trials is above that of the trials kept. Search AP: protocol "
        f"`{protocol_digest(found.table['protocol'])}`."
    )
    if len(found.objectives) > 2:
        text += f" The fronts drawn are those of AP and {cost} only."
    rows = [
        {"sampler": name, "cost": step.costs[0], "ap": 100 * step.aps[-1], "kept": bool(kept)}
        for name, one in by_name.items()
        for step, kept in zip(one.searches[0].steps, one.searches[0].kept, strict=True)
    ]
    frame = pd.DataFrame(rows, columns=["sampler", "cost", "ap", "kept"])
    figure = plots.fronts(frame, AXES[cost]) if rows else None
    return [Picture("Fronts with and without stopping", "fronts", text, figure)]
