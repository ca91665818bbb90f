"""The tables of an ablation, as text. Each is written as Markdown, CSV and LaTeX."""

from fractions import Fraction

import pandas as pd
from rich.table import Table

from harness.core.ablation import Difference
from harness.core.arms import ALL, EXCHANGED
from harness.counting.combinations import every_combination
from harness.evaluation.contrasts import holm
from harness.evaluation.stats import LEVELS, average, spread
from harness.reporting.ablation.counts import Counts
from harness.reporting.ablation.data import AblationData, Measured
from harness.reporting.ablation.hypotheses import Judged
from harness.reporting.format import NOTHING, bounds, deviation, minus, percent, points, signed, terminal

LATEX = {"−": "$-$", "×": r"$\times$", "–": "--", "±": r"$\pm$"}
"""Signs that LaTeX's text fonts may lack → their commands."""


def number(value: Fraction) -> str:
    """Return an exact number in full, with its sign."""
    return minus(f"{int(value):+,}" if value.denominator == 1 else f"{float(value):+,.1f}")


def parts(data: AblationData, counted: Counts) -> pd.DataFrame:
    """Return one row per exchanged part, and one for all of them; with AP if the networks give Shapley values of it."""
    whole, measured = _whole(data), bool(data.parts)
    rows = [
        {
            "V2's": part,
            "parameters": number(counted.parts["params"][part]),
            f"MACs at {counted.size}×{counted.size}": number(counted.parts["macs"][part]),
            **({"latency / V1": _latency(data, part)} if data.latency_parts else {}),
            **(_effect(data.parts.get(part)) if measured else {}),
        }
        for part in EXCHANGED
    ]
    total = {name: number(sum(values.values(), Fraction(0))) for name, values in counted.parts.items()}
    rows.append(
        {
            "V2's": ALL,
            "parameters": total["params"],
            f"MACs at {counted.size}×{counted.size}": total["macs"],
            **({"latency / V1": _difference_of_latencies(data)} if data.latency_parts else {}),
            **(_effect(whole) if measured else {}),
        }
    )
    return pd.DataFrame(rows)


def _whole(data: AblationData) -> Measured | None:
    """Return V2 less V1, if that is one of the ablation's differences."""
    return next((measured for one, measured in data.differences if one.change == ALL), None)


def _latency(data: AblationData, part: str) -> str:
    found = data.latency_parts[part]
    return minus(f"{found.value:+.3f} [{', '.join(f'{end:+.3f}' for end in found.over_seeds())}]")


def _difference_of_latencies(data: AblationData) -> str:
    return minus(f"{sum(one.value for one in data.latency_parts.values()):+.3f}")


def _effect(found: Measured | None) -> dict[str, str]:
    if found is None:
        return dict.fromkeys(("AP mean, points", "over seeds", "over images", "verdict"), NOTHING)
    return {
        "AP mean, points": points(found.estimate.value),
        "over seeds": bounds(found.estimate.over_seeds(), points),
        "over images": bounds(found.ap.interval("mean"), points),
        "verdict": found.verdict,
    }


def differences(data: AblationData) -> pd.DataFrame:
    """Return one row per difference that can be estimated."""
    corrected = holm([measured.estimate.p() for _, measured in data.differences])
    return pd.DataFrame(
        [
            {
                "difference": f"{one.a} − {one.b}",
                "change": one.change,
                "parameters": _saved(one, data),
                "seeds": str(measured.estimate.seeds),
                **{f"AP {level}": points(measured.ap.value[level]) for level in LEVELS if level != "mean"},
                **_effect(measured),
                "p, corrected": "< 0.001" if p < 1e-3 else f"{p:.3f}",
            }
            for (one, measured), p in zip(data.differences, corrected, strict=True)
        ]
    )


def _saved(one: Difference, data: AblationData) -> str:
    a, b = data.record(one.a), data.record(one.b)
    return NOTHING if a is None or b is None else number(Fraction(a.params - b.params))


def arms(data: AblationData) -> pd.DataFrame:
    """Return one row per network: its size, and its AP as mean ± deviation over seeds."""
    return pd.DataFrame([_arm(arm.label, data) for arm in data.ablation.arms])


def _arm(label: str, data: AblationData) -> dict[str, str]:
    record, members, latencies = data.record(label), data.members[label], data.latencies[label]
    ap = average([member.ap for member in members]) if members else None
    return {
        "network": label,
        "parameters": NOTHING if record is None else f"{record.params:,}",
        "against budget": NOTHING if record is None else signed(record.params, data.study.budget),
        "MACs": NOTHING if record is None else f"{record.macs:,}",
        "latency / V1": f"{sum(latencies) / len(latencies):.3f}" if latencies else NOTHING,
        "seeds": str(len(members)),
        "AP mean, %": NOTHING if ap is None else f"{percent(ap.value['mean'])}{deviation(spread(data.aps[label]))}",
        **{
            f"AP {level}, %": NOTHING if ap is None else percent(ap.value[level]) for level in LEVELS if level != "mean"
        },
    }


def hypotheses(found: list[Judged]) -> pd.DataFrame:
    """Return one row per compared network of every hypothesis."""
    return pd.DataFrame(
        [
            {
                "hypothesis": one.hypothesis.name,
                "difference": f"{one.hypothesis.claimed.label} − {effect.other}",
                "AP mean, points": points(effect.estimate.value),
                "over seeds": bounds(effect.estimate.over_seeds(), points),
                "over images": bounds(effect.ap.interval("mean"), points),
                "claim holds from": points(effect.limit),
                "verdict": one.verdict,
            }
            for one in found
            for effect in one.effects
        ]
    )


def combinations(counted: Counts) -> pd.DataFrame:
    """Return one row for each of the 2^5 combinations: its counts, or why it cannot be built."""
    return pd.DataFrame(
        [
            {
                "V2's parts": ", ".join(part for part in EXCHANGED if part in parts) or "none (V1)",
                "parameters": f"{counted.params[parts]:,}" if parts in counted.params else NOTHING,
                "MACs": f"{counted.macs[parts]:,}" if parts in counted.macs else NOTHING,
                "cannot be built": counted.refused.get(parts, ""),
            }
            for parts, _, _ in every_combination()
        ]
    )


def terminal_table(data: AblationData) -> Table:
    """Return the networks as a table for the terminal."""
    return terminal(arms(data)[["network", "parameters", "latency / V1", "seeds", "AP mean, %"]])


def latex(frame: pd.DataFrame) -> str:
    """Return a frame of text as a LaTeX table with the rules of the package ``booktabs``; empty without rows."""
    if not len(frame):
        return ""
    styled = frame.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis=1)
    found: str = styled.to_latex(hrules=True, column_format="l" + "r" * (len(frame.columns) - 1))
    for sign, command in LATEX.items():
        found = found.replace(sign, command)
    return found
