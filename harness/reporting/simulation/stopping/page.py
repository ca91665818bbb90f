"""What a report shows of searches with several objectives: early stopping, against no stopping on the same trials."""

from collections.abc import Iterator
from typing import Any

from harness.core.replay import Simulation
from harness.evaluation.stats import CONFIDENCE
from harness.reporting.format import reference_point
from harness.reporting.lock import protocol_digest
from harness.reporting.simulation import measures as searches
from harness.reporting.simulation.contents import Contents
from harness.reporting.simulation.stopping import tables
from harness.reporting.simulation.stopping.findings import findings, remarks
from harness.reporting.simulation.stopping.measures import AIM, Mean, Measured, measured
from harness.reporting.simulation.stopping.pictures import pictures_of


def contents(found: Simulation) -> Contents:
    """Return what a report shows."""
    by_name = measured(found)
    return Contents(
        title="Early stopping, against none on the same trials",
        table=tables.samplers(by_name),
        legend=f"Mean over seeds [{100 * CONFIDENCE:.0f} % interval]. Hypervolume: as a share of that without "
        "stopping. AP lost: at the front's points, on average and at most. Stopped wrongly: how many of these points. "
        "`feasible-…`: proposals of this harness, the others: Optuna alone. Search AP: protocol "
        f"`{protocol_digest(found.table['protocol'])}`.",
        remarks=remarks(found),
        findings=findings(by_name, found),
        pictures=pictures_of(by_name, found),
        results=tables.results(by_name),
        rows="Every search",
        ran=f"objectives: `{','.join(found.objectives)}`; every trial is trained to its end",
        method=list(_method(found)),
        summary=_summary(by_name, found),
    )


def _method(found: Simulation) -> Iterator[str]:
    yield (
        "Early stopping: after every epoch, the rule `dominated` compares a trial with the trials before it that it "
        "has not stopped. It is applied to the trials of a search that trained all of them, so that both fronts are of "
        "the same trials. A study with the rule proposes other trials once one is stopped, and compares with those "
        "outside its window only; neither is part of this comparison."
    )
    yield (
        "AP lost: at every point of the front of all trials, its AP above that of the best trial kept that is no worse "
        "in the other objectives. The largest one is the largest at any bounds on these. A point that loses AP was "
        "stopped wrongly. APs are those that the search was told, as a study would report them."
    )
    yield (
        "Hypervolume: that of the trials kept, as a share of that of all trials. Reference point: "
        f"{reference_point(found.objectives, found.limits)}."
    )
    if found.latencies:
        yield (
            "Latencies: multiples of V1's, as measured for the networks of the table. For all others a Gaussian "
            f"process answers; its mean absolute error in cross-validation is {found.latencies['mae']:.3f} × V1's "
            f"latency (R² {found.latencies['r2']:.2f})."
        )
    yield "Intervals: Student's t, over the searches of a sampler. The aim is judged by them."


def _summary(by_name: dict[str, Measured], found: Simulation) -> dict[str, Any]:
    trials = searches.measured(found)
    return {
        "limits": dict(zip(found.objectives[1:], found.limits, strict=True)),
        "latencies": found.latencies,
        "samplers": {
            name: {
                "seeds": len(one.searches),
                "saved_share": _mean(one.saved),
                "hypervolume_share": _mean(one.volume),
                "mean_ap_lost": _mean(one.mean_loss),
                "largest_ap_lost": _mean(one.largest_loss),
                "wrongly_stopped": _mean(one.wrong),
                "front": _mean(one.front),
                "wasted_share": trials[name].wasted,
                "repeated_share": trials[name].repeated,
                "from_table_share": trials[name].from_table,
            }
            for name, one in by_name.items()
        },
        "aim": {
            "saved_share": AIM,
            "largest_ap_lost": found.noise["seeds"],
            "confidence": CONFIDENCE,
            "samplers": {
                name: {"saved": one.enough, "lost": one.within, "verdict": one.verdict} for name, one in by_name.items()
            },
        },
    }


def _mean(mean: Mean) -> dict[str, Any]:
    return {"mean": mean.value, "interval": None if mean.interval is None else list(mean.interval)}
