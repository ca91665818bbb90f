"""Writes an ablation's report: ``report.md``, ``tables/``, pictures, ``results.csv`` and ``summary.json``."""

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from harness.core.arch import ARCHS
from harness.core.arms import EXCHANGED
from harness.core.record import write_json
from harness.evaluation.contrasts import ALPHA
from harness.evaluation.stats import CONFIDENCE, spread
from harness.reporting import publish as publishing
from harness.reporting.ablation import findings, tables
from harness.reporting.ablation.counts import Counts, counts
from harness.reporting.ablation.data import AblationData, Measured, load
from harness.reporting.ablation.hypotheses import Judged, judged
from harness.reporting.ablation.pictures import pictures_of
from harness.reporting.compare.tables import results
from harness.reporting.format import counted, markdown
from harness.reporting.lock import caption, protocol_digest
from harness.reporting.parts import COUNTED
from harness.reporting.study.method import mixture, provenance

FORMATS = (".png", ".svg")
TABLES = "tables"


def build(folder: Path) -> Path:
    """Write ``folder/report/``, replacing an earlier one, and return the path of its ``report.md``.

    Raises:
        InputError: the networks were not trained alike.
        DataError: the study's files are missing or broken.
    """
    return _write(load(folder), folder / "report", "")


def publish(folder: Path, reports: Path, note: str = "", name: str = "") -> Path:
    """Write the report to ``reports/<name>/``, without paths of this machine, and return its ``report.md``.

    Args:
        folder: the study's folder.
        reports: folder of all reports.
        note: a note on the data, shown at the top.
        name: the study's by default.

    Raises:
        InputError: as ``build``, or ``reports/<name>`` holds something else.
        DataError: the study's files are missing or broken.
    """
    data = load(folder)
    target = reports / (name or data.study.study.name)
    publishing.check_target(target, "shapley", "ablation's report")
    return _write(data, target, note, public=True)


def summary(folder: Path) -> dict[str, Any]:
    """Return an ablation as one JSON object: networks, differences, Shapley values, hypotheses, findings.

    Raises:
        InputError, DataError: as ``build``.
    """
    data = load(folder)
    return _summary(data, counts(data.study.study.config.speed.size)) | {"report": str(folder / "report" / "report.md")}


def _summary(data: AblationData, counted_: Counts, hide: Callable[[str], str] = str) -> dict[str, Any]:
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
            **{
                what: {part: _plain(values[part]) for part in EXCHANGED} for what, values in counted_.parts.items()
            },
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


def _write(data: AblationData, target: Path, note: str, *, public: bool = False) -> Path:
    study = data.study.study
    hide = publishing.without_paths([study]) if public else str
    counted_, found = counts(study.config.speed.size), judged(data)
    frames = {
        "parts": tables.parts(data, counted_),
        "hypotheses": tables.hypotheses(found),
        "differences": tables.differences(data),
        "networks": tables.arms(data),
        "combinations": tables.combinations(counted_),
    }
    drawn = pictures_of(data, counted_)
    text = hide(_render(data, counted_, found, frames, drawn, _commands(data, target, note, public=public), note))
    with publishing.replaced(target) as folder:
        publishing.save_pictures(drawn, folder, FORMATS)
        _write_tables(frames, folder / TABLES)
        results(data.found).to_csv(folder / publishing.RESULTS, index=False)
        (folder / publishing.REPORT).write_text(text, encoding="utf-8")
        write_json(folder / publishing.SUMMARY, _summary(data, counted_, hide) | {"note": note})
    return target / publishing.REPORT


def _write_tables(frames: Mapping[str, pd.DataFrame], folder: Path) -> None:
    folder.mkdir()
    for name, frame in frames.items():
        if len(frame):
            (folder / f"{name}.md").write_text(f"{markdown(frame)}\n", encoding="utf-8")
            (folder / f"{name}.tex").write_text(tables.latex(frame), encoding="utf-8")
            frame.to_csv(folder / f"{name}.csv", index=False)


