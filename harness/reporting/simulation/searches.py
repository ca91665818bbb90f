"""What a report shows of searches with one objective: the best AP by trial, and the claim that is tested on it."""

from typing import Any

import numpy as np

from harness.core.replay import Simulation
from harness.evaluation.stats import CONFIDENCE
from harness.reporting.lock import protocol_digest
from harness.reporting.simulation import tables
from harness.reporting.simulation.contents import Contents
from harness.reporting.simulation.findings import findings
from harness.reporting.simulation.measures import CLAIM, PLAIN, RESAMPLES, Floats, Measured, level, measured, reaches
from harness.reporting.simulation.pictures import pictures_of


def contents(found: Simulation) -> Contents:
    """Return what a report shows."""
    return Contents(
        title="Searches",
        table=tables.searches(found),
        legend="Median over seeds [quartiles]; `feasible-…`: proposals of this harness, the others: Optuna alone. "
        f"Search AP: protocol `{protocol_digest(found.table['protocol'])}`.",
        remarks=[],
        findings=findings(found),
        pictures=pictures_of(found),
        results=tables.results(found),
        rows="Quartiles after every trial",
        ran=f"pruner: `{found.pruner}`",
        method=[
            "What is reported is the expected AP of the configuration with the highest AP that the search was told.",
            "Regret: distance to the highest expected AP of all configurations within the budget. Trials to "
            f"{PLAIN}'s best: the first trial after which the median of the searches reaches that of `{PLAIN}` after "
            f"{found.trials} trials. Intervals: percentiles of {RESAMPLES:,} resamples of the searches.",
        ],
        summary=_summary(found),
    )


def _summary(found: Simulation) -> dict[str, Any]:
    by_name = measured(found)
    target = level(by_name)
    return {
        "samplers": {name: _summarised(one, found, target) for name, one in by_name.items()},
        "claim": {
            "share": CLAIM,
            "of": PLAIN,
            "ap": target,
            "confidence": CONFIDENCE,
            "samplers": {
                name: {
                    "trials": reach.trials,
                    "plain_trials": reach.plain,
                    "share": reach.share,
                    "interval": _numbers(np.array(reach.interval)),
                    "verdict": reach.verdict,
                }
                for name, reach in reaches(by_name).items()
            },
        },
    }


def _summarised(one: Measured, found: Simulation, target: float | None) -> dict[str, Any]:
    low, high = one.quartiles()
    grid, best = one.by_epochs(found.table["epochs"])
    return {
        "seeds": one.runs,
        "median_best_by_trial": _numbers(one.median),
        "low_best_by_trial": _numbers(low),
        "high_best_by_trial": _numbers(high),
        "epochs": grid.astype(int).tolist(),
        "median_best_by_epochs": _numbers(np.median(best, axis=0)),
        "wasted_share": one.wasted,
        "repeated_share": one.repeated,
        "regret": _numbers(found.best.ap - one.median[-1:])[0],
        "trials_to_plain": tables.needed(one, target),
        "from_table_share": one.from_table,
    }


def _numbers(values: Floats) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
