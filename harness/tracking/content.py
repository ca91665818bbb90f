"""Parameters, metrics, tags and description of a study and of its trials, as plain data to be logged.

Every run uses the same metric names, so that runs compare column by column. Final values have bare names (``fps``,
``params``). ``ap_search`` is the mean AP on the search split, logged for every network trained to the end; ``ap_val``
that on the validation images, logged for the networks that the report grades; ``ap_search_easy`` is that of a list.
Curves have a prefix (``loss/…``, ``epoch/…``), which the MLflow page shows as a section.

MLflow's page that compares runs begins with the metric that they got first, in one of its plots, and with the first of
the alphabet in the others. Both are the mean AP.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from harness.core.arch import SLOTS
from harness.core.digest import digest
from harness.core.manifest import Manifest
from harness.core.provenance import Provenance
from harness.core.record import TrialRecord

STATUS = {"running": "RUNNING", "complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
"""A pruned trial is ``KILLED``: it was ended early on purpose and has no final AP. ``status = 'FINISHED'`` selects
exactly the runs whose final APs compare."""

LISTS = ("easy", "medium", "hard")
_SPEED = ("fps", "latency_ms", "latency_iqr_ms", "ratio_to_v1")


@dataclass(frozen=True)
class Split:
    """One split of a study's images.

    Attributes:
        split: ``train``, ``search`` or ``val``.
        source: ``synthetic``, or the folder of the images.
        digest: of images and faces; ``profile``: number of images and of faces.
    """

    split: str
    source: str
    digest: str
    profile: dict[str, int]

    @property
    def name(self) -> str:
        """Return the name that MLflow's pages show."""
        return f"{Path(self.source).name}-{self.split}"


@dataclass(frozen=True)
class Content:
    """Everything that is logged to one run.

    Attributes:
        name, status: the run's name and MLflow status.
        params, tags, metrics: name → value; metrics are final values.
        curves: per epoch ``(epoch, seconds since the start, metrics)``.
        data: the splits of images that the run used.
    """

    name: str
    status: str
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    curves: list[tuple[int, float, dict[str, float]]] = field(default_factory=list)
    data: list[Split] = field(default_factory=list)


