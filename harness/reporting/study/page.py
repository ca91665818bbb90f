"""A study folder becomes ``report/``: Markdown, pictures and a table for machines."""

import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from harness.core.record import TrialRecord, write_json
from harness.errors import InputError
from harness.reporting.lock import caption, protocol_digest
from harness.reporting.study import plots, tables
from harness.reporting.study.data import StudyData, load
from harness.reporting.study.findings import findings, headline

LEAST_SCORE = 0.5
"""Found faces that score less are left out of the examples picture."""

EXAMPLES = 6
"""Scenes in the examples picture."""


@dataclass(frozen=True)
class Picture:
    """One picture: ``text`` is its caption, or says why there is no ``figure``."""

    title: str
    name: str
    text: str
    figure: Figure | None

    @property
    def file(self) -> str:
        """Return the file name, empty without a figure."""
        return f"{self.name}.png" if self.figure is not None else ""


def build_report(study_folder: Path) -> Path:
    """Write ``study_folder/report/`` anew and return the path of its ``report.md``.

    Raises:
        DataError: the study's files are missing or broken.
        InputError: APs of two protocols would share a column.
    """
    return _write(load(study_folder), study_folder / "report", public=False)


def publish(study_folder: Path, reports: Path, note: str = "", name: str = "") -> Path:
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
    if target.exists() and not (target / "results.csv").is_file():
        raise InputError(f"{target} exists and is no study's report: give another --as or move that folder away")
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
        "ap": {level: record.ap.get(level) for level in tables.LEVELS},
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
    pictures = _pictures(data, frame)
    hide = without_paths(data.study) if public else str
    published = f" --publish{' --as ' + target.name if target.name != data.study['name'] else ''}" if public else ""
    published += f" --note {shlex.quote(note)}" if note else ""
    text = hide(_render(data, pictures, published=published, note=note))
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        for picture in pictures:
            if picture.figure is not None:
                picture.figure.savefig(partial / picture.file, dpi=plots.DPI, metadata={"Software": None})
        if len(frame):
            frame["reason"] = frame["reason"].map(hide)
        frame.to_csv(partial / "results.csv", index=False)
        (partial / "report.md").write_text(text, encoding="utf-8")
        if public:
            write_json(partial / "summary.json", _summary(data) | {"note": note})
        if target.exists():
            shutil.rmtree(target)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target / "report.md"


def render(template: str, **values: Any) -> str:
    """Fill a template of ``harness/reporting/templates``: Markdown, with never more than one empty line."""
    environment = Environment(
        loader=PackageLoader("harness.reporting"),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    text = environment.get_template(template).render(**values)
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


def _render(data: StudyData, pictures: list[Picture], *, published: str, note: str) -> str:
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
        comparison=tables.markdown(tables.comparison(data)),
        notes=tables.notes(data),
        findings=findings(data),
        pictures=pictures,
        trials=tables.markdown(trials, text=("trial", "what differs from V2")) if len(trials) else "",
        trial_notes=_trial_notes(data),
        unfinished=tables.markdown(unfinished, text=("state", "reason")) if len(unfinished) else "",
        best=None
        if best is None
        else {
            "label": best.label,
            "configuration": tables.markdown(tables.configuration(best, data), text=("value", "V2")),
            "arch": "{\n" + ",\n".join(f' "{slot}": {json.dumps(part)}' for slot, part in best.arch.items()) + "\n}",
        },
        timing=tables.markdown(spent) if len(spent) else "",
        timing_note=_timing_note(data),
        command=study["command"],
        report_command=report_command + published,
        reproduce=_reproduce(data),
        config=json.dumps(study["config"], indent=1),
    )


def without_paths(study: dict[str, Any]) -> Callable[[str], str]:
    """Return a function that takes this machine's folders out of a text."""
    source = str(study["config"]["data"]["source"])

    def hide(text: str) -> str:
        if source != "synthetic":
            text = re.sub(rf"(?<![\w./-]){re.escape(source)}(?![\w-])", "PATH/TO/WIDERFACE", text)
        text = re.sub(r"(--(?:storage|tracking-uri)[ =])\S+", r"\1URL", text)  # It may hold a password.
        return re.sub(r"(?<![\w./<-])(?:\.{0,2}/)(?!/)(?:[\w.-]+/)*([\w.-]+)", r"PATH/TO/\1", text)

    return hide


def _trial_notes(data: StudyData) -> list[str]:
    said = ["Teacher and references stand outside the search: they are not ranked and may break the budget."]
    if data.records:
        said.append(tables.COUNTED)
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
    who = f"{workers} worker{'s' * (workers != 1)} of {threads} thread{'s' * (threads != 1)} each"
    return _sentences(
        f"Training, evaluation and speed are sums over all networks but the teacher; {who} ran at once.",
        "" if share is None else f"Share of a trial's time outside these three: {100 * share:.1f} %.",
        "" if idle is None else f"Share of the workers' time without any trial to train: {100 * idle:.1f} %.",
    )


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


