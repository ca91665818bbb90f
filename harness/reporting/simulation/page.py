"""Writes a simulation to a folder: ``report.md``, pictures, ``results.csv`` and ``summary.json``."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.record import write_json
from harness.core.replay import REPLAYED, Simulation
from harness.evaluation.stats import CONFIDENCE
from harness.reporting import publish
from harness.reporting.format import counted, markdown, percent
from harness.reporting.lock import protocol_digest
from harness.reporting.simulation import tables
from harness.reporting.simulation.findings import findings, headline, remarks
from harness.reporting.simulation.measures import CLAIM, PLAIN, RESAMPLES, Floats, Measured, level, measured, reaches
from harness.reporting.simulation.pictures import pictures_of


def check_simulation(target: Path) -> None:
    """Refuse to replace anything but an earlier simulation.

    Raises:
        InputError: ``target`` exists and holds something else.
    """
    publish.check_target(target, "surrogate", "simulation")


def write_simulation(found: Simulation, target: Path, command: str, note: str = "") -> Path:
    """Write everything into ``target``, replacing an earlier simulation, and return its ``report.md``.

    Args:
        found: the replayed searches.
        target: the folder.
        command: the command that repeats it.
        note: a note on the data, shown at the top.

    Raises:
        InputError: ``target`` exists and holds something else.
    """
    check_simulation(target)
    pictures = pictures_of(found)
    text = publish.render(
        "simulation.md.j2",
        space=found.table["space"],
        headline=headline(found),
        note=note,
        remarks=remarks(found),
        searches=markdown(tables.searches(found)),
        protocol=protocol_digest(found.table["protocol"]),
        trials=found.trials,
        plain=PLAIN,
        findings=findings(found),
        pictures=pictures,
        method=_method(found),
        made_by=found.provenance,
        commands=[found.table["command"], command],
    )
    with publish.replaced(target) as folder:
        publish.save_pictures(pictures, folder)
        tables.results(found).to_csv(folder / publish.RESULTS, index=False)
        (folder / publish.REPORT).write_text(text, encoding="utf-8")
        write_json(folder / publish.SUMMARY, summary(found) | {"note": note})
    return target / publish.REPORT


def summary(found: Simulation) -> dict[str, Any]:
    """Return the simulation as one JSON object: samplers, the claim, the surrogate's errors, findings."""
    by_name = measured(found)
    target = level(by_name)
    return {
        "table": found.table,
        "feasible": found.feasible,
        "size": found.size,
        "surrogate": found.surrogate,
        "noise": found.noise,
        "noisy": found.noisy,
        "best": asdict(found.best),
        "trials": found.trials,
        "pruner": found.pruner,
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
        "findings": findings(found),
        "remarks": remarks(found),
        "provenance": asdict(found.provenance),
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


def _method(found: Simulation) -> Sequence[str]:
    noise, errors, table = found.noise, found.surrogate, found.table
    commits = ", ".join(f"`{commit[:12]}`" for commit in table["commits"])
    images = ", ".join(f"{split} `{digest}`" for split, digest in table["images"].items())
    names = ", ".join(f"`{name}`: {REPLAYED[name]}" for name in found.replays)
    return [
        f"Searches: {names}. Each proposes {counted(found.trials, 'trial')} one after the other; pruner: "
        f"`{found.pruner}`. Optuna's samplers have their defaults, except that NSGA-II has this harness's population.",
        f"Budget: {table['budget']}; {found.feasible:,} of {found.size:,} configurations fit. Optuna alone learns of "
        "it, and of configurations that cannot be built, by constraints (`set_constraint`). Such a trial is wasted: it "
        "has no AP and spends no epochs. A trial of a configuration that the same search has trained before is "
        "repeated, and trains again with the same result.",
        f"APs: mean search AP (protocol `{protocol_digest(table['protocol'])}`) after {table['epochs']} epochs. A "
        "configuration of the table has the mean over its seeds; for all others a Gaussian process answers, fitted to "
        f"these means on axes, parameters and MACs. Its errors are those of {errors['networks']} networks in a "
        "cross-validation in which no model saw the networks that it predicted.",
        (
            f"A search is told an AP with noise: {percent(noise['seeds'])} points (standard deviation) between seeds, "
            f"and {percent(noise['residual'])} more where the surrogate answers. It depends on configuration and seed "
            "only. What is reported is the expected AP of the configuration whose AP was highest."
        )
        if found.noisy
        else "A search is told expected APs, without noise.",
        f"Table: space `{table['digest']}`, images {images}, teacher `{table['teacher']}`, training version "
        f"{table['training']}, trained by commit {commits}.",
        f"Regret: distance to the highest expected AP of all configurations within the budget. Trials to {PLAIN}'s "
        f"best: the first trial after which the median of the searches reaches that of `{PLAIN}` after {found.trials} "
        f"trials. Intervals: percentiles of {RESAMPLES:,} resamples of the searches.",
    ]
