"""The pictures of an ablation, with their captions."""

import math

import pandas as pd

from harness.core.arms import EXCHANGED
from harness.evaluation.stats import Interval, average
from harness.reporting.ablation import plots
from harness.reporting.ablation.counts import Counts
from harness.reporting.ablation.data import AblationData, Measured
from harness.reporting.compare.plots import differences
from harness.reporting.lock import protocol_digest
from harness.reporting.publish import Picture


def pictures_of(data: AblationData, counted: Counts) -> list[Picture]:
    """Return the pictures of an ablation, in the order of the report."""
    return [_waterfall(data, counted), _differences(data)]


def _waterfall(data: AblationData, counted: Counts) -> Picture:
    """Return the picture of the forward ladder, whose parameters are exact; APs are drawn where they were measured."""
    chain = [frozenset(EXCHANGED[:step]) for step in range(len(EXCHANGED) + 1)]
    totals = [counted.params[parts] for parts in chain]
    names = ["V1", *EXCHANGED]
    rows = [
        {"name": name, "before": before, "after": after} | _ap(data.combinations.get(parts), data)
        for name, before, after, parts in zip(names, [0, *totals], totals, chain, strict=False)
    ]
    rows.append({**rows[-1], "name": "V2", "before": 0})
    seeds = [
        {"name": row["name"], "ap": 100 * ap}
        for row, parts in zip(rows, [*chain, chain[-1]], strict=True)
        for ap in data.aps.get(data.combinations.get(parts, ""), ())
    ]
    text = (
        "V1's parts are exchanged for V2's in the order of the forward pass; a bar is what one exchange saves or adds. "
        f"Right: the AP of the network after that exchange. {_protocol(data)}"
    )
    figure = plots.waterfall(pd.DataFrame(rows), pd.DataFrame(seeds, columns=["name", "ap"]))
    return Picture("From V1 to V2", "waterfall", text, figure)


def _ap(label: str | None, data: AblationData) -> dict[str, float]:
    members = data.members[label] if label is not None else ()
    if not members:
        return dict.fromkeys(("ap", "low", "high"), math.nan)
    ap = average([member.ap for member in members])
    low, high = ap.interval("mean") or (math.nan, math.nan)
    return {"ap": 100 * (ap.value["mean"] or 0.0), "low": 100 * low, "high": 100 * high}


def _differences(data: AblationData) -> Picture:
    title, name = "Differences of AP", "differences"
    parts = [_row("effect of each part (Shapley)", part, one) for part, one in data.parts.items()]
    steps = [_row("differences", f"{one.a} − {one.b}", measured) for one, measured in data.differences]
    if not parts and not steps:
        return Picture(title, name, "No two networks have been trained with all their seeds yet.")
    text = f"A difference is shown where both intervals exclude zero by far enough for all of them. {_protocol(data)}"
    return Picture(title, name, text, differences(pd.DataFrame([*parts, *steps])))


def _row(panel: str, name: str, measured: Measured) -> dict[str, str | float]:
    images = measured.ap.interval("mean") or Interval(math.nan, math.nan)
    seeds = measured.estimate.over_seeds()
    values = {
        "value": measured.estimate.value,
        "low": images.low,
        "high": images.high,
        "seeds_low": seeds.low,
        "seeds_high": seeds.high,
    }
    return {"panel": panel, "name": name, **{key: 100 * value for key, value in values.items()}}


def _protocol(data: AblationData) -> str:
    return f"Validation AP: protocol `{protocol_digest(data.found.protocol)}`."
