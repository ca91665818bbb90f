"""The tables of replayed searches: text for reports and the terminal, plain numbers for ``results.csv``."""

import numpy as np
import pandas as pd

from harness.core.replay import Simulation
from harness.reporting.format import NOTHING, percent
from harness.reporting.simulation.measures import PLAIN, Measured, level, measured, reached


def searches(found: Simulation) -> pd.DataFrame:
    """Return one row per sampler, as text."""
    by_name = measured(found)
    target = level(by_name)
    return pd.DataFrame([_search(one, found, target) for one in by_name.values()])


def _search(one: Measured, found: Simulation, target: float | None) -> dict[str, str]:
    low, high = one.quartiles()
    middle, ends = one.median[-1], (low[-1], high[-1])
    trials = needed(one, target)
    return {
        "search": one.sampler,
        "seeds": str(one.runs),
        f"AP after {found.trials} trials, %": f"{_percent(middle)} [{', '.join(map(_percent, ends))}]",
        "regret, points": _percent(found.best.ap - middle),
        "wasted, %": percent(one.wasted),
        "repeated, %": percent(one.repeated),
        "epochs": f"{np.median(one.spent[:, -1]):,.0f}",
        f"trials to {PLAIN}'s best": NOTHING if target is None else str(trials or f"> {found.trials}"),
    }


def needed(one: Measured, target: float | None) -> int | None:
    """Return after how many trials the median search reaches an AP; None if it does not, or if there is no target."""
    return None if target is None else reached(one.median, target)


def _percent(value: float) -> str:
    return percent(float(value)) if np.isfinite(value) else NOTHING


def results(found: Simulation) -> pd.DataFrame:
    """Return one row per sampler and trial: quartiles of the best AP, in [0, 1], and the mean of the epochs spent."""
    rows = []
    for one in measured(found).values():
        low, high = one.quartiles()
        columns = zip(low, one.median, high, one.spent.mean(axis=0), strict=True)
        for trial, (lower, middle, upper, epochs) in enumerate(columns, start=1):
            aps = {"low": lower, "median": middle, "high": upper}
            rows.append(
                {"sampler": one.sampler, "seeds": one.runs, "trial": trial}
                | {name: round(value, 5) if np.isfinite(value) else None for name, value in aps.items()}
                | {"epochs": round(epochs, 2)}
            )
    return pd.DataFrame(rows)
