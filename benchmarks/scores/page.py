"""Writes the report on scores to a folder: ``report.md``, ``report.html``, picture, CSV and ``summary.json``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.scores import plot, tables
from benchmarks.scores.agreement import Agreement, Judged, Tau
from benchmarks.scores.catalogue import CATALOGUE
from benchmarks.scores.clock import ROUNDS
from benchmarks.scores.data import Scores
from benchmarks.scores.findings import findings, headline, remarks
from harness.core.provenance import Provenance
from harness.core.record import write_json
from harness.reporting import publish
from harness.reporting.compare.ranks import RESAMPLES
from harness.reporting.format import counted, markdown
from harness.reporting.lock import protocol_digest
from harness.reporting.publish import Picture

KEY = "cheap_scores"
"""Key of ``summary.json`` that no other kind of report has."""


def check_report(target: Path) -> None:
    """Refuse to replace anything but an earlier report on scores.

    Raises:
        InputError: ``target`` exists and holds something else.
    """
    publish.check_target(target, KEY, "report on scores")


def write_report(found: Judged, target: Path, note: str = "") -> Path:
    """Write everything into ``target``, replacing an earlier report, and return its ``report.md``.

    Raises:
        InputError: ``target`` exists and holds something else.
    """
    check_report(target)
    measured, pictures = found.measured, [picture(found)]
    text = publish.render(
        "scores.md.j2",
        space=measured.table["space"],
        headline=headline(found),
        note=note,
        remarks=remarks(found),
        taus=markdown(tables.taus(found)),
        protocol=protocol_digest(measured.table["search_protocol"]),
        findings=findings(found),
        pictures=pictures,
        definitions=[_defined(name, score.detail) for name, score in measured.scores.items()],
        method=_method(measured),
        provenance=[Provenance(**one) for one in measured.provenance],
        commands=[measured.table["command"], measured.command],
    )
    with publish.replaced(target) as folder:
        publish.save_pictures(pictures, folder)
        tables.results(measured).to_csv(folder / publish.RESULTS, index=False)
        publish.write_report(folder, text, pictures)
        write_json(folder / publish.SUMMARY, summary(found) | {"note": note})
    return target / publish.REPORT


def summary(found: Judged) -> dict[str, Any]:
    """Return the result as one JSON object: every score's agreement and cost, the ceiling, findings."""
    measured = found.measured
    return {
        "table": measured.table,
        "candidates": len(measured.candidates),
        "seeds": len(measured.seeds),
        "ceiling": _numbers(found.ceiling),
        KEY: {row.name: _row(row) for row in found.rows},
        "findings": findings(found),
        "remarks": remarks(found),
        "provenance": measured.provenance,
        "command": measured.command,
    }


def _row(row: Agreement) -> dict[str, Any]:
    return {
        "title": row.entry.title,
        "candidates": row.candidates,
        "tau": _numbers(row.tau),
        "tau_with_one_training": row.one,
        "more_than_parameters": _numbers(row.gain),
        "ap_lost": row.lost,
        "share": row.share,
        "once": row.once,
        "front": row.front,
        "detail": row.detail,
    }


def _numbers(tau: Tau | None) -> dict[str, float] | None:
    return None if tau is None else {"value": tau.value, "low": tau.interval.low, "high": tau.interval.high}


def picture(found: Judged) -> Picture:
    """Return the picture of τ against cost; without a figure if no score has both."""
    count, limit = len(found.measured.candidates), found.ceiling
    rows = [
        {
            "title": row.entry.title,
            "kind": row.entry.kind,
            "share": 100 * row.share,
            "spread": 100 * (row.share + row.once / count),
            "tau": row.tau.value,
            "low": row.tau.interval.low,
            "high": row.tau.interval.high,
        }
        for row in found.rows
        if row.tau is not None and row.share is not None
    ]
    if not rows:
        return Picture("τ against cost", "scores", "No score has both a τ and a cost.")
    text = (
        "Kendall's τ between each score and the mean search AP of the full schedule, with its interval, against the "
        f"score's cost per candidate. What costs less than {plot.FLOOR} % is drawn there. Hollow: with the training of "
        "the shared weights, spread over these candidates."
    )
    if limit is not None:
        text += " Dashed: τ between two full trainings with different seeds; one training is noisier than their mean."
    figure = plot.taus(pd.DataFrame(rows), None if limit is None else limit.value)
    return Picture("τ against cost", "scores", text, figure)


def _defined(name: str, detail: str) -> str:
    entry = CATALOGUE[name]
    return f"**{entry.title}**: {entry.definition}." + (f" Here: {detail}." if detail else "")


def _method(found: Scores) -> Sequence[str]:
    table = found.table
    images = ", ".join(f"{split} `{digest}`" for split, digest in table["images"].items() if split != "val")
    said = [
        f"Truth: the mean search AP after the last of {table['epochs']} epochs, mean over the seeds of the table. "
        "Scores read training images and the search split, never the validation images. Score and truth have the same "
        "search images, so that the intervals cover other candidates, not other images.",
        "All scores have one seed that is none of the table's, the same for all candidates. A score and the trainings "
        "that it is compared with have no random numbers in common, as two full trainings have none.",
        f"Intervals: percentiles of {RESAMPLES:,} resamples of the candidates. More than parameters: difference of two "
        "τ on the same resamples. Points lost: AP of the best candidate less that of the one with the highest score.",
        f"Images: {images}. Space `{table['space']}`, training version {table['training']}, "
        f"{counted(table['threads'], 'thread')} per training.",
    ]
    if found.full:
        seconds = ", ".join(f"`{label}` {full.seconds:,.0f}" for label, full in found.full.items())
        timed = counted(len(found.full), "candidate")
        said.append(
            "Cost: steps and evaluations of the score and steps of the same candidate's full training are timed "
            f"alternately in one process on one core (median of {ROUNDS} rounds), for {timed} from the fewest to the "
            "most MACs. The mean of their shares is given. A training is its number of steps and one evaluation. "
            "Batches and the teacher's outputs are read from disk, as in all but a first training. Seconds of these "
            f"full trainings, in workers beside others: {seconds}."
        )
    return said