def _pictures(data: StudyData, frame: pd.DataFrame) -> list[Picture]:
    protocol = next((r.protocol for r in data.records if r.ap), None)
    measured = f"AP by the protocol `{protocol_digest(protocol)}`, in words under the first table." if protocol else ""
    best = data.best.label if data.best is not None else None
    scored = frame[frame["ap_mean"].notna()] if len(frame) else frame
    return [
        _pareto(data, scored, best, measured),
        _parts(data),
        _speed(data, scored, best, measured),
        _learning(data, best),
        _precision_recall(data, measured),
        _importance(data),
        _examples(data),
    ]


def _sentences(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _pareto(data: StudyData, scored: pd.DataFrame, best: str | None, measured: str) -> Picture:
    title, name = "AP against parameters", "pareto"
    if best is None:
        return Picture(title, name, "No student has a final AP yet, so there is nothing to draw.", None)
    text = (
        f"Every student trained to the end; the line joins those that no smaller student matches. Dashed: the budget "
        f"of {data.budget:,} parameters. V2 is a reference outside the search."
    )
    return Picture(title, name, _sentences(text, tables.COUNTED, measured), plots.pareto(scored, data.budget, best))


def _parts(data: StudyData) -> Picture:
    title, name = "Parameters by part", "parts"
    shown = data.shown()
    if not shown:
        return Picture(title, name, "No network has been counted yet.", None)
    headings = [_heading(heading, record) for heading, record in shown.items()]
    counts = pd.DataFrame([tables.part_counts(record) for record in shown.values()], index=headings)
    text = "Attention after the backbone and after the neck is one part here, as in the documents."
    return Picture(title, name, f"{text} {tables.COUNTED}", plots.parts(counts, data.budget))


def _speed(data: StudyData, scored: pd.DataFrame, best: str | None, measured: str) -> Picture:
    title, name = "AP against speed", "speed"
    fast = scored[scored["speed_ratio_to_v1"].notna()] if len(scored) else scored
    if best is None or not (len(fast) and (fast["role"] == "candidate").any()):
        return Picture(title, name, "The speed of no searched student has been measured.", None)
    speed = next(r.speed for r in data.records if r.speed)
    text = _sentences(tables.speed_caption(speed), measured)
    return Picture(title, name, text, plots.speed(fast, best))


def _learning(data: StudyData, best: str | None) -> Picture:
    title, name = "Learning curves", "learning_curves"
    rows = [
        {"label": r.label, "role": r.role, "state": r.state, "epoch": epoch["epoch"], "ap": epoch["ap"]["mean"]}
        for r in data.records
        for epoch in r.epochs
        if (epoch.get("ap") or {}).get("mean") is not None
    ]
    if not rows:
        return Picture(title, name, "No AP after an epoch has been recorded yet.", None)
    count = data.study["config"]["data"]["search_images"]
    text = (
        f"Mean AP after every epoch, on the {count:,} images of the search split; a cross marks where a trial was "
        "stopped or failed."
    )
    return Picture(title, name, text, plots.learning_curves(pd.DataFrame(rows), best))


def _precision_recall(data: StudyData, measured: str) -> Picture:
    title, name = "Precision and recall", "precision_recall"
    shown = {heading: record for heading, record in data.shown().items() if record.curves}
    rows = [
        {"network": heading, "level": level, "recall": recall, "precision": precision}
        for heading, record in shown.items()
        for level, curve in record.curves.items()
        for recall, precision in zip(curve["recall"], curve["precision"], strict=True)
    ]
    if not rows:
        return Picture(title, name, "No precision-recall curve has been recorded yet.", None)
    figure = plots.precision_recall(pd.DataFrame(rows), {heading: record.ap for heading, record in shown.items()})
    return Picture(title, name, _sentences("The figure beside each name is its AP in %.", measured), figure)


def _importance(data: StudyData) -> Picture:
    title, name = "Importance of the axes", "importance"
    if not data.importance:
        return Picture(title, name, "Too few students were trained to the end to estimate it.", None)
    text = (
        "How much each axis decides whether a student is among the best by mean AP (PED-ANOVA, arXiv 2304.10255), "
        f"estimated from {len(data.ranked):,} students trained to the end. With few trials the estimate is rough."
    )
    return Picture(title, name, text, plots.importance(pd.Series(data.importance)))


def _examples(data: StudyData) -> Picture:
    title, name = "Examples", "examples"
    if not data.synthetic:
        return Picture(title, name, "Photographs are not shown: their licence does not allow to pass them on.", None)
    headings = {record.label: _heading(heading, record) for heading, record in data.shown().items()}
    if not any(label in scene.found for scene in data.examples for label in headings):
        return Picture(title, name, "The study has not written its example scenes yet.", None)
    text = f"Synthetic validation scenes. Found faces scoring below {LEAST_SCORE} are not drawn."
    return Picture(title, name, text, plots.examples(data.examples[:EXAMPLES], headings, LEAST_SCORE))


def _heading(heading: str, record: TrialRecord) -> str:
    return f"{heading} ({record.label})" if heading in ("best", "teacher") else heading


def study_names(runs: Path) -> Iterable[str]:
    """Return the names of the studies in ``runs``, sorted."""
    return sorted(path.parent.name for path in runs.glob("*/study.json"))
