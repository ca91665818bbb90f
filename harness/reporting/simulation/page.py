"""Writes a simulation to a folder: ``report.md``, ``report.html``, pictures, ``results.csv`` and ``summary.json``."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.core.record import write_json
from harness.core.replay import REPLAYED, Simulation
from harness.reporting import publish
from harness.reporting.format import counted, markdown, percent
from harness.reporting.lock import protocol_digest
from harness.reporting.simulation import searches, stopping
from harness.reporting.simulation.contents import Contents
from harness.reporting.simulation.findings import headline, remarks


def contents_of(found: Simulation) -> Contents:
    """Return what the report shows: of early stopping if searches had several objectives."""
    return stopping.contents(found) if len(found.objectives) > 1 else searches.contents(found)


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
    shown = contents_of(found)
    text = publish.render(
        "simulation.md.j2",
        space=found.table["space"],
        headline=headline(found),
        note=note,
        remarks=[*remarks(found), *shown.remarks],
        title=shown.title,
        table=markdown(shown.table),
        legend=shown.legend,
        findings=shown.findings,
        pictures=shown.pictures,
        rows=shown.rows,
        method=_method(found, shown),
        made_by=found.provenance,
        commands=[found.table["command"], command],
    )
    with publish.replaced(target) as folder:
        publish.save_pictures(shown.pictures, folder)
        shown.results.to_csv(folder / publish.RESULTS, index=False)
        publish.write_report(folder, text, shown.pictures)
        write_json(folder / publish.SUMMARY, summary(found) | {"note": note})
    return target / publish.REPORT


def summary(found: Simulation) -> dict[str, Any]:
    """Return the simulation as one JSON object: samplers, what is tested on them, the surrogate's errors, findings."""
    shown = contents_of(found)
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
        "objectives": list(found.objectives),
        **shown.summary,
        "findings": list(shown.findings),
        "remarks": [*remarks(found), *shown.remarks],
        "provenance": asdict(found.provenance),
    }


def _method(found: Simulation, shown: Contents) -> Sequence[str]:
    noise, errors, table = found.noise, found.surrogate, found.table
    commits = ", ".join(f"`{commit[:12]}`" for commit in table["commits"])
    images = ", ".join(f"{split} `{digest}`" for split, digest in table["images"].items())
    names = ", ".join(f"`{name}`: {REPLAYED[name]}" for name in found.replays)
    return [
        f"Searches: {names}. Each proposes {counted(found.trials, 'trial')} one after the other; "
        f"{shown.ran}. Optuna's samplers have their defaults, except that NSGA-II has this harness's population.",
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
            "only."
        )
        if found.noisy
        else "A search is told expected APs, without noise.",
        f"Table: space `{table['digest']}`, images {images}, teacher `{table['teacher']}`, training version "
        f"{table['training']}, trained by commit {commits}.",
        *shown.method,
    ]