def _commands(data: AblationData, target: Path, note: str, *, public: bool) -> list[str]:
    name = data.study.study.name
    words = ["python", "-m", "harness.report", name]
    if public:
        words += ["--publish", *(["--as", target.name] if target.name != name else [])]
        words += ["--note", note] if note else []
    return [data.study.study.command, shlex.join(words)]


def _render(
    data: AblationData,
    counted_: Counts,
    found: list[Judged],
    frames: Mapping[str, pd.DataFrame],
    drawn: list[publishing.Picture],
    commands: list[str],
    note: str,
) -> str:
    study = data.study.study
    ran = provenance(study)
    return publishing.render(
        "ablation.md.j2",
        name=study.name,
        description=study.config.description,
        headline=findings.headline(data),
        note=note,
        warnings=[sentence for sentence in (mixture(data.study), *data.found.remarks) if sentence],
        parts_said=findings.part_findings(data, counted_),
        parts=markdown(frames["parts"]),
        orders=counted_.orders,
        measured_orders=data.orders,
        hypotheses_said=findings.hypothesis_findings(found),
        hypotheses=markdown(frames["hypotheses"]),
        differences_said=list(findings.difference_findings(data)),
        differences=markdown(frames["differences"], text=("change",)),
        arms=markdown(frames["networks"]),
        protocol=protocol_digest(data.found.protocol),
        pictures=drawn,
        combinations=markdown(frames["combinations"], text=("cannot be built",)),
        method=_method(data, counted_),
        reproduce=markdown(pd.DataFrame({"": ran.keys(), "value": ran.values()}), text=("value",)),
        commands=commands,
    )


def _method(data: AblationData, counted_: Counts) -> list[str]:
    config, looks = data.study.study.config, data.ablation.looks
    level = f"{100 * ALPHA:.0f} %"
    said = [
        "All networks of an ablation are trained alike: images, schedule, augmentation, teacher, initial backbone and seeds "
        "are compared, and a report is refused if any differs.",
        f"Shapley value of a part: what its exchange adds, averaged over the orders in which V1's parts can be exchanged "
        f"for V2's. {len(counted_.refused)} of the {len(counted_.refused) + len(counted_.params)} combinations cannot be "
        f"built: V2's context and shuffle need the {ARCHS['v2'].neck.option_dict()['channels']} channels of V2's neck, since their groups do not "
        f"divide V1's. So {counted_.orders} of the 120 orders remain, in which the neck comes before both (Faigle and Kern, "
        "International Journal of Game Theory 21, 1992). What narrower maps save in later parts is therefore the neck's.",
        "Over seeds: AP is the sum of a network's and a seed's effect and a rest, whose variance is pooled over all "
        "networks, from their first seeds (randomised blocks); Student's t. All networks have the same seeds and start from "
        "the same numbers where their layers agree.",
        f"Over images: paired bootstrap, percentiles of {data.found.resamples:,} resamples of the images.",
        f"Verdict: better or worse if neither seeds nor images explain the difference, by the larger of the two p-values "
        f"(Berger, Technometrics 24, 1982), after Holm's correction, at {level} for all differences together; else tie. "
        "The five parts are corrected together, and so are the hypotheses.",
        f"Intervals: {100 * CONFIDENCE:.0f} %, for one difference alone.",
        caption(data.found.protocol, data.found.data_name, "Validation AP"),
        f"Budget: {data.study.bounds}. {COUNTED} MACs at {counted_.size}×{counted_.size} pixels. Latency: V1's FPS "
        "divided by the network's, measured in alternation.",
    ]
    if len(looks) > 1:
        said.append(
            f"Seeds were added to undecided differences, up to {looks[-1]}, after looks at {', '.join(map(str, looks))} "
            f"seeds. Whether a difference is undecided was read from the search split. Every p-value is multiplied by the "
            f"{counted(len(looks), 'look')}, which keeps the error rate under any rule of stopping."
        )
    if config.distill.uses_teacher:
        said.append(f"Distillation from {data.study.study.teacher.label}: α {config.distill.alpha:g}.")
    return said
