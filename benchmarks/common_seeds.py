"""How much less noise the difference of two networks has if both are trained with the same seeds.

    python benchmarks/common_seeds.py

writes ``benchmarks/results/common_seeds.json``. V2 and a candidate that differs from it in one option are trained by
the protocol of the ``default`` study without shared weights, each with the same seeds, as all networks of a study are
(common random numbers). Of their difference in mean search AP, in points, are given

- ``paired``: the standard deviation over seeds, where both networks have the same seed;
- ``unpaired``: the standard deviation where both have different seeds, for which all trainings are used: the root of
  the sum of both networks' variances;
- ``ratio``: the first divided by the second; its square is the share of seeds that are needed for the same precision;
- ``correlation`` of the two networks over seeds (Pearson). For equal variances, the ratio is √(1 - correlation).

Intervals are percentiles of a bootstrap over seeds. Networks that differ in more options share fewer random numbers, so
that this is one pair of neighbours and not every pair of a search.

It takes ten minutes on two cores. The trainings are those of a study ``common_seeds`` in ``--runs``; the same command
resumes them, or adds seeds. ``--quick`` shows at a toy size that the script runs, and writes nothing.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import cli
from harness.core.evaluation import SpeedConfig
from harness.core.names import load_space, load_study
from harness.core.numbers import integer
from harness.core.protocol import StudyConfig
from harness.core.provenance import provenance
from harness.core.record import TrialRecord, load_records
from harness.evaluation.stats import CONFIDENCE
from harness.search.plan import label
from harness.search.resources import Resources
from harness.search.run import run_study
from harness.training.job import TRAINING_VERSION

RESULT = Path(__file__).parent / "results" / "common_seeds.json"
SPACE, REFERENCE = "architectures", "v2"
CHANGE = {"neck.repeats": 1}
"""The option in which the candidate differs from V2, which has two repeats and 8 parameters too many."""

SEEDS, QUICK_SEEDS, LEAST = 12, 3, 3
RESAMPLES = 10_000

Values = NDArray[np.float64]


def protocol(seeds: int, *, quick: bool) -> StudyConfig:
    """Return the study that trains both networks with ``seeds`` seeds each; the candidate is its only trial."""
    study = load_study("quick" if quick else "default")
    return replace(
        study,
        name="common_seeds",
        description="V2 and one candidate, with many seeds",
        space=SPACE,
        trials=1,
        enqueued=({**load_space(SPACE).base_configuration(), **CHANGE},),
        pruner="none",
        sharing=None,
        references=(REFERENCE,),
        seeds=seeds,
        speed=SpeedConfig(size=64, runs=3, warmup=0),  # Every training is measured, and no speed is used.
    )


def aps(records: Sequence[TrialRecord], network: str) -> dict[int, float]:
    """Return seed → mean search AP, in points, of the complete trainings of the network with this label."""
    trained = [one for one in records if network in (one.label, one.repeat_of) and one.state == "complete"]
    return {one.seed: 100 * mean for one in trained if (mean := one.search_ap.get("mean")) is not None}


def noise(one: Values, other: Values) -> dict[str, Values]:
    """Return ``paired``, ``unpaired``, ``ratio`` and ``correlation`` (…) of two networks' APs (…, seeds).

    Without any seed variance the last two are NaN.
    """
    apart = [side - side.mean(axis=-1, keepdims=True) for side in (one, other)]
    variances = [side.var(axis=-1, ddof=1) for side in (one, other)]
    covariance = (apart[0] * apart[1]).sum(axis=-1) / (one.shape[-1] - 1)
    paired, unpaired = (one - other).std(axis=-1, ddof=1), np.sqrt(variances[0] + variances[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = covariance / np.sqrt(variances[0] * variances[1])
        return {"paired": paired, "unpaired": unpaired, "ratio": paired / unpaired, "correlation": correlation}


def compared(one: Values, other: Values) -> dict[str, Any]:
    """Return the mean difference ``one - other`` of APs (seeds,), and its noise with bootstrap intervals.

    Resamples that hold a single seed have no noise, and are left out.
    """
    seeds = len(one)
    drawn = np.random.default_rng(0).integers(seeds, size=(RESAMPLES, seeds))
    drawn = drawn[np.ptp(drawn, axis=1) > 0]
    found, draws = noise(one, other), noise(one[drawn], other[drawn])
    rows = {name: {"value": _rounded(value), "interval": _ends(draws[name])} for name, value in found.items()}
    return {"seeds": seeds, "difference": _rounded((one - other).mean()), **rows}


def _ends(draws: Values) -> list[float | None]:
    """Return the ends of a percentile interval."""
    return [_rounded(end) for end in np.percentile(draws, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])]


def _rounded(value: Any) -> float | None:
    return round(float(value), 3) if np.isfinite(value) else None


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Train, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=integer, help=f"trainings of each network (default: {SEEDS})")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of runs")
    parser.add_argument("--quick", action="store_true", help="a toy size, which shows that it runs; writes nothing")
    given = parser.parse_args(argv)
    seeds = given.seeds or (QUICK_SEEDS if given.quick else SEEDS)
    if seeds < LEAST:
        parser.error(f"--seeds must be at least {LEAST}, got {seeds}")
    study, origin = protocol(seeds, quick=given.quick), provenance()
    with cli.Progress() as progress:
        run_study(study, Resources(runs=given.runs, tracking_uri="none"), progress)
    records = load_records(given.runs / study.name)
    networks = {REFERENCE: REFERENCE, "candidate": label(0)}
    found = {name: aps(records, network) for name, network in networks.items()}
    common = [seed for seed in found[REFERENCE] if seed in found["candidate"]]
    values = {name: np.array([by_seed[seed] for seed in common]) for name, by_seed in found.items()}
    result: dict[str, Any] = {
        "study": "quick" if given.quick else "default",
        "change": CHANGE,
        "parameters": {name: next(r.params for r in records if r.label == of) for name, of in networks.items()},
        "noise": compared(values["candidate"], values[REFERENCE]),
        "aps": {name: [round(float(ap), 2) for ap in row] for name, row in values.items()},
        "training": TRAINING_VERSION,
        "versions": origin.versions,
        "machine": origin.machine,
        "commit": origin.commit,
        "command": "python benchmarks/common_seeds.py" + (f" --seeds {seeds}" if given.seeds else ""),
    }
    text = json.dumps(result, indent=1)
    if not given.quick:
        RESULT.write_text(text + "\n", encoding="utf-8")
    print(text)
    return result


if __name__ == "__main__":
    main()
