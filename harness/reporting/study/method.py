"""How the figures of a study's report were counted and measured, in sentences."""

from collections.abc import Mapping
from typing import Any

from harness.reporting.format import counted
from harness.reporting.lock import caption, protocol_digest
from harness.reporting.parts import COUNTED
from harness.reporting.study.data import StudyData

CHOICE = (
    "Search AP chooses: the objective, pruning, early stopping, the best epoch and the best student read the search "
    "split. Validation AP grades: the validation images choose nothing, and only the teacher, the references, the best "
    "student and their repeats are evaluated on them."
)
ONE_COPY = (
    "The images are those of one WIDER FACE copy, named by its digest. An AP here compares with networks trained and "
    "evaluated on the same copy, not with published WIDER FACE tables."
)
NME = "NME: mean landmark error over found faces, in distances between the eyes."


def comparison_notes(data: StudyData) -> list[str]:
    """Return how the figures of the comparison of V1, V2 and the best student were counted and measured."""
    shown = data.shown().values()
    said = [
        "Documented: as the FeatherFace V2 documents state it. They claim their AP for official WIDER FACE (V2's is a "
        "target) and their FPS for a “standard GPU”.",
        f"Budget: {data.bounds}. {COUNTED}",
    ]
    if any(record.ap for record in shown):
        said.append(caption(data.study["protocol"], data.data_name, "Measured AP"))
    speed = next((record.speed for record in shown if record.speed), None)
    if speed is not None:
        said.append(_speed(speed))
    if any(record.landmark for record in shown):
        said.append(NME)
    return said


def method(data: StudyData) -> list[str]:
    """Return how all figures of the report were counted and measured."""
    said = [CHOICE]
    if any(record.search_ap for record in data.records):
        said.append(caption(data.study["search_protocol"], data.search_name, "Search AP"))
    said += comparison_notes(data)
    if not data.synthetic:
        said.append(ONE_COPY)
    return said


def provenance(study: Mapping[str, Any]) -> dict[str, str]:
    """Return what a study ran with: commit, versions, machine, seeds, digests."""
    config, data, teacher = study["config"], study["data"], study["teacher"]
    return {
        "started": str(study.get("started", "")),
        "commit": f"`{study.get('commit') or 'not recorded'}`",
        "versions": _listed(study["versions"]),
        "machine": _listed(study["machine"]),
        "workers × threads": f"{study['workers']} × {study['threads']}",
        "study seed, data seed": f"{config['seed']}, {config['data']['seed']}",
        "space": f"`{config['space']}`, `{study['space_digest']}`",
        "training images": f"`{data['train_digest']}`",
        "search split": f"`{data['search_digest']}`",
        "validation images": f"`{data['val_digest']}`",
        "search protocol": f"`{protocol_digest(study['search_protocol'])}`",
        "validation protocol": f"`{protocol_digest(study['protocol'])}`",
        "teacher": f"{teacher['label']}, {teacher['params']:,} parameters, weights `{teacher['digest']}`"
        if teacher
        else "none",
    }


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _speed(speed: Mapping[str, Any]) -> str:
    size, threads = speed["size"], counted(speed["threads"], "thread")
    return (
        f"FPS: batch 1 at {size}×{size} pixels on {speed['device']} with {threads}, median of runs that alternate with "
        "V1's. Other load on the machine changes FPS: compare ratios, not FPS. MACs: of convolutions and linears, at "
        "the same size."
    )
