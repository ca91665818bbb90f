"""The tables of early stopping: text for reports and the terminal, plain numbers for ``results.csv``."""

from collections.abc import Callable, Mapping

import pandas as pd

from harness.reporting.format import NOTHING, bounds, minus, percent
from harness.reporting.simulation.stopping.measures import Mean, Measured, Stopped


def samplers(by_name: Mapping[str, Measured]) -> pd.DataFrame:
    """Return one row per sampler, as text: means over its searches with their intervals."""
    return pd.DataFrame(
        {
            "search": one.sampler,
            "seeds": str(len(one.searches)),
            "epochs saved, %": text(one.saved),
            "hypervolume, %": text(one.volume),
            "AP lost, points": text(one.mean_loss),
            "largest, points": text(one.largest_loss),
            "stopped wrongly": text(one.wrong, _decimal),
            "front": _decimal(one.front.value),
        }
        for one in by_name.values()
    )


def text(mean: Mean, written: Callable[[float | None], str] = percent) -> str:
    """Return a mean with its interval; ``written`` gives the text of a number, by default of a share."""
    return minus(f"{written(mean.value)} {bounds(mean.interval, written)}")


def _decimal(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.1f}"


def results(by_name: Mapping[str, Measured]) -> pd.DataFrame:
    """Return one row per search: counts, hypervolumes as shares of the box, and APs in [0, 1]."""
    return pd.DataFrame(
        {"sampler": name, "seed": seed} | _result(search)
        for name, one in by_name.items()
        for seed, search in enumerate(one.searches)
    )


def _result(search: Stopped) -> dict[str, float]:
    without, with_ = search.volumes
    return {
        "trained": len(search.steps),
        "stopped": int((~search.kept).sum()),
        "epochs": search.epochs,
        "saved": search.saved,
        "hypervolume": round(without, 5),
        "hypervolume_with_stopping": round(with_, 5),
        "front": search.front,
        "wrongly_stopped": search.wrong,
        "mean_ap_lost": round(search.mean_loss, 5),
        "largest_ap_lost": round(search.largest_loss, 5),
    }
