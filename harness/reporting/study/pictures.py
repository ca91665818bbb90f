"""What is drawn of a study, and what is said below each picture."""

import pandas as pd

from harness.reporting.lock import protocol_digest
from harness.reporting.parts import COUNTED, part_counts
from harness.reporting.publish import Picture
from harness.reporting.study import plots, tables
from harness.reporting.study.data import StudyData

LEAST_SCORE = 0.5
"""Found faces that score less are left out of the examples picture."""

EXAMPLES = 6
"""Scenes in the examples picture."""


def pictures(data: StudyData, frame: pd.DataFrame) -> list[Picture]:
    """Return the pictures of a study, in the order of the report.

    Args:
        data: the study.
        frame: its ``tables.results``.
    """
    protocol = next((r.protocol for r in data.records if r.ap), None)
    measured = f"AP by the protocol `{protocol_digest(protocol)}`, in words under the first table." if protocol else ""
    scored = frame[frame["ap_mean"].notna()] if len(frame) else frame
    return [
        _pareto(data, scored, measured),
        _parts(data),
        _speed(data, scored, measured),
        _learning(data),
        _precision_recall(data, measured),
        _importance(data),
        _examples(data),
    ]


def _pareto(data: StudyData, scored: pd.DataFrame, measured: str) -> Picture:
    title, name = "AP against parameters", "pareto"
    if data.best is None:
        return Picture(title, name, "No student has a final AP yet, so there is nothing to draw.")
    text = (
        f"Every student trained to the end; the line joins those that no smaller student matches. Dashed: the budget "
        f"of {data.budget:,} parameters. V2 is a reference outside the search."
    )
    return Picture(title, name, f"{text} {COUNTED} {measured}", plots.pareto(scored, data.budget, _headings(data)))


def _parts(data: StudyData) -> Picture:
    title, name = "Parameters by part", "parts"
    shown = data.shown()
    if not shown:
        return Picture(title, name, "No network has been counted yet.")
    counts = pd.DataFrame.from_dict({h: part_counts(r.parts) for h, r in shown.items()}, orient="index")
    text = "Attention after the backbone and after the neck is one part here, as in the documents."
    return Picture(title, name, f"{text} {COUNTED}", plots.parts(counts, data.budget))


def _speed(data: StudyData, scored: pd.DataFrame, measured: str) -> Picture:
    title, name = "AP against speed", "speed"
    fast = scored[scored["speed_ratio_to_v1"].notna()] if len(scored) else scored
    if not (len(fast) and (fast["role"] == "candidate").any()):
        return Picture(title, name, "The speed of no searched student has been measured.")
    speed = next(r.speed for r in data.records if r.speed)
    text = f"{tables.speed_caption(speed)} {measured}"
    return Picture(title, name, text, plots.speed(fast, _headings(data)))


def _learning(data: StudyData) -> Picture:
    title, name = "Learning curves", "learning_curves"
    rows = [
        {"label": r.label, "role": r.role, "state": r.state, "epoch": epoch["epoch"], "ap": epoch["ap"]["mean"]}
        for r in data.records
        for epoch in r.epochs
        if (epoch.get("ap") or {}).get("mean") is not None
    ]
    if not rows:
        return Picture(title, name, "No AP after an epoch has been recorded yet.")
    count = data.study["config"]["data"]["epoch_images"]
    images = f"on {count:,} of the validation images" if count else "on all validation images"
    text = f"Mean AP after every epoch, {images}; a cross marks where a trial was stopped or failed."
    return Picture(title, name, text, plots.learning_curves(pd.DataFrame(rows), _headings(data)))


def _precision_recall(data: StudyData, measured: str) -> Picture:
    title, name = "Precision and recall", "precision_recall"
    shown = {heading: record for heading, record in data.shown().items() if record.curves}
    rows = [
        {"network": heading, "level": level, "recall": recall, "precision": precision}
        for heading, record in shown.items()
        for level, curve in record.curves.items()
        for recall, precision in zip(curve["recall"], curve["precision"], strict=True)
    ]
    if not rows:
        return Picture(title, name, "No precision-recall curve has been recorded yet.")
    figure = plots.precision_recall(pd.DataFrame(rows), {heading: record.ap for heading, record in shown.items()})
    return Picture(title, name, f"The figure beside each name is its AP in %. {measured}", figure)


def _importance(data: StudyData) -> Picture:
    title, name = "Importance of the axes", "importance"
    if not data.importance:
        return Picture(title, name, "Too few students were trained to the end to estimate it.")
    text = (
        "How much each axis decides whether a student is among the best by mean AP (PED-ANOVA, arXiv 2304.10255), "
        f"estimated from {len(data.ranked):,} students trained to the end. With few trials the estimate is rough."
    )
    return Picture(title, name, text, plots.importance(pd.Series(data.importance)))


def _examples(data: StudyData) -> Picture:
    title, name = "Examples", "examples"
    if not data.synthetic:
        return Picture(title, name, "Photographs are not shown: their licence does not allow to pass them on.")
    headings = _headings(data)
    if not any(label in scene.found for scene in data.examples for label in headings):
        return Picture(title, name, "The study has not written its example scenes yet.")
    text = f"Synthetic validation scenes. Found faces scoring below {LEAST_SCORE} are not drawn."
    return Picture(title, name, text, plots.examples(data.examples[:EXAMPLES], headings, LEAST_SCORE))


def _headings(data: StudyData) -> dict[str, str]:
    """Return label → heading of the networks that are named in pictures."""
    return {record.label: heading for heading, record in data.shown().items()}
