"""A study folder becomes ``report/``: Markdown, pictures and a table for machines."""

import json
import shlex
from pathlib import Path
from typing import Any

from harness.core.record import TrialRecord, write_json
from harness.evaluation.stats import LEVELS
from harness.reporting.format import counted, markdown, percent
from harness.reporting.lock import caption
from harness.reporting.parts import COUNTED
from harness.reporting.publish import (
    REPORT,
    RESULTS,
    SUMMARY,
    Picture,
    check_target,
    render,
    replaced,
    save_pictures,
    without_paths,
)
from harness.reporting.study import tables
from harness.reporting.study.data import StudyData, load
from harness.reporting.study.findings import findings, headline
from harness.reporting.study.pictures import pictures


def build_report(study_folder: Path) -> Path:
    """Write ``study_folder/report/`` anew and return the path of its ``report.md``.

    Raises:
        DataError: the study's files are missing or broken.
        InputError: APs of two protocols would share a column.
    """
    return _write(load(study_folder), study_folder / "report", public=False)


def publish_report(study_folder: Path, reports: Path, note: str = "", name: str = "") -> Path:
    """Write the report to ``reports/<name>/``, without paths of this machine, and return its ``report.md``.

    ``name`` is the study's by default. ``note`` stands at the top, in the summary and wherever the audit shows these
    figures: what a reader must know of the data before believing an AP.

    Photographs never go along: the examples picture is drawn for synthetic scenes only.

    Raises:
        DataError: the study's files are missing or broken.
        InputError: ``reports/<name>`` is there and holds no report of a study, or an AP column would mix protocols.
    """
    data = load(study_folder)
    target = reports / (name or data.study["name"])
    check_target(target, "trials", "study's report")
    return _write(data, target, public=True, note=note)


def summary(study_folder: Path) -> dict[str, Any]:
    """Return the study as one JSON object: what was trained, and V1, V2 and the best student.

    Raises:
        DataError: the study's files are missing or broken.
    """
    return _summary(load(study_folder)) | {"report": str(study_folder / "report" / "report.md")}


def _summary(data: StudyData) -> dict[str, Any]:
    timing = data.study.get("timing") or {}
    return {
        "name": data.study["name"],
        "space": data.study["config"]["space"],
        "budget": data.budget,
        "trials": {state: len(data.candidates(state)) for state in ("complete", "pruned", "failed", "running")}
        | {"wanted": data.study["config"]["trials"]},
        "wasted": data.study.get("wasted", 0),
        "repeated": data.study.get("repeated", 0),
        "seconds": timing.get("total"),
        "overhead_share": timing.get("overhead_share"),
        "protocol": data.study.get("protocol") or {},
        "data": data.data_name,
        "v1": _network(data.named("v1")),
        "teacher": _network(data.teacher),
        "v2": _network(data.named("v2")),
        "best": _network(data.best),
    }


def _network(record: TrialRecord | None) -> dict[str, Any] | None:
    if record is None:
        return None
    return {
        "label": record.label,
        "state": record.state,
        "params": record.params,
        "parts": record.parts,
        "macs": record.macs,
        "size_mb": record.size_mb,
        "ap": {level: record.ap.get(level) for level in LEVELS},
        "fps": record.speed.get("fps"),
        "ratio_to_v1": record.speed.get("ratio_to_v1"),
        "landmark": record.landmark,
        "arch": record.arch,
        "distill": record.distill,
        "configuration": record.configuration,
    }


def _write(data: StudyData, target: Path, *, public: bool, note: str = "") -> Path:
    """Write everything into a folder beside ``target`` and put it in its place when it is whole."""
    frame = tables.results(data)
    drawn = pictures(data, frame)
    hide = without_paths([data.study]) if public else str
    published = f" --publish{' --as ' + target.name if target.name != data.study['name'] else ''}" if public else ""
    published += f" --note {shlex.quote(note)}" if note else ""
    text = hide(_render(data, drawn, published=published, note=note))
    if len(frame):
        frame["reason"] = frame["reason"].map(hide)
    with replaced(target) as folder:
        save_pictures(drawn, folder)
        frame.to_csv(folder / RESULTS, index=False)
        (folder / REPORT).write_text(text, encoding="utf-8")
        if public:
            write_json(folder / SUMMARY, _summary(data) | {"note": note})
    return target / REPORT


