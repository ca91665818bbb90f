"""The tables of a comparison: text for reports, plain numbers for ``results.csv`` and ``summary.json``."""

from typing import Any

import pandas as pd

from harness.evaluation.stats import Sampled, spread
from harness.reporting import landmarks
from harness.reporting.compare.data import Comparison, Group, Member
from harness.reporting.format import NOTHING, bounds, deviation, percent, points, signed
from harness.reporting.lock import protocol_digest

LEVELS = ("mean", "easy", "medium", "hard")


def distillation(group: Group) -> str:
    """Return the distillation settings of a group as text."""
    if not group.taught_by:
        return NOTHING
    how = group.record.distill
    settings = f"T {how['temperature']:g}, α {how['alpha']:g}, λ {how['feature_weight']:g}"
    # Records from before this setting existed do not have it.
    return f"{settings}, conditional" if how.get("conditional") else settings


def networks(found: Comparison) -> pd.DataFrame:
    """Return one row per group, as text: the AP as mean over seeds ± deviation over seeds [interval over images]."""
    measured = any(member.record.landmark for group in found.groups for member in group.members)
    several = len(found.studies) > 1
    return pd.DataFrame([_network(group, measured, several) for group in found.groups])


def _network(group: Group, marked: bool, studies: bool) -> dict[str, str]:
    return {
        "network": group.name,
        "distillation": distillation(group),
        "parameters": f"{group.record.params:,}",
        "against budget": signed(group.record.params, group.budget),
        "seeds": str(len(group.members)),
        "training, min": _minutes(group),
        **{f"AP {level}, %": _ap(group, level) for level in LEVELS},
        **({"landmark NME, %": landmarks.cell([member.record.landmark for member in group.members])} if marked else {}),
        **({"study": ", ".join(f"`{name}`" for name in group.studies)} if studies else {}),
    }


def _minutes(group: Group) -> str:
    """Return the mean training time over seeds; none for weights that were given."""
    seconds = [member.record.seconds.get("train", 0.0) for member in group.members]
    return f"{sum(seconds) / len(seconds) / 60:.1f}" if any(seconds) else NOTHING


def _ap(group: Group, level: str) -> str:
    over_seeds = deviation(spread(list(group.by_seed(level).values())))
    return f"{percent(group.ap.value[level])}{over_seeds} {bounds(group.ap.interval(level))}"


def pairs(found: Comparison) -> pd.DataFrame:
    """Return one row per difference, as text, in points of AP."""
    return pd.DataFrame(
        [
            {
                "difference": pair.name,
                "seeds": f"{len(pair.one.members)} − {len(pair.other.members)}",
                **{f"AP {level}": _difference(pair.ap, level) for level in LEVELS},
                "AP mean, over seeds": bounds(pair.over_seeds("mean"), points),
            }
            for pair in found.pairs
        ]
    )


def _difference(ap: Sampled, level: str) -> str:
    return f"{points(ap.value[level])} {bounds(ap.interval(level), points)}"


def published(found: Comparison) -> pd.DataFrame:
    """Return one row per published detector, as text."""
    return pd.DataFrame(
        [
            {
                "detector": name,
                **{f"AP {level}, %": f"{percent(ap.value[level])} {bounds(ap.interval(level))}" for level in LEVELS},
            }
            for name, ap in found.published.items()
        ]
    )


def results(found: Comparison) -> pd.DataFrame:
    """Return one row per training with everything that the tables are made from, in plain units: AP in [0, 1]."""
    return pd.DataFrame([_result(member, group, found) for group in found.groups for member in group.members])


def _result(member: Member, group: Group, found: Comparison) -> dict[str, Any]:
    record, ends = member.record, {level: member.ap.interval(level) or (None, None) for level in LEVELS}
    return {
        "study": member.study,
        "label": record.label,
        "group": group.name,
        "kind": group.kind,
        "seed": record.seed,
        "repeat_of": record.repeat_of,
        "taught_by": group.taught_by,
        **{f"distill_{key}": value for key, value in record.distill.items()},
        "params": record.params,
        "over_budget": record.params - group.budget,
        "train_seconds": record.seconds.get("train"),
        **{f"ap_{level}": member.ap.value[level] for level in LEVELS},
        **{f"ap_{level}_low": low for level, (low, _) in ends.items()},
        **{f"ap_{level}_high": high for level, (_, high) in ends.items()},
        **{f"landmark_{key}": record.landmark.get(key) for key in ("nme", "matched", "faces")},
        "protocol": protocol_digest(found.protocol),
    }


def numbers(ap: Sampled) -> dict[str, Any]:
    """Return value and interval of every level as plain data."""
    return {
        level: {"value": ap.value[level], "interval": None if (i := ap.interval(level)) is None else list(i)}
        for level in LEVELS
    }
