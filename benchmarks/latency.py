"""How well the table of parts predicts the latency of whole networks that it has never seen.

    python benchmarks/latency.py

writes ``benchmarks/results/latency.json``. Candidates are drawn uniformly from a space within the default budget. Each
is measured twice in alternation with V1, as finalists of a study are. The mean of the two is compared with the
prediction from ``harness.evaluation.latency``'s table, which is measured first if it is not in ``--runs``. All
latencies are multiples of V1's. Compared are

- the prediction: the sum over the parts, divided by the sum over V1's;
- the same sum plus a constant instead of the division: what V1 takes beyond the sum over its own parts;
- MACs relative to V1's, and parameters, which cost no measurement;
- the second measurement with the first: the noise of measuring, which also limits the agreement of a prediction.

``--quick`` shows at a toy size that the script runs, and writes nothing.
"""

import argparse
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

from harness import cli
from harness.core.arch import ARCHS, ArchConfig
from harness.core.budget import Budget
from harness.core.evaluation import SpeedConfig
from harness.core.names import load_space
from harness.core.numbers import integer
from harness.core.provenance import provenance
from harness.core.space import SearchSpace
from harness.counting import SpaceCounts
from harness.evaluation.latency import ensure_latencies
from harness.evaluation.speed import measure
from harness.models.builder import build
from harness.models.costs import count, macs
from harness.models.latency import LatencyTable, parts_in, parts_of
from harness.search.speeds import THREADS

RESULT = Path(__file__).parent / "results" / "latency.json"
SPACE, CANDIDATES = "v2_light", 50
QUICK_SPACE, QUICK_CANDIDATES, QUICK = "v1_to_v2", 3, SpeedConfig(size=64, runs=3, warmup=0)

Values = NDArray[np.float64]
OnStage = Callable[[str, int, int], None]


def agreement(predicted: Values, measured: Values) -> dict[str, float]:
    """Return rank correlations and relative errors, in %, of predictions (n,) of measured values (n,)."""
    errors = 100 * (predicted / measured - 1)
    found = {
        "kendall": kendalltau(predicted, measured)[0],
        "spearman": spearmanr(predicted, measured)[0],
        "median_error": np.median(abs(errors)),
        "largest_error": abs(errors).max(),
        "bias": np.median(errors),
    }
    return {name: round(float(value), 3) for name, value in found.items()}


def draw(space: SearchSpace, number: int) -> list[ArchConfig]:
    """Return different architectures, drawn uniformly from the configurations within the default budget."""
    counts, rng = SpaceCounts(space), np.random.default_rng(0)
    found: dict[ArchConfig, None] = {}
    while len(found) < number:
        found[space.arch(counts.sample(Budget(), rng))] = None
    return list(found)


def measured(archs: Sequence[ArchConfig], config: SpeedConfig, on_stage: OnStage) -> Values:
    """Return the latencies (n, 2) of each network as multiples of V1's, from two measurements."""
    v1, rows = build(ARCHS["v1"]), []
    for done, arch in enumerate(archs):
        on_stage("measuring networks", done, len(archs))
        network = build(arch)
        rows.append([1 / measure(network, v1, config, "cpu", THREADS)["ratio_to_v1"] for _ in range(2)])
    on_stage("measuring networks", len(archs), len(archs))
    return np.array(rows)


def sums(archs: Sequence[ArchConfig], table: LatencyTable) -> Values:
    """Return for each network the sum (n,) of its parts' times, each as a multiple of V1's time."""
    return np.array([sum(table.times[str(placed)] for placed in parts_of(arch)) for arch in archs])


def validate(name: str, number: int, config: SpeedConfig, cache: Path, on_stage: OnStage) -> dict[str, Any]:
    """Return the agreement of every prediction with the measurements, as plain data."""
    space = load_space(name)
    table = ensure_latencies(parts_in(space), config, "cpu", THREADS, cache, on_stage)
    archs = draw(space, number)
    times, v1 = measured(archs, config, on_stage), ARCHS["v1"]
    whole, size = float(sums([v1], table)[0]), config.size
    computed = [sum(macs(arch, size, size).values()) for arch in (*archs, v1)]
    predictions = {
        "predicted": np.array([table.ratio(arch) for arch in archs], dtype=np.float64),
        "sum_plus_constant": sums(archs, table) + 1 - whole,
        "macs": np.array(computed[:-1]) / computed[-1],
        "parameters": np.array([count(arch) for arch in archs]) / count(v1),
    }
    return {
        "space": name,
        "candidates": len(archs),
        "parts": len(table.times),
        "conditions": dict(table.conditions),
        "runs": config.runs,
        "sum_over_v1": round(whole, 3),
        "agreement": {what: agreement(found, times.mean(1)) for what, found in predictions.items()}
        | {"second_measurement": agreement(times[:, 1], times[:, 0])},
        "latencies": [
            {"predicted": round(float(one), 4), "measured": [round(float(t), 4) for t in row]}
            for one, row in zip(predictions["predicted"], times, strict=True)
        ],
    }


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default=SPACE)
    parser.add_argument("--candidates", type=integer, default=CANDIDATES)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of runs, with the cache")
    parser.add_argument("--quick", action="store_true", help="a toy size, which shows that it runs; writes nothing")
    given = parser.parse_args(argv)
    torch.manual_seed(0)
    origin, load = provenance(), os.getloadavg()[0]
    space, number, config = given.space, given.candidates, SpeedConfig()
    if given.quick:
        space, number, config = QUICK_SPACE, QUICK_CANDIDATES, QUICK
    with cli.Progress() as progress:
        result = validate(space, number, config, given.runs / "cache", progress.stage)
    result |= {
        "versions": origin.versions,
        "machine": origin.machine,
        "commit": origin.commit,
        "load": [round(load, 2), round(os.getloadavg()[0], 2)],
        "command": "python benchmarks/latency.py",
    }
    text = json.dumps(result, indent=1)
    if not given.quick:
        RESULT.write_text(text + "\n", encoding="utf-8")
    print(text)
    return result


if __name__ == "__main__":
    main()
