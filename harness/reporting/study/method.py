"""Method notes of a study's report: how its figures were counted and measured."""

from collections.abc import Mapping
from typing import Any

from harness.core.manifest import Manifest
from harness.core.provenance import Provenance
from harness.reporting import landmarks
from harness.reporting.format import counted
from harness.reporting.lock import caption, protocol_digest
from harness.reporting.parts import COUNTED
from harness.reporting.study.data import StudyData

CHOICE = (
    "Search AP, on the search split, is used for selection: objective, pruning, early stopping, best epoch and best "
    "student. Validation AP is used for the result only: the validation images take no part in selection, and only the "
    "teacher, the references, the best student and their repeats are evaluated on them."
)
DOCUMENTED = (
    "Documented: as stated in the FeatherFace V2 documents. They claim their AP for official WIDER FACE (V2's is a "
    "target) and their FPS for a “standard GPU”."
)
ONE_COPY = (
    "The images are those of one WIDER FACE copy, named by its digest. An AP here compares with networks trained and "
    "evaluated on the same copy, not with published WIDER FACE tables."
)


def comparison_notes(data: StudyData) -> list[str]:
    """Return how the figures of the comparison of V1, V2 and the best student were counted and measured."""
    shown = data.shown().values()
    said = [
        DOCUMENTED,
        f"Budget: {data.bounds}. {COUNTED}",
    ]
    if any(record.ap for record in shown):
        said.append(caption(data.study.protocol, data.data_name, "Measured AP"))
    speed = next((record.speed for record in shown if record.speed), None)
    if speed is not None:
        said.append(_speed(speed))
    errors = {heading: record.landmark for heading, record in data.shown().items() if record.landmark}
    if errors:
        counts = ", ".join(f"{heading} {landmarks.matched([error])}" for heading, error in errors.items())
        said.append(f"{landmarks.CAPTION} Matched: {counts}.")
    if data.best is not None and data.best.landmark:
        by_size, interocular = landmarks.by_size(data.best.landmark), landmarks.interocular(data.best.landmark)
        said.append(f"Landmark NME of the best student by face height: {by_size}; {interocular}.")
    return said


def method(data: StudyData) -> list[str]:
    """Return how all figures of the report were counted and measured."""
    said = [CHOICE]
    if any(record.search_ap for record in data.records):
        said.append(caption(data.study.search_protocol, data.search_name, "Search AP"))
    said += comparison_notes(data)
    if not data.synthetic:
        said.append(ONE_COPY)
    return said


def provenance(study: Manifest) -> dict[str, str]:
    """Return commit, versions, machine, seeds and digests at the start of a study."""
    config, teacher, began = study.config, study.teacher, study.provenance
    return {
        "started": study.started,
        "commit": f"`{began.commit or 'not recorded'}`",
        "versions": _listed(began.versions),
        "machine": _listed(began.machine),
        "workers × threads": f"{study.workers} × {study.threads}",
        "study seed, data seed": f"{config.seed}, {config.data.seed}",
        "space": f"`{config.space}`, `{study.space.digest}`",
        "training images": f"`{study.data['train'].digest}`",
        "search split": f"`{study.data['search'].digest}`",
        "validation images": f"`{study.data['val'].digest}`",
        "search protocol": f"`{protocol_digest(study.search_protocol)}`",
        "validation protocol": f"`{protocol_digest(study.protocol)}`",
        "teacher": f"{teacher.label}, {teacher.params:,} parameters, weights `{teacher.digest}`",
    }


def mixture(data: StudyData) -> str:
    """Return a sentence that names the code and machines of a study's trainings; empty if they are all the same."""
    made: dict[str, list[str]] = {}
    for record in data.records:
        for values in record.provenance:
            made.setdefault(str(Provenance(**values)), []).append(record.label)
    if len(made) < 2:
        return ""
    told = "; ".join(f"{who}: {', '.join(labels)}" for who, labels in made.items())
    return f"Not all trainings of this study ran with the same code on the same machine. {told}."


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _speed(speed: Mapping[str, Any]) -> str:
    size, threads = speed["size"], counted(speed["threads"], "thread")
    folded = ", BatchNorms folded" if speed.get("folded") else ""
    return (
        f"FPS: batch 1 at {size}×{size} pixels on {speed['device']} with {threads}{folded}, median of runs that "
        "alternate with V1's. Other load on the machine changes FPS: compare ratios, not FPS. MACs: convolutions and "
        "linear layers, at the same size."
    )
