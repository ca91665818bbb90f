"""The pictures of a study, with their captions."""

from collections.abc import Iterator, Mapping

import pandas as pd
from matplotlib.figure import Figure

from harness.core.arch import ArchConfig
from harness.evaluation.ap import IOU_THRESHOLD
from harness.reporting.format import counted, notes, percent
from harness.reporting.parts import part_counts
from harness.reporting.publish import Picture
from harness.reporting.study import plots, tables
from harness.reporting.study.data import FROM_SLICES, StudyData
from harness.reporting.study.fronts import front, reference_text
from harness.reporting.study.gallery import gallery

LEAST_SCORE = 0.5
"""Least score of a detection in the gallery."""

EXAMPLES = 6
"""Images in the gallery."""

GALLERY = "gallery.png"
"""The gallery of a study of photographs, which stays in the study's folder."""

_UNSEARCHED, _UNSCORED = "Nothing was searched.", "No student has a search AP yet."


def pictures(data: StudyData, frame: pd.DataFrame) -> list[Picture]:
    """Return the pictures of a study, in the order of the report.

    Args:
        data: the study.
        frame: its ``tables.results``.
    """
    scored = frame[frame["search_ap_mean"].notna()] if len(frame) else frame
    trained = notes(tables.trials(data), "trial")
    return [
        *_scores(data, trained),
        _pareto(data, scored, trained),
        *_hypervolume(data),
        _parts(data),
        _speed(data, scored, trained),
        _learning(data),
        _precision_recall(data),
        _importance(data),
        _examples(data),
    ]


def _scores(data: StudyData, trained: Mapping[str, str]) -> Iterator[Picture]:
    """Yield the scores of all candidates, if they were scored by shared weights."""
    found = [one for one in data.scores if one.ap.get("mean") is not None]
    if not found:
        return
    ended = {record.number: record for record in data.candidates("complete")}
    rows, said = [], {}
    for one in found:
        record, score = ended.get(one.number), one.ap["mean"]
        label = record.label if record is not None else f"score {one.number}"
        epoch = data.shortlist[one.number].ap.get("mean") if one.number in data.shortlist else None
        ap = None if record is None else record.search_ap.get("mean")
        rows.append({"label": label, "params": one.params, "score": score, "epoch": epoch, "ap": ap})
        chosen = "; ".join(f"{axis}={value}" for axis, value in one.configuration.items())
        alone = f"candidate {one.number}\nparameters: {one.params:,}\nconfiguration: {chosen}"
        said[label] = f"{trained.get(label, alone)}\nscore, %: {percent(score)}"
    listed = "Middle: the short list after an epoch of training. " if data.shortlist else ""
    text = (
        "Small: the search AP of each candidate with slices of the shared weights, after a few steps of its own. "
        f"{listed}Large: finalists after training to the end. Lines join APs of one candidate."
    )
    yield Picture("Scores against parameters", "scores", text, plots.scores(pd.DataFrame(rows), data.budget), said)


def _pareto(data: StudyData, scored: pd.DataFrame, trained: Mapping[str, str]) -> Picture:
    title, name = "Search AP against parameters", "pareto"
    if data.best is None:
        return Picture(title, name, _UNSCORED if data.study.config.trials else _UNSEARCHED)
    students = scored[scored["role"] == "candidate"]
    if len(students) > 1 and students["params"].nunique() == 1:
        return Picture(title, name, f"All students have {data.best.params:,} parameters.")
    text = (
        "All students trained to the end; the line joins those above every smaller student. Dashed: the budget of "
        f"{data.budget:,} parameters. V2 is a reference outside the search. {_ringed(data)}{_seeds(scored)}"
    )
    figure = plots.pareto(scored, data.budget, _headings(data), _marks(data))
    return Picture(title, name, text.rstrip(), figure, trained)


def _marks(data: StudyData) -> dict[str, str]:
    """Return label → text of the members of the Pareto front of several objectives; only the knee has a text."""
    found = front(data)
    if found is None:
        return {}
    return {record.label: f"knee ({record.label})" if record is found.knee else "" for record in found.members}


def _ringed(data: StudyData) -> str:
    return f"Ringed: the Pareto front of {', '.join(data.study.config.objectives)}. " if front(data) else ""


def _hypervolume(data: StudyData) -> Iterator[Picture]:
    """Yield the hypervolume over the trials, if there are several objectives."""
    if len(data.study.config.objectives) < 2:
        return
    title, name, found = "Hypervolume over the trials", "hypervolume", front(data)
    if found is None:
        yield Picture(title, name, _UNSCORED)
        return
    text = (
        f"Hypervolume of the Pareto front of {', '.join(data.study.config.objectives)} after each trial, by number: "
        f"{found.volume:.4f} after the last one. Reference point: {reference_text(data)}."
    )
    yield Picture(title, name, text, plots.hypervolume(found.volumes))


