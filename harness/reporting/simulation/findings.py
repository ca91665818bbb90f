"""Findings of replayed searches: sentences that are computed from them."""

from collections.abc import Iterator

import numpy as np

from harness.core.replay import FEASIBLE, Simulation
from harness.evaluation.stats import CONFIDENCE
from harness.reporting.format import counted, percent
from harness.reporting.simulation.measures import CLAIM, PLAIN, Measured, Reach, level, measured, reaches

_VERDICTS = {
    "holds": "The claim holds.",
    "fails": "The claim does not hold.",
    "open": "These searches do not decide the claim.",
}


def headline(found: Simulation) -> str:
    """Return one paragraph: what was replayed, on what, and how far its answers can be trusted."""
    table, errors = found.table, found.surrogate
    searches = sum(len(replays) for replays in found.replays.values())
    several = f" for the objectives `{','.join(found.objectives)}`" if len(found.objectives) > 1 else ""
    return (
        f"{searches:,} searches of {counted(found.trials, 'trial')} each{several}, replayed on "
        f"{counted(table['trainings'], 'training')} of {counted(table['networks'], 'network')} of the space "
        f"`{table['space']}`. For all other configurations a surrogate answers. Its cross-validation gives a mean "
        f"absolute error of {percent(errors['mae'])} points of AP, R² {errors['r2']:.2f} and Kendall's τ "
        f"{errors['tau']:.2f}."
    )


def remarks(found: Simulation) -> list[str]:
    """Return what limits the result: an unfinished table, and samplers with fewer seeds."""
    said, table = [], found.table
    if not table["complete"]:
        said.append(f"The table is incomplete: {table['trainings']:,} of {table['wanted']:,} trainings.")
    counts = {name: len(replays) for name, replays in found.replays.items()}
    most = max(counts.values())
    fewer = [f"`{name}` {count}" for name, count in counts.items() if count < most]
    if fewer:
        said.append(f"Fewer seeds than {most}, because the Gaussian process takes long: {', '.join(fewer)}.")
    return said


def findings(found: Simulation) -> list[str]:
    """Return statements about the result; a statement without data is left out."""
    by_name = measured(found)
    return [*_claims(by_name, found), *_rivals(by_name), *_waste(by_name), *_regret(by_name, found), _sources(by_name)]


def _claims(by_name: dict[str, Measured], found: Simulation) -> Iterator[str]:
    target, reached = level(by_name), reaches(by_name)
    if target is None or not reached:
        return
    plain = next(iter(reached.values())).plain
    yield (
        f"The median search with `{PLAIN}` ends at {percent(target)} %, which it first reaches after "
        f"{counted(plain or 0, 'trial')} of {found.trials}. The claim: this harness needs at most {CLAIM:g} of these."
    )
    yield from (
        f"`{name}`: {_needed(reach, found.trials)} {_VERDICTS[reach.verdict]}" for name, reach in reached.items()
    )


def _needed(reach: Reach, trials: int) -> str:
    ends = " to ".join(f"{end:.2f}" if np.isfinite(end) else "never" for end in reach.interval)
    interval = f"{100 * CONFIDENCE:.0f} % interval over searches: {ends}"
    if reach.trials is None:
        return f"not in {counted(trials, 'trial')} ({interval})."
    return f"after {counted(reach.trials, 'trial')}, {reach.share:.2f} of these ({interval})."


def _rivals(by_name: dict[str, Measured]) -> Iterator[str]:
    """Yield how often proposals of this harness end above Optuna's with the same sampler and seed."""
    for name, mine in by_name.items():
        plain = by_name.get(name.removeprefix(FEASIBLE))
        if plain is None or plain is mine:
            continue
        seeds = min(mine.runs, plain.runs)
        gain = np.sign(mine.best[:seeds, -1] - plain.best[:seeds, -1])
        yield (
            f"`{name}` ends above `{plain.sampler}` with {(gain > 0).sum()}, and below it with {(gain < 0).sum()} of "
            f"{counted(seeds, 'seed')}."
        )


def _waste(by_name: dict[str, Measured]) -> Iterator[str]:
    for name, one in by_name.items():
        if one.wasted or one.repeated:
            yield f"`{name}` wastes {percent(one.wasted)} % of its trials and repeats {percent(one.repeated)} %."
    never = [f"`{name}`" for name, one in by_name.items() if not one.wasted and not one.repeated]
    if never:
        yield f"No trial wasted or repeated: {', '.join(never)}."


def _regret(by_name: dict[str, Measured], found: Simulation) -> Iterator[str]:
    best = max(by_name.values(), key=lambda one: one.median[-1])
    if np.isfinite(best.median[-1]):
        yield (
            f"The best of all {found.feasible:,} configurations within the budget has {percent(found.best.ap)} % "
            f"({found.best.source}). The median search with `{best.sampler}` comes closest: it ends "
            f"{percent(found.best.ap - float(best.median[-1]))} points below."
        )


def _sources(by_name: dict[str, Measured]) -> str:
    trained = sum(one.trained * one.runs for one in by_name.values())
    known = sum(one.from_table * one.trained * one.runs for one in by_name.values())
    return f"{known:,.0f} of {trained:,.0f} trained trials have their AP from the table, the others from the surrogate."