def _render(data: StudyData, drawn: list[Picture], *, published: str, note: str) -> str:
    study, best = data.study, data.best
    trials, unfinished, spent = tables.trials(data), tables.unfinished(data), tables.timing(data)
    report_command = f"python -m harness.report {study['name']}"
    return render(
        "report.md.j2",
        name=study["name"],
        description=study["config"]["description"],
        headline=headline(data),
        note=note,
        warnings=[
            f"Trial {label} is in no table or picture: its AP was measured by another protocol ({difference})."
            for label, difference in data.foreign.items()
        ],
        comparison=markdown(tables.comparison(data)),
        notes=tables.notes(data),
        findings=findings(data),
        pictures=drawn,
        trials=markdown(trials, text=("trial", "what differs from V2")) if len(trials) else "",
        trial_notes=_trial_notes(data),
        unfinished=markdown(unfinished, text=("state", "reason")) if len(unfinished) else "",
        best=None
        if best is None
        else {
            "label": best.label,
            "configuration": markdown(tables.configuration(best, data), text=("value", "V2")),
            "arch": "{\n" + ",\n".join(f' "{slot}": {json.dumps(part)}' for slot, part in best.arch.items()) + "\n}",
        },
        timing=markdown(spent) if len(spent) else "",
        timing_note=_timing_note(data),
        command=study["command"],
        report_command=report_command + published,
        reproduce=_reproduce(data),
        config=json.dumps(study["config"], indent=1),
    )


def _trial_notes(data: StudyData) -> list[str]:
    said = ["Teacher and references stand outside the search: they are not ranked and may break the budget."]
    if data.records:
        said.append(COUNTED)
    protocol = next((r.protocol for r in data.records if r.ap), None)
    if protocol is not None:
        said.append(caption(protocol, data.data_name))
    speed = next((r.speed for r in data.records if r.speed), None)
    if speed is not None:
        said.append(tables.speed_caption(speed))
    return said


def _timing_note(data: StudyData) -> str:
    share = (data.study.get("timing") or {}).get("overhead_share")
    idle = (data.study.get("timing") or {}).get("idle_share")
    workers, threads = data.study["workers"], data.study["threads"]
    who = f"{counted(workers, 'worker')} of {counted(threads, 'thread')} each"
    said = [f"Training, evaluation and speed are sums over all networks but the teacher; {who} ran at once."]
    if share is not None:
        said.append(f"Share of a trial's time outside these three: {percent(share)} %.")
    if idle is not None:
        said.append(f"Share of the workers' time without any trial to train: {percent(idle)} %.")
    return " ".join(said)


def _reproduce(data: StudyData) -> list[tuple[str, str]]:
    study, config = data.study, data.study["config"]
    machine, teacher = study["machine"], study.get("teacher") or {}
    rows = [
        ("started", study.get("started", "")),
        ("commit", f"`{study.get('commit') or 'not recorded'}`"),
        ("versions", ", ".join(f"{name} {version}" for name, version in study["versions"].items())),
        ("machine", ", ".join(f"{name} {value}" for name, value in machine.items())),
        ("workers × threads", f"{study['workers']} × {study['threads']}"),
        ("study seed, data seed", f"{config['seed']}, {config['data']['seed']}"),
        ("space", f"`{config['space']}`, digest `{study['space_digest']}`"),
        ("training data", f"digest `{study['data']['train_digest']}`"),
        ("validation data", f"digest `{study['data']['val_digest']}`"),
        ("AP protocol", f"`{(study.get('protocol') or {}).get('digest', 'not recorded')}`"),
    ]
    if teacher:
        rows.append(("teacher", f"{teacher['label']}, {teacher['params']:,} parameters, weights `{teacher['digest']}`"))
    return rows
