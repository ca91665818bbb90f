"""Findings on scores: sentences that are computed from them."""

from collections.abc import Iterator

from benchmarks.scores.agreement import Agreement, Judged
from benchmarks.scores.catalogue import SHARED
from benchmarks.scores.tables import cost, tau
from harness.evaluation.stats import CONFIDENCE
from harness.reporting.format import counted, minus

FULLY = 32
"""Number of candidates from which on the intervals are narrow enough to be believed; fewer are a remark."""


def headline(found: Judged) -> str:
    """Return one paragraph: what was scored, and what it is compared with."""
    measured, table = found.measured, found.measured.table
    return (
        f"{counted(len(found.rows), 'score')} of {counted(len(measured.candidates), 'candidate')} of the space "
        f"`{table['space']}`, compared with the mean search AP of {counted(len(measured.seeds), 'full training')} of "
        f"{counted(table['epochs'], 'epoch')} each. The candidates are the first that were drawn, uniformly from "
        f"{table['feasible']:,} within {table['budget']}."
    )


def remarks(found: Judged) -> list[str]:
    """Return what limits the result."""
    said, measured = [], found.measured
    count, teacher = len(measured.candidates), measured.table["teacher"]
    if count < FULLY:
        said.append(f"Only {counted(count, 'candidate')}: the intervals say little.")
    if len(measured.seeds) == 1:
        said.append("The table has one training per candidate, so that how far two of them agree is not known.")
    if measured.teacher not in ("", teacher):
        said.append(
            f"The scores have another teacher (weights `{measured.teacher}`) than the table's trainings (`{teacher}`), "
            "for example one that was trained on another processor."
        )
    missing = [f"{row.entry.title} {count - row.candidates}" for row in found.rows if row.candidates < count]
    if missing:
        said.append(f"Candidates without a score, which are left out of its row: {', '.join(missing)}.")
    return said


def findings(found: Judged) -> list[str]:
    """Return statements about the result; a statement without data is left out."""
    rows = [row for row in found.rows if row.tau is not None]
    return [*_ceiling(found), *_front(rows), *_gains(rows), *_nothing(rows), *_shared(found)]


def _ceiling(found: Judged) -> Iterator[str]:
    if found.ceiling is None:
        return
    said = (
        "Two full trainings with different seeds agree on the order of the candidates with τ "
        f"{tau(found.ceiling)} ({100 * CONFIDENCE:.0f} % interval over candidates). No score can be expected to agree "
        "better with one training."
    )
    best = max((row for row in found.rows if row.one is not None), key=lambda row: row.one or 0.0, default=None)
    if best is not None:
        said += f" The highest that a score reaches is {minus(f'{best.one:.2f}')} ({best.entry.title})."
    yield said


def _front(rows: list[Agreement]) -> Iterator[str]:
    front = [f"{row.entry.title} (τ {tau(row.tau)} at {cost(row.share)} %)" for row in rows if row.front]
    if front:
        yield (
            "These agree better with the full schedule than every score that costs less per candidate: "
            f"{', '.join(front)}."
        )


def _gains(rows: list[Agreement]) -> Iterator[str]:
    more = [row.entry.title for row in rows if row.gain is not None and row.gain.interval.low > 0]
    less = [row.entry.title for row in rows if row.gain is not None and row.gain.interval.high < 0]
    compared = [row for row in rows if row.gain is not None]
    if more:
        yield f"Agree better than the number of parameters does, beyond the choice of candidates: {', '.join(more)}."
    elif compared:
        yield "No score is shown to agree better than the number of parameters does, which costs nothing."
    if less:
        yield f"Agree less than the number of parameters does, beyond the choice of candidates: {', '.join(less)}."


def _nothing(rows: list[Agreement]) -> Iterator[str]:
    none = [row.entry.title for row in rows if row.tau is not None and not row.tau.interval.excludes_zero]
    if none:
        yield f"The interval includes 0, so that no agreement is shown: {', '.join(none)}."
    against = [row.entry.title for row in rows if row.tau is not None and row.tau.interval.high < 0]
    if against:
        yield f"The order is the reverse of the full schedule's, beyond the choice of candidates: {', '.join(against)}."


def _shared(found: Judged) -> Iterator[str]:
    shared = [row for row in found.rows if row.entry.kind == SHARED and row.once and row.share is not None]
    if shared:
        once, count = shared[0].once, len(found.measured.candidates)
        each = ", ".join(f"{row.entry.title} {cost((row.share or 0.0) + once / count)} %" for row in shared)
        yield (
            f"The shared weights cost as much as {once:.1f} full trainings. Spread over these {count} candidates, a "
            f"score costs: {each}."
        )
