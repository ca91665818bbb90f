"""Method notes of a study's report: how its figures were counted and measured."""

from collections.abc import Mapping
from typing import Any

from harness.core.manifest import Manifest
from harness.core.protocol import StudyConfig
from harness.core.provenance import Provenance
from harness.core.training import SharingConfig
from harness.reporting import landmarks
from harness.reporting.format import counted
from harness.reporting.lock import caption, protocol_digest
from harness.reporting.parts import COUNTED
from harness.reporting.study.data import StudyData
from harness.reporting.study.fronts import reference_text

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

HYPERVOLUME = (
    "Hypervolume: of the region that the students trained to the end dominate, up to the reference point ({}), as a "
    "share of the box between the reference point and AP 100 % at no cost."
)
KNEE = (
    "Knee: with each objective normalised to [0, 1] over the front, the member furthest below the plane on which the "
    "objectives add up to 1, for two objectives the line through the front's ends. A front of fewer than three "
    "members, or with none below, has no knee."
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
    if data.study.config.sharing is not None:
        said.append(_score(data.study.config.sharing))
        if data.shortlist:
            said.append(_short_list(data.study.config, data.study.config.sharing))
    said += comparison_notes(data)
    if data.study.config.predicts_latency:
        said.append(_predicted(data))
    if len(data.study.config.objectives) > 1:
        said += [HYPERVOLUME.format(reference_text(data)), KNEE]
    if not data.synthetic:
        said.append(ONE_COPY)
    return said


def _score(sharing: SharingConfig) -> str:
    return (
        "Score: search AP of a candidate with slices of weights that all networks of the space share (one-shot search, "
        f"arXiv 1904.00420), after {counted(sharing.tuning, 'step')} of its own behind the common backbone. The shared "
        f"weights were trained for {counted(sharing.train.epochs, 'epoch')}, {counted(sharing.candidates, 'network')} "
        "in each step, while their maps between neck and heads imitated the teacher's (arXiv 1911.13053)."
    )


def _short_list(config: StudyConfig, sharing: SharingConfig) -> str:
    which = (
        f"the candidates with the highest scores of which each differs from every better one in at least "
        f"{counted(sharing.apart, 'option')}"
        if len(config.objectives) == 1
        else "the candidates that dominate most of the objectives, with the score as AP"
    )
    return (
        f"Short list: {which}. All their weights were trained for one epoch from their slices, and the finalists were "
        "chosen by the search AP that followed. A score prefers networks that learn fast, and does not tell siblings "
        "apart."
    )


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
    for record in (one for one in data.records if not (one.role == "teacher" and one.read_from)):
        for values in record.provenance:
            made.setdefault(str(Provenance(**values)), []).append(record.label)
    if len(made) < 2:
        return ""
    told = "; ".join(f"{who}: {', '.join(labels)}" for who, labels in made.items())
    return f"Not all trainings of this study ran with the same code on the same machine. {told}."


def _predicted(data: StudyData) -> str:
    size, table = data.study.config.speed.size, data.study.identity.get("latencies")
    return (
        "Predicted latency: before training, the sum over a network's parts, relative to the sum over V1's. Each part "
        f"was timed alone at {size}×{size} pixels, in alternation with V1, once for the whole study (table `{table}`). "
        "Measured latency: V1's FPS divided by the network's."
    )


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
