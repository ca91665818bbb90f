"""The pictures of a comparison, with their captions."""

import math
from collections.abc import Iterator

import pandas as pd

from harness.evaluation.stats import CONFIDENCE
from harness.reporting.compare import plots, ranks
from harness.reporting.compare.data import REFERENCE, TEACHER, Comparison, Group
from harness.reporting.compare.recall import CLOSELY, recalls
from harness.reporting.compare.tables import LEVELS, networks
from harness.reporting.format import notes
from harness.reporting.publish import Picture
from harness.reporting.study.learning import training


def pictures_of(found: Comparison) -> list[Picture]:
    """Return the pictures of a comparison, in the order of the report."""
    drawn = [_aps(found), _parameters(found), _differences(found), _recalls(found)]
    return [*_orders(found), *drawn, *_seconds(found), *_learning(found)]


def _look(group: Group) -> str:
    if group.kind == TEACHER:
        return "teacher"
    if group.kind == REFERENCE:
        return "with a teacher" if group.taught_by else "without a teacher"
    return "best student"


def _rows(found: Comparison) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "name": group.name,
                "look": _look(group),
                "params": group.record.params,
                "level": level,
                "ap": 100 * value,
                "low": 100 * interval.low,
                "high": 100 * interval.high,
            }
            for group in found.groups
            for level in LEVELS
            if (value := group.ap.value[level]) is not None and (interval := group.ap.interval(level)) is not None
        ]
    )


def _aps(found: Comparison) -> Picture:
    seeds = pd.DataFrame(
        [
            {"name": group.name, "level": level, "ap": 100 * ap}
            for group in found.groups
            for level in LEVELS
            for ap in group.by_seed(level).values()
        ]
    )
    text = (
        f"Bars: {100 * CONFIDENCE:.0f} % intervals over images; small dots: single trainings of a network with "
        "several seeds."
    )
    return Picture("AP with its interval", "aps", text, plots.aps(_rows(found), seeds, LEVELS))


def _parameters(found: Comparison) -> Picture:
    frame = _rows(found)
    budgets = sorted({data.budget for data in found.studies})
    figure = plots.parameters(frame[frame["level"] == "mean"], budgets)
    text = "Mean AP with its interval over images; teachers on the right."
    return Picture("AP against parameters", "parameters", text, figure, notes(networks(found), "network"))


def _differences(found: Comparison) -> Picture:
    title, name = "Differences of mean AP", "differences"
    if not found.pairs:
        return Picture(title, name, "There are no two networks to compare.")
    rows = []
    for pair in found.pairs:
        low, high = pair.ap.interval("mean") or (None, None)
        seeds_low, seeds_high = pair.over_seeds("mean") or (None, None)
        values = {"value": pair.ap.value["mean"], "low": low, "high": high}
        values |= {"seeds_low": seeds_low, "seeds_high": seeds_high}
        panel = "against teachers" if pair.other.kind == TEACHER else "against each other"
        shown = {key: math.nan if value is None else 100 * value for key, value in values.items()}
        rows.append({"panel": panel, "name": pair.name, **shown})
    text = (
        "An interval that excludes zero shows a difference. The interval over seeds is missing if one of the two "
        "networks was trained only once."
    )
    return Picture(title, name, text, plots.differences(pd.DataFrame(rows)))


def _seconds(found: Comparison) -> Iterator[Picture]:
    """Yield search AP against training time, for the students whose search APs share the first study's protocol."""
    protocol = found.studies[0].study.search_protocol
    rows = []
    for group in (group for group in found.groups if group.kind != TEACHER):
        for record in (member.record for member in group.members if member.record.search_protocol == protocol):
            elapsed, shown = 0.0, {"name": group.name, "look": _look(group), "seed": record.seed}
            for info in record.epochs:
                elapsed += info["seconds"]
                mean = info["ap"].get("mean")
                if mean is not None:
                    rows.append(shown | {"minutes": elapsed / 60, "ap": 100 * mean})
    if rows:
        text = (
            "Mean search AP after an epoch against the training time so far; further seeds have thin lines. "
            "Evaluations take no time here. Compare times within one machine only."
        )
        yield Picture("AP against training time", "seconds", text, plots.against_time(pd.DataFrame(rows)))


def _orders(found: Comparison) -> Iterator[Picture]:
    """Yield the search APs of the candidates that the studies share, if they can be ranked."""
    frame = ranks.shared(found)
    if len(frame):
        text = (
            "Candidates that all studies trained. Blue: the best one in the study with the shortest trainings; red: "
            "the best one in the study with the longest."
        )
        frame["ap"] *= 100
        yield Picture("Search AP of the shared candidates", "ranks", text, plots.orders(frame))


def _learning(found: Comparison) -> Iterator[Picture]:
    """Yield the learning curve of each teacher that was trained in these studies."""
    for group in found.of_kind(TEACHER):
        if group.record.epochs:
            text = "Loss terms on the training images, and AP on the search split, after every epoch."
            name = f"learning-{group.record.label}"
            yield Picture(f"Learning curve of {group.name}", name, text, training(group.record))


def _recalls(found: Comparison) -> Picture:
    weights = list(dict.fromkeys(group.weights for group in found.groups if group.weights))
    looks: dict[str, tuple[str, str]] = {}
    for group in found.groups:
        alike = [look for look, _ in looks.values()].count(_look(group))
        number = weights.index(group.weights) if group.weights else alike
        looks[group.name] = _look(group), plots.LINES[number % len(plots.LINES)]
    attributes = [name for name in CLOSELY if name in found.faces]
    figure = plots.recalls(recalls(found), looks, attributes)
    text = "Below each value: its number of faces. Line styles distinguish teachers, and networks without a teacher."
    return Picture("Recall by face attribute", "recall", text, figure)
