"""Writes a study's report: ``report.md``, ``report.html``, pictures, ``results.csv``, ``scores.csv`` if it scored."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from harness.core.record import TrialRecord, write_json
from harness.evaluation.stats import CONFIDENCE, LEVELS
from harness.reporting import publish
from harness.reporting.format import counted, markdown, percent
from harness.reporting.harmless import in_fence
from harness.reporting.hidden import without_paths
from harness.reporting.lock import protocol_digest
from harness.reporting.study import effects, tables
from harness.reporting.study.data import StudyData, load
from harness.reporting.study.findings import findings, headline, worth
from harness.reporting.study.fronts import front
from harness.reporting.study.method import method, mixture, provenance
from harness.reporting.study.noise import search_noise, ties, validation_noise
from harness.reporting.study.pictures import GALLERY, faces_shown, pictures
from harness.reporting.style import save

SCORES = "scores.csv"


def build_report(study_folder: Path) -> Path:
    """Write ``study_folder/report/``, replacing an earlier one, and return the path of its ``report.md``.

    The gallery of a study of photographs is written beside that folder, so that no report has images of people.

    Raises:
        DataError: the study's files are missing or broken.
        InputError: APs of two protocols would share a column.
    """
    data = load(study_folder)
    if not data.synthetic and (shown := faces_shown(data)) is not None:
        save(shown, study_folder / GALLERY)
    return _write(data, study_folder / "report", public=False)


def write_public(study_folder: Path, target: Path, note: str = "", *, weights: bool = False) -> Path:
    """Write the report to ``target``, without paths of this machine, and return its ``report.md``.

    WIDER FACE images are never published: the examples picture is for synthetic scenes only.

    Args:
        study_folder: the study's.
        target: the report's name is that of this folder.
        note: a note on the data, shown at the top.
        weights: weights are published beside it, as its command then says.

    Raises:
        DataError: the study's files are missing or broken.
        InputError: an AP column would mix protocols.
    """
    return _write(load(study_folder), target, public=True, note=note, weights=weights)


def write_weights(data: StudyData, folder: Path) -> list[Path]:
    """Write the weights of the teacher and of the best student, each with what is known of them in the header.

    A teacher that comes with the harness is not written again.

    Returns:
        the files.
    """
    from harness.models.weights import write_labelled  # Imports PyTorch, which no other part of a report needs.

    written = []
    for record in (data.teacher, data.best):
        if record is None or (record is data.teacher and record.read_from):
            continue
        source = data.folder / "trials" / record.label / "weights.safetensors"
        target = folder / f"{'best' if record is data.best else record.label}.safetensors"
        write_labelled(source, target, record.header(data.study.name))
        written.append(target)
    return written


def summary(study_folder: Path) -> dict[str, Any]:
    """Return the study as one JSON object: trials, V1, V2, the best student, seed variance and ties.

    ``noise`` is the seed variance of the mean search AP, ``validation_noise`` that of the mean validation AP. Both, and
    ``ties``, are None if no network was trained more than once.

    Raises:
        DataError: the study's files are missing or broken.
    """
    return _summary(load(study_folder)) | {"report": str(study_folder / "report" / "report.md")}


def _summary(data: StudyData) -> dict[str, Any]:
    timing = data.study.standing.timing
    return {
        "name": data.study.name,
        "space": data.study.config.space,
        "budget": data.budget,
        "trials": {state: len(data.candidates(state)) for state in ("complete", "pruned", "failed", "running")}
        | {"wanted": data.study.standing.trials.get("wanted", data.study.config.trials)},
        "scored": len(data.scores),
        "finalists": len(data.candidates("complete")) if data.scores else 0,
        "wasted": data.study.standing.wasted,
        "repeated": data.study.standing.repeated,
        "seconds": timing.get("total"),
        "overhead_share": timing.get("overhead_share"),
        "search_protocol": data.study.search_protocol,
        "protocol": data.study.protocol,
        "search_data": data.search_name,
        "data": data.data_name,
        "v1": _network(data.named("v1")),
        "teacher": _network(data.teacher),
        "v2": _network(data.named("v2")),
        "v2_from_slices": _network(data.from_slices),
        "best": _network(data.best),
        "noise": None if (noise := search_noise(data)) is None else noise.to_dict(),
        "validation_noise": None if (noise := validation_noise(data)) is None else noise.to_dict(),
        "front": None if (found := front(data)) is None else found.to_dict(),
        "ties": None if (tied := ties(data)) is None else [record.label for record in tied],
    }


def _network(record: TrialRecord | None) -> dict[str, Any] | None:
    if record is None:
        return None
    same = (
        "label",
        "state",
        "params",
        "parts",
        "macs",
        "latency",
        "size_mb",
        "landmark",
        "arch",
        "distill",
        "configuration",
    )
    return {name: getattr(record, name) for name in same} | {
        "search_ap": {level: record.search_ap.get(level) for level in LEVELS},
        "ap": {level: record.ap.get(level) for level in LEVELS},
        "fps": record.speed.get("fps"),
        "ratio_to_v1": record.speed.get("ratio_to_v1"),
    }


def _write(data: StudyData, target: Path, *, public: bool, note: str = "", weights: bool = False) -> Path:
    """Write the report into a temporary folder, which replaces ``target`` when it is complete."""
    frame = tables.results(data)
    drawn = pictures(data, frame)
    hide = without_paths([data.study]) if public else str
    published = f" --publish{' --as ' + target.name if target.name != data.study.name else ''}" if public else ""
    published += f" --note {shlex.quote(note)}" if note else ""
    published += " --weights" if weights else ""
    text = hide(_render(data, drawn, published=published, note=note))
    if len(frame):
        frame["reason"] = frame["reason"].map(hide)
    with publish.replaced(target) as folder:
        publish.save_pictures(drawn, folder)
        frame.to_csv(folder / publish.RESULTS, index=False)
        if data.scores:
            scores = tables.scores(data)
            scores["reason"] = scores["reason"].map(hide)
            scores.to_csv(folder / SCORES, index=False)
        publish.write_report(folder, text, drawn)
        if public:
            write_json(folder / publish.SUMMARY, _summary(data) | {"note": note})
    return target / publish.REPORT


def _render(data: StudyData, drawn: list[publish.Picture], *, published: str, note: str) -> str:
    study, best = data.study, data.best
    ran = provenance(study)
    report_command = f"python -m harness.report {study.name}"
    return publish.render(
        "report.md.j2",
        name=study.name,
        description=study.config.description,
        headline=headline(data),
        note=note,
        warnings=[
            f"{label} is in no table or picture: its AP was measured by another protocol ({difference})."
            for label, difference in data.foreign.items()
        ]
        + ([mixed] if (mixed := mixture(data)) else []),
        comparison=markdown(tables.comparison(data)),
        worth=worth(data),
        repeats=markdown(tables.repeats(data)),
        findings=findings(data),
        front=markdown(tables.front_members(data), text=("what differs from V2",)),
        effects=markdown(effects.table(data), text=("from", "to")),
        confidence=percent(CONFIDENCE),
        pictures=drawn,
        scored=bool(data.scores),
        trials=markdown(tables.trials(data), text=("trial", "what differs from V2")),
        method=method(data),
        unfinished=markdown(tables.unfinished(data), text=("state", "reason")),
        best="" if best is None else best.label,
        configuration="" if best is None else _lines({**best.arch, "train": best.train, "distill": best.distill}),
        timing=markdown(tables.timing(data)),
        timing_note=_timing_note(data),
        search_protocol=protocol_digest(study.search_protocol),
        protocol=protocol_digest(study.protocol),
        command=in_fence(study.command),
        report_command=report_command + published,
        reproduce=markdown(pd.DataFrame({"": ran.keys(), " ": ran.values()}), text=(" ",)),
        config=json.dumps(study.config.to_dict(), indent=1),
    )


def _lines(values: Mapping[str, Any]) -> str:
    """Return JSON with one line per key."""
    return "{\n" + ",\n".join(f' "{key}": {json.dumps(value)}' for key, value in values.items()) + "\n}"


def _timing_note(data: StudyData) -> str:
    share = data.study.standing.timing.get("overhead_share")
    idle = data.study.standing.timing.get("idle_share")
    workers, threads = data.study.workers, data.study.threads
    who = f"{counted(workers, 'worker')} of {counted(threads, 'thread')} each"
    said = [f"Training, evaluation and speed are sums over all networks except the teacher; {who} ran at once."]
    if share is not None:
        said.append(f"Share of a trial's time outside these three: {percent(share)} %.")
    if idle is not None and data.study.config.sharing is None:  # Workers also train shared weights and score.
        said.append(f"Share of the workers' time without a trial: {percent(idle)} %.")
    read = [f"{record.label} (`{record.read_from}`)" for record in data.records if record.read_from]
    if read:
        said.append(f"Trainings that other studies had run already, which took no time here: {', '.join(read)}.")
    return " ".join(said)
