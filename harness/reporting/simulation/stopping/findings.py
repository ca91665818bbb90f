"""Findings on early stopping: sentences that are computed from replayed searches."""

from collections.abc import Iterator, Mapping
from statistics import median_low

from harness.core.replay import Simulation
from harness.reporting.format import counted, percent
from harness.reporting.simulation.stopping.measures import AIM, FAILS, HOLDS, OPEN, Measured
from harness.reporting.simulation.stopping.tables import text


def remarks(found: Simulation) -> list[str]:
    """Return what limits the result beside an unfinished table."""
    if found.noise["seeds"]:
        return []
    return ["The table has one training per network, so that seed noise is unknown and every loss counts."]


def findings(by_name: Mapping[str, Measured], found: Simulation) -> list[str]:
    """Return statements about the result; a statement without data is left out."""
    noise = percent(found.noise["seeds"])
    return [
        f"The aim: at least {percent(AIM)} % of the epochs are saved, and the largest loss of AP at the front is at "
        f"most seed noise, {noise} points (standard deviation of one training between seeds).",
        *(_judged(one) for one in by_name.values()),
        *_losses(by_name),
        *_stops(by_name, found),
    ]


def _judged(one: Measured) -> str:
    said = {
        HOLDS: "The aim is reached.",
        FAILS: f"The aim is missed: {' and '.join(_missed(one))}.",
        OPEN: "These searches do not decide whether the aim is reached.",
    }
    return (
        f"`{one.sampler}`: {text(one.saved)} % of the epochs are saved, and the largest loss is "
        f"{text(one.largest_loss)} points. {said[one.verdict]}"
    )


def _missed(one: Measured) -> Iterator[str]:
    """Yield by how much each half of the aim is missed."""
    if one.enough == FAILS:
        yield f"the share saved is {percent(AIM - one.saved.value)} points too low"
    if one.within == FAILS:
        yield f"the loss is {percent(one.largest_loss.value - one.noise)} points above seed noise"


def _losses(by_name: Mapping[str, Measured]) -> Iterator[str]:
    searches = [search for one in by_name.values() for search in one.searches]
    largest = max(search.largest_loss for search in searches)
    whole = sum(not search.wrong for search in searches)
    yield (
        f"The whole front is kept in {whole:,} of {len(searches):,} searches; the largest loss of all is "
        f"{percent(largest)} points."
    )


def _stops(by_name: Mapping[str, Measured], found: Simulation) -> Iterator[str]:
    steps = [step for one in by_name.values() for search in one.searches for step in search.steps]
    ends = [step.stops for step in steps if step.stops is not None]
    if ends:
        yield (
            f"{percent(len(ends) / len(steps))} % of the trained trials are stopped, half of them after at most "
            f"{median_low(ends)} of {counted(found.table['epochs'], 'epoch')}."
        )
