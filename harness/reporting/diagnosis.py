"""The report of a diagnosis of distillation: sentences, Markdown tables and a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from harness.core.sealed import read_sealed, write_sealed
from harness.diagnosis.gradients import TRUTH
from harness.errors import DataError
from harness.reporting.format import NOTHING, markdown, minus, percent
from harness.reporting.style import BLUE, LIGHT, ORANGE, plain, save

FOLDER, DATA, PAGE, PICTURE = "diagnosis", "diagnosis.json", "diagnosis.md", "gradients.png"
MOMENTS = ("start", "end")
SUMS = ("truth", "teacher", "total")

REDUNDANT, AGREES, CONFLICT = 0.8, 0.3, -0.1
"""Least cosines to the ground-truth gradient at which a term repeats it, mostly agrees with it, or is weakly aligned
with it; below the last one, a term opposes it."""

SPREAD = 0.05
"""Standard deviation of the softened face probability below which a teacher hardly separates priors of one label."""

HOW = (
    "Gradients are with respect to the student's parameters. Each term has its weight in the loss, and BatchNorms are "
    "in train mode. Norm and cosine are means over batches (± standard deviation); a share is a norm divided by the "
    "sum of all terms' norms. The ground-truth gradient is that of the ground truth's weighted terms on the same "
    f"batch. By its cosine to that gradient, a term repeats it (at least {REDUNDANT:g}), mostly agrees with it (at "
    f"least {AGREES:g}), is weakly aligned with it (at least {CONFLICT:g}) or opposes it. AdamW divides the step of "
    "every parameter by the size of its past gradients: compare terms within a part, not parts with each other.\n\n"
    "Outputs are those of both networks in eval mode. Errors are smooth L1 of the encoded offsets per positive prior. "
    "A confident prior scores above the study's threshold; it is a false alarm if it is not positive and its box has "
    "an IoU below 0.5 with every annotated face of the crop. Entropy and spread (standard deviation of the face "
    "probability) are computed from the classes softened by T; negatives are the negative priors that the class "
    "imitation includes."
)

Data = Mapping[str, Any]


def load_diagnosis(folder: Path) -> dict[str, Any] | None:
    """Return the diagnosis in a study's folder, as ``write_diagnosis`` wrote it; None if there is none.

    Raises:
        DataError: it is broken.
    """
    path = folder / FOLDER / DATA
    if not path.exists():
        return None
    try:
        return read_sealed(path)
    except DataError as error:
        raise DataError(f"{error}; python -m harness.diagnose {folder.name} makes it again") from error


def write_diagnosis(folder: Path, found: Data) -> Path:
    """Write page, picture and data into ``folder/diagnosis`` and return the page's path.

    Args:
        folder: the study's.
        found: ``study``, ``command``, ``data``, ``teacher`` (label, params), ``seed``, ``epoch`` and ``students``:
            label → what ``harness.diagnosis.student.diagnose`` returns.
    """
    target = folder / FOLDER
    target.mkdir(exist_ok=True)
    save(picture(found), target / PICTURE)
    (target / PAGE).write_text(page(found), encoding="utf-8")
    write_sealed(target / DATA, dict(found))
    return target / PAGE


def findings(found: Data) -> list[str]:
    """Return the findings as sentences, student by student, each sentence once."""
    said = []
    for label, student in found["students"].items():
        said += [_pull(f"`{label}`, {moment}", student[moment]) for moment in MOMENTS if student[moment] is not None]
        said += [*_taught(label, student), *student["notes"]]
    return list(dict.fromkeys(said))


def _pull(where: str, rows: Data) -> str:
    shares = {name: row["share"] for name, row in rows.items() if name not in SUMS and row["share"] is not None}
    if not shares:
        return f"{where}: every gradient is zero."
    largest = max(shares, key=lambda name: shares[name])
    text = f"{where}: {largest} has the largest share of the gradient norms, {percent(shares[largest])} %."
    if "teacher" not in rows:
        return f"{text} There is no teacher term."
    terms = "".join(f"; {name} {_direction(rows[name]['cosine'], 'it')}" for name in shares if name not in TRUTH)
    teacher, total = rows["teacher"], rows["total"]
    return (
        f"{text} The teacher's terms have a share of {percent(teacher['share'])} %: their sum "
        f"{_direction(teacher['cosine'], 'the ground-truth gradient')}{terms}. The cosine of the total gradient to the "
        f"ground-truth gradient is {_cosine(total['cosine'])}."
    )


def _direction(cosine: float | None, what: str) -> str:
    if cosine is None:
        return "is zero"
    limits = ((REDUNDANT, "repeats"), (AGREES, "mostly agrees with"), (CONFLICT, "is weakly aligned with"))
    verdict = next((text for least, text in limits if cosine >= least), "opposes")
    return f"{verdict} {what} ({_cosine(cosine)})"


def _taught(label: str, student: Data) -> list[str]:
    teacher, own, distill = student["teacher"], student["student"], student["distill"]
    if not teacher["positives"]:
        return [f"`{label}`: no prior of these batches is positive; use more --batches."]
    said = [
        f"On {teacher['positives']:,} positive priors the teacher's mean face score is {teacher['score']:.2f}, with "
        f"{percent(teacher['missed_share'])} % of them below 0.5; that of `{label}` is {own['score']:.2f}, with "
        f"{percent(own['missed_share'])} %."
    ]
    for name in ("box", "landmark"):
        theirs, ours = teacher[f"{name}_error"], own[f"{name}_error"]
        if theirs is None or ours is None:
            continue
        verdict = "not less: on average, imitating it does not lead towards the ground truth"
        if theirs < ours:
            verdict = f"{percent(1 - theirs / ours)} % less: imitating it leads towards the ground truth"
        said.append(f"The teacher's {name} error is {theirs:.3f}, that of `{label}` {ours:.3f}; {verdict}.")
    spreads = [s for s in (teacher["spread_positive"], teacher["spread_negative"]) if s is not None]
    apart = "it distinguishes such priors" if max(spreads) >= SPREAD else "it is little more than a smoothed label"
    if teacher["confident"]:
        said.append(
            f"Of the teacher's {teacher['confident']:,} confident priors (score above {distill['score_threshold']:g}), "
            f"{percent(teacher['unmatched_share'])} % are not positive and {percent(teacher['false_alarm_share'])} % "
            f"are false alarms, which distillation {'leaves out' if distill.get('conditional') else 'passes on'}."
        )
    said.append(
        f"Softened by T = {distill['temperature']:g}, the teacher's classes have an entropy of "
        f"{teacher['entropy_positive']:.2f} bits on positive priors (a hard label: 0). The standard deviation of its "
        f"face probability is at most {max(spreads):.3f} among priors with the same label: {apart} "
        f"(threshold {SPREAD:g})."
    )
    return said


def gradient_table(rows: Data, weights: Data) -> pd.DataFrame:
    """Return one row per term and sum of terms, with the norm in every part of the network, as text."""
    return pd.DataFrame(
        [
            {
                "term": f"all: {name}" if name in SUMS else name,
                "weight": NOTHING if name in SUMS else f"{weights[name]:g}",
                "share, %": percent(row["share"]),
                "cosine to ground truth": _cosine(row["cosine"], row["cosine_std"]),
                "norm": _number(row["norm"]),
                **{part: _number(norm) for part, norm in row["parts"].items()},
            }
            for name, row in rows.items()
        ]
    )


def output_table(label: str, student: Data) -> pd.DataFrame:
    """Return the outputs of teacher and student side by side, as text."""
    names = [*student["teacher"]]
    columns = {
        network: [
            percent(row[n]) + " %" if n.endswith("share") and row[n] is not None else _number(row[n]) for n in names
        ]
        for network, row in (("teacher", student["teacher"]), (label, student["student"]))
    }
    return pd.DataFrame({"outputs": [name.replace("_", " ") for name in names], **columns})


def page(found: Data, file: str = PICTURE) -> str:
    """Return the diagnosis in Markdown; ``file`` is the name of its picture."""
    teacher, first = found["teacher"], next(iter(found["students"].values()))
    lines = [
        f"# Diagnosis of distillation in {found['study']}",
        f"Teacher `{teacher['label']}`, {teacher['params']:,} parameters. {first['images']:,} training images of the "
        f"study on {found['data']}, in {first['batches']:,} batches, augmented as in training with seed "
        f"{found['seed']} and epoch {found['epoch']}, which no training uses. Made by `{found['command']}`.",
        "\n".join(f"- {sentence}" for sentence in findings(found)),
        f"![Gradient shares]({file})",
        HOW,
    ]
    for label, student in found["students"].items():
        for moment in MOMENTS:
            if student[moment] is not None:
                lines.append(f"## {label}: gradients at the {moment} of training")
                lines.append(markdown(gradient_table(student[moment], student["weights"])))
        lines += [f"## {label}: outputs after training", markdown(output_table(label, student))]
    return "\n\n".join(lines) + "\n"


def picture(found: Data) -> Figure:
    """Draw every term's share of the gradient norms at start and end, with its cosine to the ground-truth gradient."""
    students = found["students"]
    figure = Figure(figsize=(7.2, 0.6 + 2.9 * len(students)), layout="constrained")
    grid = figure.subplots(len(students), 1, squeeze=False, sharex=True)[:, 0]
    for axes, (label, student) in zip(grid, students.items(), strict=True):
        plain(axes)
        terms = [name for name in student["end"] | (student["start"] or {}) if name not in SUMS]
        for moment, offset in zip(MOMENTS, (-0.2, 0.2), strict=True):
            for name, row in (student[moment] or {}).items():
                if name in SUMS or row["share"] is None:
                    continue
                colour, share, position = (
                    BLUE if name in TRUTH else ORANGE,
                    100 * row["share"],
                    terms.index(name) + offset,
                )
                fill = colour if moment == "end" else LIGHT
                axes.barh(position, share, height=0.36, facecolor=fill, edgecolor=colour)
                axes.text(share, position, f" {moment}, cosine {_cosine(row['cosine'])}", va="center", fontsize=7.5)
        axes.set_yticks(range(len(terms)), terms)
        axes.invert_yaxis()
        axes.set_title(label, loc="left", fontsize=10)
    grid[-1].set_xlim(0, 1.3 * max(1, *(axes.dataLim.xmax for axes in grid)))  # Room for the longest bar's text.
    grid[-1].set_xlabel("share of all terms' gradient norms, %  (blue: ground truth, orange: teacher)")
    return figure


def _cosine(value: float | None, deviation: float | None = None) -> str:
    text = NOTHING if value is None else minus(f"{value:+.2f}")
    return text if deviation is None else f"{text} ± {deviation:.2f}"


def _number(value: float | None) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return NOTHING if value is None else f"{value:.3g}"
