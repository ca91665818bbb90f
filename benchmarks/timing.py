"""How everything here is timed: two variants in turns, so that other load on the machine slows both alike."""

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
    """A benchmark lacks what it needs; the message says what that is."""


@dataclass(frozen=True)
class Given:
    """What a benchmark may use.

    Attributes:
        folder: an empty folder, removed afterwards.
        quick: whether sizes are toys that show only that the benchmark runs.
        data: a WIDER FACE copy, None where none is given.
    """

    folder: Path
    quick: bool = False
    data: Path | None = None


@dataclass(frozen=True)
class Variant:
    """One of two things that are timed in turns.

    Attributes:
        label: what it is, in a few words.
        run: does it once.
        amount: how many of what is compared one run does; its time is divided by this.
    """

    label: str
    run: Callable[[], object]
    amount: float = 1.0


@dataclass(frozen=True)
class Case:
    """One finding: the time of ``measured`` over the time of ``against``.

    Attributes:
        name: what sets it apart from the benchmark's other cases.
        measured, against: the two variants.
        rounds: how often each runs, after one run that is not timed.
        threads: PyTorch's and OpenCV's.
        facts: what else must be known to read the ratio, as plain data.
    """

    name: str
    measured: Variant
    against: Variant
    rounds: int = 15
    threads: int = 1
    facts: Mapping[str, Any] = field(default_factory=dict)


def measure(case: Case, quick: bool, on_round: Callable[[int, int], None]) -> dict[str, Any]:
    """Run both variants in every round, and swap their order from round to round.

    Args:
        case: what to time.
        quick: whether to run ``QUICK_ROUNDS`` rounds only.
        on_round: called with the rounds done and the rounds in all.

    Returns:
        plain data: ``case``, ``ratio`` (what is divided by what), ``median`` and ``quartiles`` of the ratio over the
        rounds, ``spread`` (its interquartile range), ``rounds``, ``threads``, ``seconds`` (label → median time of one
        of what is compared) and ``facts``.
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
    """Return a number rounded to four significant digits: no timing here is known better."""
    return float(f"{value:.4g}")
