"""What is drawn of a comparison, and what is said below each picture."""

from collections.abc import Iterator, Sequence

import pandas as pd

from harness.evaluation.stats import CONFIDENCE
from harness.reporting.compare import plots
from harness.reporting.compare.data import REFERENCE, STUDENT, TEACHER, Comparison, Group
from harness.reporting.compare.losses import CLOSELY, RECALL_NOTE, recalls
from harness.reporting.compare.tables import LEVELS
from harness.reporting.lock import protocol_digest
from harness.reporting.study.learning import training
from harness.reporting.study.page import Picture
from harness.reporting.study.tables import COUNTED

STUDENTS_DRAWN = 8
"""Students in the picture of all APs; the table has all of them."""


def pictures_of(found: Comparison) -> list[Picture]:
    """Return the pictures of a comparison, in the order of the report."""
    measured = f"AP by the protocol `{protocol_digest(found.protocol)}`, in words under the first table."
    drawn = [_aps(found, measured), _parameters(found, measured), _differences(found, measured), _recalls(found)]
    return [*drawn, *_learning(found)]


def _look(group: Group, found: Comparison) -> str:
    if group.kind == TEACHER:
        return "teacher"
    if group.kind == REFERENCE:
        return "with a teacher" if group.taught_by else "without a teacher"
    return "best student" if group in found.best.values() else "student"


def _rows(groups: Sequence[Group], found: Comparison) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "name": group.name,
                "look": _look(group, found),
                "params": group.record.params,
                "level": level,
                "ap": 100 * value,
                "low": 100 * interval.low,
                "high": 100 * interval.high,
            }
            for group in groups
            for level in LEVELS
            if (value := group.ap.value[level]) is not None and (interval := group.ap.interval(level)) is not None
        ]
    )


def _aps(found: Comparison, measured: str) -> Picture:
    students = found.of_kind(STUDENT)
    drawn = [group for group in found.shown if group.kind != STUDENT]
    drawn += [s for rank, s in enumerate(students) if rank < STUDENTS_DRAWN or s in found.shown]
    seeds = pd.DataFrame(
        [
            {"name": group.name, "level": level, "ap": 100 * ap}
            for group in drawn
            for level in LEVELS
            for ap in group.by_seed(level).values()
        ]
    )
    figure = plots.aps(_rows(drawn, found), seeds, LEVELS)
    left = len(students) - sum(group.kind == STUDENT for group in drawn)
    text = (
        f"Bars: {100 * CONFIDENCE:.0f} % intervals over images; small dots: one training each, where there are several"
        f"{f'; {left:,} further students are in the table' if left else ''}. {measured}"
    )
    return Picture("AP with its interval", "aps", text, figure)


def _parameters(found: Comparison, measured: str) -> Picture:
    frame = _rows(found.groups, found)
    budgets = sorted({data.budget for data in found.studies})
    figure = plots.parameters(frame[frame["level"] == "mean"], budgets)
    text = f"Every network of every study, with its interval over images; teachers on the right. {COUNTED} {measured}"
    return Picture("AP against parameters", "parameters", text, figure)


def _differences(found: Comparison, measured: str) -> Picture:
    title, name = "Differences of mean AP", "differences"
    if not found.pairs:
        return Picture(title, name, "There are no two networks that were made to be compared.", None)
    nothing = (float("nan"), float("nan"))
    rows = []
    for pair in found.pairs:
        (low, high), (seeds_low, seeds_high) = pair.ap.interval("mean") or nothing, pair.over_seeds("mean") or nothing
        values = {"value": pair.ap.value["mean"], "low": low, "high": high}
        values |= {"seeds_low": seeds_low, "seeds_high": seeds_high}
        panel = "against teachers" if pair.other.kind == TEACHER else "against each other"
        rows.append({"panel": panel, "name": pair.name, **{key: 100 * (value or 0.0) for key, value in values.items()}})
    text = (
        "A bar that does not touch the line of zero is a difference; without an interval over seeds, one of two was "
        f"trained once. {measured}"
    )
    return Picture(title, name, text, plots.differences(pd.DataFrame(rows)))


def _learning(found: Comparison) -> Iterator[Picture]:
    """Yield how each teacher learned that was trained here."""
    search_images = {data.study["name"]: data.study["config"]["data"]["search_images"] for data in found.studies}
    for group in found.of_kind(TEACHER):
        if not group.record.epochs:
            continue
        figure = training(group.record, search_images[group.members[0].study])
        text = "Loss terms on the training images and AP after each epoch; the final AP is that of all images."
        yield Picture(f"How {group.name} learned", f"learning-{group.record.label}", text, figure)


def _recalls(found: Comparison) -> Picture:
    weights = list(dict.fromkeys(group.weights for group in found.shown if group.weights))
    lines = dict(zip(weights, plots.LINES, strict=False))
    looks = {group.name: (_look(group, found), lines.get(group.weights, plots.LINES[0])) for group in found.shown}
    attributes = [name for name in CLOSELY if name in found.faces]
    figure = plots.recalls(recalls(found), looks, attributes)
    text = f"{RECALL_NOTE} Below each kind of face, how many there are. Lines of one style have one teacher."
    return Picture("Which faces are found", "recall", text, figure)