def flatten(data: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested plain data as ``{"outer.inner": text}``; lists join with commas, empty values are left out."""
    flat: dict[str, str] = {}
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{name}."))
        elif isinstance(value, list | tuple):
            flat[name] = ",".join(str(item) for item in value)
        elif value is not None and value != "":
            flat[name] = str(value)
    return flat


_DECIMALS = {
    "ap": 4,
    "fps": 2,
    "ratio": 3,
    "latency": 2,
    "predicted": 4,
    "size": 3,
    "landmark": 4,
    "seconds": 1,
    "overhead": 4,
}
"""Decimals of final values by the first word of their name: MLflow's table prints every digit it gets."""


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {
        key: round(value, _DECIMALS.get(key.removeprefix("best_").partition("_")[0], 0))
        for key, value in values.items()
    }


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Keep the finite numbers."""
    return {
        key: float(value) for key, value in values.items() if isinstance(value, int | float) and math.isfinite(value)
    }


def trial_content(record: TrialRecord, study: Manifest) -> Content:
    """Return what is logged to the run of one trained network.

    The options of every part are logged, also fixed ones and those of the references, so that V1 and V2 share the
    candidates' columns.
    """
    params = flatten(record.arch) | flatten(record.train, "train.") | flatten(record.distill, "distill.")
    params |= flatten(record.configuration)
    params |= _trial_protocol(record, study)
    metrics: dict[str, Any] = _aps("ap_search", record.search_ap) | _aps("ap_val", record.ap)
    sizes = {"params": record.params, "macs": record.macs, "size_mb": record.size_mb}
    metrics |= {key: value for key, value in sizes.items() if value}
    metrics |= {f"params_{slot}": record.parts[slot] for slot in SLOTS if slot in record.parts}
    metrics |= _prefixed("landmark_", record.landmark, ("nme", "failure_rate", "matched", "faces"))
    metrics |= _prefixed("", record.speed, _SPEED)
    metrics |= {} if record.latency is None else {"predicted_latency_to_v1": record.latency}
    metrics |= _prefixed("seconds_", record.seconds, ("train", "total"))
    tags = {
        "label": record.label,
        "role": record.role,
        "repeat_of": record.repeat_of,
        "state": record.state,
        "reason": record.reason,
        "arch_digest": digest(record.arch) if record.arch else "",
        "space_digest": study.space.digest,
        "data_digest": study.data["val"].digest,
        "search_protocol_digest": digest(record.search_protocol) if record.search_protocol else "",
        "protocol_digest": digest(record.protocol) if record.protocol else "",
        "speed_device": " ".join(str(record.speed[k]) for k in ("device", "threads", "size") if k in record.speed),
    }
    for made_by in record.provenance[-1:]:
        tags |= _provenance(Provenance(**made_by))
    return Content(
        record.label,
        STATUS[record.state],
        params,
        {key: value for key, value in tags.items() if value},
        _rounded(_numbers(metrics)),
        _curves(record),
        _splits(study, "train", "search", *(("val",) if record.ap else ())),
    )


def arm_content(label: str, records: Sequence[TrialRecord], study: Manifest) -> Content:
    """Return what is logged to the run of an ablation's network: means over its trainings, ``…_std`` beside them.

    Args:
        label: the network's label.
        records: its trainings so far.
        study: the study's manifest.
    """
    contents = [trial_content(record, study) for record in records]
    complete = [one for one, record in zip(contents, records, strict=True) if record.state == "complete"]
    names = dict.fromkeys(name for one in complete for name in one.metrics)
    values = {name: [one.metrics[name] for one in complete if name in one.metrics] for name in names}
    metrics = {name: fmean(found) for name, found in values.items()} | {"seeds": len(complete)}
    metrics |= {
        f"{name}_std": stdev(found) for name, found in values.items() if name.startswith("ap_") and len(found) > 1
    }
    shared = {"label", "repeat_of", "reason"}
    states = {record.state for record in records}
    state = "running" if "running" in states else "complete" if complete else "failed"
    return Content(
        label,
        STATUS[state],
        {key: value for key, value in contents[0].params.items() if key != "protocol.seed"},
        {key: value for key, value in contents[0].tags.items() if key not in shared} | {"role": "arm", "state": state},
        _rounded(metrics),
        data=contents[0].data,
    )


def _trial_protocol(record: TrialRecord, study: Manifest) -> dict[str, str]:
    config = study.config
    values = {
        "data": config.data.source,
        "size": config.data.size,
        "seed": record.seed,
        "teacher": " ".join(str(record.teacher[key]) for key in ("label", "digest")) if record.teacher else None,
    }
    return flatten(values, "protocol.")


def _prefixed(prefix: str, values: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {f"{prefix}{key}": values[key] for key in keys if values.get(key) is not None}


def _aps(name: str, ap: Mapping[str, float | None]) -> dict[str, Any]:
    """Return the mean AP under ``name``, and those of the lists after it."""
    found = {name if key == "mean" else f"{name}_{key}": ap.get(key) for key in ("mean", *LISTS)}
    return {key: value for key, value in found.items() if value is not None}


def _curves(record: TrialRecord) -> list[tuple[int, float, dict[str, float]]]:
    """Return the epochs; none while a training runs that has no AP yet, so that AP is a run's first metric."""
    if record.state == "running" and not any(epoch.get("ap") for epoch in record.epochs):
        return []
    curves, elapsed = [], 0.0
    for number, epoch in enumerate(record.epochs, start=1):
        elapsed += float(epoch.get("seconds") or 0.0)
        metrics = _aps("epoch/ap_search", epoch.get("ap") or {})
        metrics |= {f"loss/{term}": value for term, value in (epoch.get("losses") or {}).items()}
        metrics |= _prefixed("epoch/", epoch, ("lr", "gradient_norm", "clipped", "seconds"))
        curves.append((int(epoch.get("epoch", number)), elapsed, _numbers(metrics)))
    return curves


def study_content(study: Manifest, records: Mapping[str, TrialRecord], finished: bool | None) -> Content:
    """Return what is logged to the parent run of a study.

    Args:
        study: the study's manifest.
        records: label → record, for the description's table.
        finished: None while the study runs, then whether all its trials were run.
    """
    standing = study.standing
    metrics: dict[str, Any] = {"space_size": study.space.size, "space_feasible": study.space.feasible}
    if finished is not None:
        metrics |= {"wasted": standing.wasted, "repeated": standing.repeated}
        metrics |= {"scored": standing.scored} if study.config.sharing is not None else {}
        metrics |= _prefixed("trials_", standing.trials, ("complete", "pruned", "failed"))
        metrics |= _prefixed("seconds_", standing.timing, ("total",)) | _prefixed(
            "", standing.timing, ("overhead_share",)
        )
    best = records.get(standing.best) if finished is not None and standing.best is not None else None
    if best is not None:
        metrics |= {"best_params": best.params}
        metrics |= _aps("best_ap_search", best.search_ap) | _aps("best_ap_val", best.ap)
        metrics |= _prefixed("best_", best.speed, ("fps", "ratio_to_v1"))
    ablation = study.config.ablation
    compared = {"kind": ablation.kind, "looks": list(ablation.looks)} if ablation is not None else None
    params = flatten(
        study.config.to_dict() | {"ablation": compared, "workers": study.workers, "threads": study.threads}
    )
    params |= flatten(asdict(study.teacher), "teacher_used.") | flatten(asdict(study.start), "start.")
    tags = _provenance(study.provenance) | {
        "role": "study",
        "state": "running" if finished is None else "complete" if finished else "interrupted",
        "best": standing.best or "",
        "space_digest": study.space.digest,
        **{f"data.{split}_digest": images.digest for split, images in study.data.items()},
        "data_digest": study.data["val"].digest,
        "search_protocol_digest": str(study.search_protocol.get("digest", "")),
        "protocol_digest": str(study.protocol.get("digest", "")),
        "command": study.command,
        "mlflow.note.content": describe(study, records),
    }
    return Content(
        study.name,
        "RUNNING" if finished is None else "FINISHED" if finished else "KILLED",
        params,
        {key: value for key, value in tags.items() if value},
        _rounded(_numbers(metrics)),
        data=_splits(study, *study.data),
    )


def _splits(study: Manifest, *names: str) -> list[Split]:
    """Return splits of the study's images."""
    source = study.config.data.source
    return [
        Split(name, source, images.digest, {"images": images.images, "faces": images.faces})
        for name in names
        if (images := study.data.get(name)) is not None
    ]


def _provenance(made_by: Provenance) -> dict[str, str]:
    """Return tags for code version and machine."""
    tags = flatten(made_by.versions, "version.") | flatten(made_by.machine, "machine.")
    return tags | {"mlflow.source.git.commit": made_by.commit or ""}


def describe(study: Manifest, records: Mapping[str, TrialRecord]) -> str:
    """Return the description of the study's page, in Markdown."""
    config, space = study.config, study.space
    lines = [
        f"**{study.name}**: {config.description}",
        "",
        f"- Space `{config.space}`, budget {config.budget}: {space.feasible:,} of {space.size:,} configurations fit.",
        f"- Data `{config.data.source}` at {config.data.size} px, {config.train.epochs} epochs; AP by WIDER FACE's "
        "rule, in [0, 1]; search AP is on the search split, AP on the validation images.",
        f"- `{study.command}`",
    ]
    shown = [r.label for r in records.values() if r.role != "candidate" or r.label == study.standing.best]
    if shown:
        lines += [
            "",
            "| run | role | params | search AP, mean | AP easy | medium | hard | mean | FPS | × V1 |",
            "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
        ]
        lines += [_row(records[label], label == study.standing.best) for label in shown]
    lines += [
        "",
        "Runs: the tag `role` is teacher, reference, candidate or repeat (a candidate trained again with another "
        "seed). FINISHED runs were trained to the end and have a final `ap_search`; those that the report grades "
        "also have `ap_val`. KILLED runs were pruned or interrupted (tag `state`). FAILED runs give their error in the "
        "tag `reason`. `loss/*` and `epoch/*` are curves by epoch.",
    ]
    if config.ablation is not None:
        lines.append("An ablation's networks have the role `arm`: means over seeds, whose runs are nested below.")
    return "\n".join(lines)


def _row(record: TrialRecord, best: bool) -> str:
    aps = (record.search_ap.get("mean"), *(record.ap.get(key) for key in (*LISTS, "mean")))
    ap = " | ".join(_cell(value, ".4f") for value in aps)
    speed = f"{_cell(record.speed.get('fps'), '.1f')} | {_cell(record.speed.get('ratio_to_v1'), '.2f')}"
    return f"| {record.label}{' (best)' if best else ''} | {record.role} | {record.params:,} | {ap} | {speed} |"


def _cell(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