def _seeds(shown: pd.DataFrame) -> str:
    return "Hollow: other seeds of a network. " if (shown["repeat_of"] != "").any() else ""


def _parts(data: StudyData) -> Picture:
    title, name = "Parameters by part", "parts"
    shown = data.shown()
    if not shown:
        return Picture(title, name, "No network has been counted yet.")
    if "V2" in shown:
        for same in ("V2 alone", FROM_SLICES):
            shown.pop(same, None)
    counts = pd.DataFrame.from_dict({h: part_counts(r.parts) for h, r in shown.items()}, orient="index")
    text = "The attentions after the backbone and after the neck are one part, as in the documents."
    return Picture(title, name, text, plots.parts(counts, data.budget))


def _speed(data: StudyData, scored: pd.DataFrame, trained: Mapping[str, str]) -> Picture:
    title, name = "Search AP against speed", "speed"
    predicted = data.study.config.predicts_latency
    if predicted and len(scored):
        scored = scored.assign(speed_ratio_to_v1=1 / scored["latency_predicted"].astype(float))
    fast = scored[scored["speed_ratio_to_v1"].notna()] if len(scored) else scored
    if not (len(fast) and (fast["role"] == "candidate").any()):
        searched = data.study.config.trials
        return Picture(title, name, "No student's speed has been measured yet." if searched else _UNSEARCHED)
    built = [ArchConfig.from_dict(record.arch) for record in data.candidates("complete")]
    if len(built) > 1 and len(set(built)) == 1:
        text = "All students have one architecture: their speeds differ only by the load on the machine."
        return Picture(title, name, text)
    what = "Predicted FPS" if predicted else "FPS"
    text = f"{what} relative to V1's. {_ringed(data)}{_seeds(fast)}"
    figure = plots.speed(fast, _headings(data), f"{what} relative to V1", _marks(data))
    return Picture(title, name, text.rstrip(), figure, trained)


def _learning(data: StudyData) -> Picture:
    title, name = "Learning curves", "learning_curves"
    rows = [
        {"label": r.label, "role": r.role, "state": r.state, "epoch": epoch["epoch"], "ap": epoch["ap"]["mean"]}
        for r in data.records
        if not r.repeat_of
        for epoch in r.epochs
        if (epoch.get("ap") or {}).get("mean") is not None
    ]
    if not rows:
        return Picture(title, name, "No AP after an epoch has been recorded yet.")
    if len({row["epoch"] for row in rows if row["role"] != "teacher"}) == 1:
        return Picture(title, name, "Every student was evaluated after one epoch only: the tables have these APs.")
    text = (
        "Mean search AP after each epoch that was evaluated, of first trainings; a cross marks where a trial was "
        "pruned or failed."
    )
    return Picture(title, name, text, plots.learning_curves(pd.DataFrame(rows), _headings(data)))


def _precision_recall(data: StudyData) -> Picture:
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
    return Picture(title, name, "First trainings on the validation images, with their AP in %.", figure)


def _importance(data: StudyData) -> Picture:
    title, name = "Importance of the axes", "importance"
    if not data.importance:
        return Picture(title, name, "Too few students were trained to the end to estimate it.")
    text = (
        "How much each axis decides whether a student is among the best by mean search AP: PED-ANOVA (arXiv "
        f"2304.10255) on {counted(len(data.ranked), 'student')}; with few students the estimate is rough."
    )
    return Picture(title, name, text, plots.importance(pd.Series(data.importance)))


def _examples(data: StudyData) -> Picture:
    title, name = "Found, missed and false faces", "examples"
    if not data.synthetic:
        text = "WIDER FACE images are not shown: their licence does not allow redistribution."
        return Picture(title, name, f"{text} The study's folder has some in `{GALLERY}`." if data.examples else text)
    figure = faces_shown(data)
    if figure is None:
        return Picture(title, name, "The study has not written its example scenes yet.")
    text = (
        "Validation scenes, with detections that score at least "
        f"{LEAST_SCORE}. Found: IoU of at least {IOU_THRESHOLD} with an annotated face. Second detections on a face "
        "are false."
    )
    return Picture(title, name, text, figure)


def faces_shown(data: StudyData) -> Figure | None:
    """Return the gallery of a study's example images, whatever they show; None if there are none yet."""
    headings = _headings(data)
    if not any(label in image.found for image in data.examples for label in headings):
        return None
    return gallery(data.examples[:EXAMPLES], headings, LEAST_SCORE)


def _headings(data: StudyData) -> dict[str, str]:
    """Return label → heading of the networks that are named in pictures."""
    return {record.label: heading for heading, record in data.shown().items()}
