"""An ablation as one JSON object."""

from collections.abc import Callable
from statistics import fmean
from typing import Any

from harness.core.arms import EXCHANGED
from harness.evaluation.contrasts import ALPHA
from harness.evaluation.stats import spread
from harness.reporting.ablation import findings
from harness.reporting.ablation.counts import Counts
from harness.reporting.ablation.data import AblationData, Measured
from harness.reporting.ablation.hypotheses import Judged, judged


def summarised(data: AblationData, counted_: Counts, hide: Callable[[str], str] = str) -> dict[str, Any]:
    """Return networks, differences, Shapley values, hypotheses and findings; ``hide`` is applied to sentences."""
    found = judged(data)
    return {
        "name": data.study.study.name,
        "kind": data.ablation.kind,
        "alpha": ALPHA,
        "looks": list(data.ablation.looks),
        "trainings": {"complete": data.trainings, "wanted": data.wanted},
        "protocol": dict(data.found.protocol),
        "data": data.found.data_name,
        "images": data.found.images,
        "arms": [_arm(arm.label, data) for arm in data.ablation.arms],
        "differences": [
            {"a": one.a, "b": one.b, "change": one.change, **_measured(measured)} for one, measured in data.differences
        ],
        "shapley": {
            **{what: {part: _plain(values[part]) for part in EXCHANGED} for what, values in counted_.parts.items()},
            "orders": counted_.orders,
            "ap": {part: _measured(one) for part, one in data.parts.items()},
            "ap_orders": data.orders,
            "latency": {
                part: {"mean": one.value, "low": one.over_seeds().low, "high": one.over_seeds().high}
                for part, one in data.latency_parts.items()
            },
        },
        "hypotheses": {one.hypothesis.name: _judged(one) for one in found},
        "findings": [hide(sentence) for sentence in _said(data, counted_, found)],
    }


def _plain(value: Any) -> int | float:
    """Return an exact fraction as an integer where it is one."""
    return int(value) if value.denominator == 1 else float(value)


def _arm(label: str, data: AblationData) -> dict[str, Any]:
    record, aps = data.record(label), data.aps[label]
    return {
        "label": label,
        "params": None if record is None else record.params,
        "macs": None if record is None else record.macs,
        "ap": {"mean": fmean(aps) if aps else None, "std": spread(aps)},
        "seeds": len(aps),
        "latency": fmean(latencies) if (latencies := data.latencies[label]) else None,
        "arch": None if record is None else record.arch,
    }


def _measured(one: Measured) -> dict[str, Any]:
    seeds, images = one.estimate.over_seeds(), one.ap.interval("mean")
    return {
        "mean": one.estimate.value,
        "low": seeds.low,
        "high": seeds.high,
        "over_images": None if images is None else list(images),
        "seeds": one.estimate.seeds,
        "verdict": one.verdict,
    }


def _judged(one: Judged) -> dict[str, Any]:
    return {
        "written": one.hypothesis.written,
        "tested": one.hypothesis.tested,
        "verdict": one.verdict,
        "effects": [
            {
                "a": one.hypothesis.claimed.label,
                "b": effect.other,
                "mean": effect.estimate.value,
                "low": effect.estimate.over_seeds().low,
                "high": effect.estimate.over_seeds().high,
                "holds_from": effect.limit,
            }
            for effect in one.effects
        ],
    }


def _said(data: AblationData, counted_: Counts, found: list[Judged]) -> list[str]:
    return [
        findings.headline(data),
        *findings.part_findings(data, counted_),
        *findings.hypothesis_findings(found),
        *findings.difference_findings(data),
    ]
