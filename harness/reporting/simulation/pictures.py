"""The pictures of replayed searches, with their captions."""

import numpy as np
import pandas as pd

from harness.core.replay import FEASIBLE, Simulation
from harness.reporting.lock import protocol_digest
from harness.reporting.publish import Picture
from harness.reporting.simulation import plots
from harness.reporting.simulation.measures import PLAIN, Floats, Measured, level, measured, quartiles


def pictures_of(found: Simulation) -> list[Picture]:
    """Return the pictures of a simulation, in the order of the report."""
    by_name = measured(found)
    levels = {"best of the space": 100 * found.best.ap}
    target = level(by_name)
    if target is not None:
        levels |= {f"{PLAIN} alone after {found.trials} trials": 100 * target}
    by_trial, by_epochs = [], []
    for one in by_name.values():
        by_trial.append(_rows(one, np.arange(1.0, found.trials + 1), one.best))
        by_epochs.append(_rows(one, *one.by_epochs(found.table["epochs"])))
    said = (
        "The chosen network is the one with the highest AP seen so far; its expected AP is drawn. Curves begin where "
        "half of the searches have trained a network, bands where three quarters have. "
        f"Search AP: protocol `{protocol_digest(found.table['protocol'])}`."
    )
    return [
        Picture("Best AP by trial", "by_trial", said, plots.curves(pd.concat(by_trial), levels, "trials")),
        Picture(
            "Best AP by epochs spent",
            "by_epochs",
            f"Wasted trials spend none. Curves end where half of the searches have ended. {said}",
            plots.curves(pd.concat(by_epochs), levels, "epochs"),
        ),
    ]


def _rows(one: Measured, x: Floats, best: Floats) -> pd.DataFrame:
    low, high = quartiles(best)
    frame = pd.DataFrame({"x": x, "low": 100 * low, "median": 100 * np.median(best, axis=0), "high": 100 * high})
    frame["sampler"] = one.sampler.removeprefix(FEASIBLE)
    frame["who"] = "this harness" if one.sampler.startswith(FEASIBLE) else "Optuna alone"
    return frame.replace([-np.inf], np.nan)
