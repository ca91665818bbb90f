"""Why distillation does or does not help: a diagnosis as sentences, Markdown tables and a picture, without any path."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from harness.core.record import write_json
from harness.diagnosis.gradients import TRUTH
from harness.errors import DataError
from harness.reporting.study.plots import BLUE, DPI, LIGHT, ORANGE, plain
from harness.reporting.study.tables import NOTHING, markdown, percent

FOLDER, DATA, PAGE, PICTURE = "diagnosis", "diagnosis.json", "diagnosis.md", "gradients.png"
MOMENTS = ("start", "end")
SUMS = ("truth", "teacher", "total")

REDUNDANT, AGREES, CONFLICT = 0.8, 0.3, -0.1
"""Cosines to the ground truth's gradient: from the first on a term repeats it, from the second on it mostly agrees,
and below the last it works against it."""

SPREAD = 0.05
"""Standard deviation of the softened face probability below which a teacher hardly tells priors of a label apart."""

HOW = (
    "A term's gradient is that of the student's parameters after the term's weight in the loss, BatchNorms in train "
    "mode. Norm and cosine are means over batches (± standard deviation); share is a norm over the sum of all terms' "
    "norms. The cosine is to the sum of the ground truth's weighted terms on the same batch: from "
    f"{REDUNDANT:g} on a term repeats the truth, from {AGREES:g} on it mostly agrees, below {CONFLICT:g} it works "
    "against it, in between it says something else. AdamW divides every parameter's step by the size of its own past "
    "gradients: compare terms within a part, not parts with each other.\n\n"
    "Answers are those of both networks in eval mode. Errors are smooth L1 of the encoded offsets, a positive prior. A "
    "confident prior scores above the study's threshold; it is a false alarm where it is no positive and its box has "
    "IoU below 0.5 with every annotated face of the crop. Entropy and spread (standard deviation of the face "
    "probability) are of the classes softened by T; negatives are those that the class imitation runs over."
)

Data = Mapping[str, Any]


def load_diagnosis(folder: Path) -> dict[str, Any] | None:
    """Return the diagnosis in a study's folder, as ``write_diagnosis`` left it; None where there is none.

    Raises:
        DataError: it is broken.
    """
    path = folder / FOLDER / DATA
    if not path.exists():
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        command = f"python -m harness.diagnose {folder.name}"
        raise DataError(f"{path} is not readable: {error}; {command} makes it") from error
    return content


def write_diagnosis(folder: Path, found: Data) -> Path:
    """Write page, picture and data into ``folder/diagnosis`` and return the page's path.

    Args:
        folder: the study's.
        found: ``study``, ``command``, ``data``, ``teacher`` (label, params), ``seed``, ``epoch`` and ``students``:
            label → what ``harness.diagnosis.student.diagnose`` returns.
    """
    target = folder / FOLDER
    target.mkdir(exist_ok=True)
    picture(found).savefig(target / PICTURE, dpi=DPI, metadata={"Software": None})
    (target / PAGE).write_text(page(found), encoding="utf-8")
    write_json(target / DATA, found)
    return target / PAGE


def findings(found: Data) -> list[str]:
    """Return what follows, one sentence each, students in turn; nothing is said twice."""
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
    text = f"{where}: the largest gradient is {largest}'s with {percent(shares[largest])} % of all norms"
    if "teacher" not in rows:
        return f"{text}; no term is the teacher's."
    listed = "; ".join(f"{name} {_direction(rows[name]['cosine'])}" for name in shares if name not in TRUTH)
    teacher, total = rows["teacher"], rows["total"]
    return (
        f"{text}; the teacher's terms have {percent(teacher['share'])} %, their sum "
        f"{_direction(teacher['cosine'])}: {listed}. The whole gradient's cosine to the truth's is "
        f"{_cosine(total['cosine'])}."
    )


def _direction(cosine: float | None) -> str:
    if cosine is None:
        return "is zero"
    limits = (
        (REDUNDANT, "repeats the truth"),
        (AGREES, "mostly agrees with the truth"),
        (CONFLICT, "says something else"),
    )
    verdict = next((text for least, text in limits if cosine >= least), "works against the truth")
    return f"{verdict} ({_cosine(cosine)})"


def _taught(label: str, student: Data) -> list[str]:
    teacher, own, distill = student["teacher"], student["student"], student["distill"]
    if not teacher["positives"]:
        return [f"`{label}`: no prior of these batches is positive; take more --batches."]
    said = [
        f"On {teacher['positives']:,} positive priors the teacher scores {teacher['score']:.2f} on average and "
        f"{percent(teacher['missed_share'])} % of them below 0.5; `{label}` {own['score']:.2f} and "
        f"{percent(own['missed_share'])} %."
    ]
    for name in ("box", "landmark"):
        theirs, ours = teacher[f"{name}_error"], own[f"{name}_error"]
        if theirs is not None:
            better = (
                f"{percent(1 - theirs / ours)} % less: imitating it leads nearer to the truth" if theirs < ours else ""
            )
            verdict = better or "no less: on average, imitating it leads no nearer to the truth"
            said.append(f"The teacher's {name} error is {theirs:.3f} beside `{label}`'s {ours:.3f}, {verdict}.")
    if teacher["confident"]:
        said.append(
            f"Of the teacher's {teacher['confident']:,} confident priors (score above {distill['score_threshold']:g}), "
            f"{percent(teacher['unmatched_share'])} % are no positives and {percent(teacher['false_alarm_share'])} % "
            "are false alarms that it teaches."
        )
    spreads = [teacher["spread_positive"], teacher["spread_negative"]]
    known = [spread for spread in spreads if spread is not None]
    verdict = "it tells priors of a label apart" if max(known) >= SPREAD else "little more than a smoothed label"
    said.append(
        f"Softened by T = {distill['temperature']:g}, the teacher's classes hold {teacher['entropy_positive']:.2f} "
        f"bits on positives, where a label holds 0; its face probability spreads by {_spread(spreads[0])} among "
        f"positives, {_spread(spreads[1])} among negatives: {verdict} (threshold {SPREAD:g})."
    )
    return said


def gradient_table(rows: Data, weights: Data) -> pd.DataFrame:
    """Return one row a term and a sum of terms, with the norm in every part of the network, as text."""
    return pd.DataFrame(
        [
            {
                "term": f"all: {name}" if name in SUMS else name,
                "weight": NOTHING if name in SUMS else f"{weights[name]:g}",
                "share, %": percent(row["share"]),
                "cosine to truth": _cosine(row["cosine"], row["cosine_std"]),
                "norm": _number(row["norm"]),
                **{part: _number(norm) for part, norm in row["parts"].items()},
            }
            for name, row in rows.items()
        ]
    )


def answer_table(label: str, student: Data) -> pd.DataFrame:
    """Return what teacher and student answer, side by side, as text."""
    names = [*student["teacher"]]
    columns = {
        network: [
            percent(row[n]) + " %" if n.endswith("share") and row[n] is not None else _number(row[n]) for n in names
        ]
        for network, row in (("teacher", student["teacher"]), (label, student["student"]))
    }
    return pd.DataFrame({"answers": [name.replace("_", " ") for name in names], **columns})


def page(found: Data, file: str = PICTURE) -> str:
    """Return the diagnosis in Markdown; ``file`` is where its picture lies beside it."""
    teacher, first = found["teacher"], next(iter(found["students"].values()))
    lines = [
        f"# What the teacher of {found['study']} does to its students",
        f"Teacher `{teacher['label']}`, {teacher['params']:,} parameters. {first['images']:,} training images of "
        f"{found['data']} in {first['batches']:,} batches, augmented as in training, seed {found['seed']}, epoch "
        f"{found['epoch']}, which no training sees. Made by `{found['command']}`.",
        "\n".join(f"- {sentence}" for sentence in findings(found)),
        f"![Gradient shares]({file})",
        HOW,
    ]
    for label, student in found["students"].items():
        for moment in MOMENTS:
            if student[moment] is not None:
                lines.append(f"## {label}: gradients at the {moment} of training")
                lines.append(markdown(gradient_table(student[moment], student["weights"])))
        lines += [f"## {label}: answers after training", markdown(answer_table(label, student))]
    return "\n\n".join(lines) + "\n"


def picture(found: Data) -> Figure:
    """Draw every term's share of the gradient norms at start and end, its cosine to the truth behind the bar."""
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


def _spread(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"


def _cosine(value: float | None, deviation: float | None = None) -> str:
    text = NOTHING if value is None else f"{value:+.2f}".replace("-", "−")
    return text if deviation is None else f"{text} ± {deviation:.2f}"


def _number(value: float | None) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return NOTHING if value is None else f"{value:.3g}"
