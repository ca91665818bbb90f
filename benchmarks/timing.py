"""Times two variants alternately, so that other load on the machine affects both."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np
import torch

QUICK_ROUNDS = 2


class SkippedError(Exception):
    """A benchmark needs data that were not given; the message names them."""


@dataclass(frozen=True)
class Given:
    """The inputs of a benchmark.

    Attributes:
        folder: an empty folder, removed afterwards.
        quick: whether to use toy sizes, which only check that the benchmark runs.
        data: folder of a WIDER FACE copy; None if none was given.
    """

    folder: Path
    quick: bool = False
    data: Path | None = None


@dataclass(frozen=True)
class Variant:
    """One of the two variants of a case.

    Attributes:
        label: its name in the table.
        run: runs it once.
        amount: number of units per run, for example images; the time of a run is divided by it.
    """

    label: str
    run: Callable[[], object]
    amount: float = 1.0


@dataclass(frozen=True)
class Case:
    """One ratio: the time of ``measured`` divided by the time of ``against``.

    Attributes:
        name: its name among the benchmark's cases.
        measured, against: the two variants.
        rounds: number of timed runs of each variant, after one run that is not timed.
        threads: number of threads of PyTorch and of OpenCV.
        facts: further data on the case.
    """

    name: str
    measured: Variant
    against: Variant
    rounds: int = 15
    threads: int = 1
    facts: Mapping[str, Any] = field(default_factory=dict)


def measure(case: Case, quick: bool, on_round: Callable[[int, int], None]) -> dict[str, Any]:
    """Time both variants in every round, in alternating order.

    Args:
        case: the case.
        quick: whether to run ``QUICK_ROUNDS`` rounds only.
        on_round: called with the number of rounds done and the total.

    Returns:
        plain data: ``case``, ``ratio`` (the labels of the two variants), ``median`` and ``quartiles`` of the ratio over
        the rounds, ``spread`` (its interquartile range), ``rounds``, ``threads``, ``seconds`` (label → median time per
        unit) and ``facts``.
    """
    rounds = QUICK_ROUNDS if quick else case.rounds
    times = np.zeros((rounds, 2))
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(case.threads)
    cv2.setNumThreads(case.threads)
    variants = (case.measured, case.against)
    on_round(0, rounds)
    try:
        for variant in variants:
            variant.run()
        for number, row in enumerate(times):
            for which in (0, 1) if number % 2 else (1, 0):
                started = perf_counter()
                variants[which].run()
                row[which] = (perf_counter() - started) / variants[which].amount
            on_round(number + 1, rounds)
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
    low, median, high = (float(value) for value in np.quantile(times[:, 0] / times[:, 1], (0.25, 0.5, 0.75)))
    return {
        "case": case.name,
        "ratio": f"{case.measured.label} / {case.against.label}",
        "median": significant(median),
        "quartiles": [significant(low), significant(high)],
        "spread": significant(high - low),
        "rounds": rounds,
        "threads": case.threads,
        "seconds": {
            variant.label: significant(float(np.median(column)))
            for variant, column in zip(variants, times.T, strict=True)
        },
        "facts": dict(case.facts),
    }


def significant(value: float) -> float:
    """Return a number rounded to four significant digits; timings are not more precise."""
    return float(f"{value:.4g}")
