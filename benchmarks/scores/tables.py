"""The tables of scores: text for reports and the terminal, plain numbers for ``results.csv``."""

import pandas as pd

from benchmarks.scores.agreement import Judged, Tau
from benchmarks.scores.data import Scores
from harness.reporting.format import NOTHING, bounds, minus, percent

ANOTHER = "full training, another seed"
"""Row of the ceiling."""


def taus(found: Judged) -> pd.DataFrame:
    """Return one row per score as text, the cheapest first, and the ceiling last."""
    rows = [
        {
            "score": row.entry.title,
            "cost, %": cost(row.share),
            "once": f"{row.once:.1f}" if row.once else NOTHING,
            "Kendall τ": tau(row.tau),
            "τ with one training": NOTHING if row.one is None else minus(f"{row.one:.2f}"),
            "more than parameters": tau(row.gain, sign=True),
            "points lost": percent(row.lost),
            "ahead": "yes" if row.front else NOTHING,
        }
        for row in found.rows
    ]
    if found.ceiling is not None:
        rows.append(
            {
                **dict.fromkeys(rows[0] if rows else (), NOTHING),
                "score": ANOTHER,
                "cost, %": "100",
                "τ with one training": tau(found.ceiling),
            }
        )
    return pd.DataFrame(rows)


def results(found: Scores) -> pd.DataFrame:
    """Return one row per candidate: parameters, MACs, mean search AP of every full training, and every score."""
    rows = []
    for label, one in found.candidates.items():
        row: dict[str, object] = {"candidate": label, "parameters": one.params, "macs": one.macs}
        row |= {f"ap_seed_{seed}": ap for seed, ap in zip(found.seeds, one.aps, strict=True)}
        row |= {name: score.values.get(label) for name, score in found.scores.items() if name not in ("params", "macs")}
        rows.append(row)
    return pd.DataFrame(rows)


def cost(share: float | None) -> str:
    """Return a share of a full training as a percentage with two significant digits, without an exponent."""
    if share is None:
        return NOTHING
    digits = f"{100 * share:.1e}"
    return f"{float(digits):.{max(0, 1 - int(digits[digits.index('e') + 1 :]))}f}"


def tau(value: Tau | None, *, sign: bool = False) -> str:
    """Return a τ and its interval."""
    if value is None:
        return NOTHING
    text = "{:+.2f}" if sign else "{:.2f}"
    return minus(f"{text.format(value.value)} {bounds(value.interval, text.format)}")
