"""Writes a comparison to a folder: ``report.md``, ``report.html``, pictures, ``results.csv`` and ``summary.json``."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from harness.core.record import write_json
from harness.evaluation.stats import CONFIDENCE
from harness.reporting import diagnosis, landmarks, publish
from harness.reporting.compare import ranks, tables
from harness.reporting.compare.data import Comparison, Group
from harness.reporting.compare.findings import differing, findings, headline, noise
from harness.reporting.compare.pictures import pictures_of
from harness.reporting.compare.recall import RECALL_NOTE, recall_findings, recall_table, recalls, shared_table
from harness.reporting.format import markdown
from harness.reporting.hidden import without_paths
from harness.reporting.lock import caption, protocol_digest
from harness.reporting.parts import COUNTED
from harness.reporting.publish import Picture
from harness.reporting.study.method import CHOICE, ONE_COPY, provenance


def check_comparison(target: Path) -> None:
    """Refuse to replace anything but an earlier comparison.

    Raises:
        InputError: ``target`` exists and holds something else.
    """
    publish.check_target(target, "pairs", "comparison")


def write_comparison(found: Comparison, target: Path, command: str, note: str = "", *, public: bool) -> Path:
    """Write everything into ``target``, replacing an earlier comparison, and return its ``report.md``.

    Args:
        found: the comparison.
        target: the folder.
        command: the command that repeats it.
        note: a note on the data, shown at the top.
        public: leave out this machine's paths. WIDER FACE images are never included.

    Raises:
        InputError: ``target`` exists and holds something else.
    """
    check_comparison(target)
    drawn = pictures_of(found)
    loaded = {data.study.name: diagnosis.load_diagnosis(data.folder) for data in found.studies}
    diagnoses = {name: content for name, content in loaded.items() if content is not None}
    commands = [content["command"] for content in diagnoses.values()]
    hide = without_paths([data.study for data in found.studies], *commands) if public else str
    text = hide(_render(found, drawn, diagnoses, command, note))
    gradients = {
        name: Picture(f"Gradient shares in {name}", f"gradients-{name}", "", diagnosis.picture(content))
        for name, content in diagnoses.items()
    }
    pictures = [*drawn, *gradients.values()]
    with publish.replaced(target) as folder:
        publish.save_pictures(pictures, folder)
        for name, content in diagnoses.items():
            page = diagnosis.page(content, gradients[name].file)
            (folder / f"diagnosis-{name}.md").write_text(hide(page), encoding="utf-8")
        tables.results(found).to_csv(folder / publish.RESULTS, index=False)
        publish.write_report(folder, text, pictures)
        write_json(folder / publish.SUMMARY, summary(found, hide) | {"note": note})
    return target / publish.REPORT


def summary(found: Comparison, hide: Callable[[str], str] = str) -> dict[str, Any]:
    """Return the comparison as one JSON object: groups, differences with intervals, seed variance, recall, findings."""
    return {
        "studies": [data.study.name for data in found.studies],
        "protocol": dict(found.protocol),
        "data": found.data_name,
        "images": found.images,
        "resamples": found.resamples,
        "confidence": CONFIDENCE,
        "groups": [_summarised(group, found) for group in found.groups],
        "best": {study: group.name for study, group in found.best.items()},
        "pairs": [
            {
                "one": pair.one.name,
                "other": pair.other.name,
                "seeds": [len(pair.one.members), len(pair.other.members)],
                "ap": tables.numbers(pair.ap),
                "over_seeds": None if (i := pair.over_seeds("mean")) is None else list(i),
                "training_differs": pair.apart,
            }
            for pair in found.pairs
        ],
        "ranks": [rank._asdict() for rank in ranks.ranks(found)],
        "noise": None if (measured := noise(found)) is None else measured.to_dict(),
        "recall": recalls(found).to_dict(orient="records"),
        "published": {name: tables.numbers(ap) for name, ap in found.published.items()},
        "published_protocol": dict(found.published_protocol),
        "findings": [hide(sentence) for sentence in (*findings(found), *recall_findings(found))],
        "remarks": [hide(sentence) for sentence in found.remarks],
    }


def _summarised(group: Group, found: Comparison) -> dict[str, Any]:
    record = group.record
    return {
        "name": group.name,
        "kind": group.kind,
        "taught_by": group.taught_by,
        "distill": record.distill,
        "params": record.params,
        "budget": group.budget,
        "seeds": [member.record.seed for member in group.members],
        "members": [f"{member.study}/{member.record.label}" for member in group.members],
        "ap": tables.numbers(group.ap),
        "ap_by_member": [member.ap.value for member in group.members],
        "best_of": [study for study, best in found.best.items() if best is group],
        "arch": record.arch,
    }


def _render(
    found: Comparison,
    pictures: Sequence[Picture],
    diagnoses: Mapping[str, dict[str, Any]],
    command: str,
    note: str,
) -> str:
    trained = tables.networks(found)
    words = ("distillation", "study")
    names = [data.study.name for data in found.studies]
    ran = {f"`{data.study.name}`": provenance(data.study) for data in found.studies}
    columns = {name: values.values() for name, values in ran.items()}
    return publish.render(
        "compare.md.j2",
        title=" and ".join(f"`{name}`" for name in names),
        headline=headline(found),
        note=note,
        remarks=found.remarks,
        networks=markdown(trained, text=tuple(word for word in words if word in trained.columns)),
        differing=differing(found),
        protocol=protocol_digest(found.protocol),
        search_protocol=protocol_digest(found.studies[0].study.search_protocol),
        method=_method(found),
        findings=findings(found),
        pairs=markdown(tables.pairs(found)),
        ranks=markdown(ranks.table(found), text=("against",)),
        candidates=markdown(ranks.candidates(found)),
        confidence=f"{100 * CONFIDENCE:.0f}",
        recalls=markdown(recall_table(found)),
        recall_findings=recall_findings(found),
        shared=[
            (f"{group.name} against {teacher.name}", markdown(shared_table(group, teacher, found)))
            for group in found.best.values()
            for teacher in found.teachers_of(group)
        ],
        published=markdown(tables.published(found)),
        published_note=_published_note(found),
        diagnoses={name: diagnosis.findings(content) for name, content in diagnoses.items()},
        pictures=pictures,
        reproduce=markdown(pd.DataFrame({"": next(iter(ran.values())).keys(), **columns}), text=tuple(columns)),
        commands=[
            *(data.study.command for data in found.studies),
            *(content["command"] for content in diagnoses.values()),
            command,
        ],
    )


def _method(found: Comparison) -> list[str]:
    budgets = dict.fromkeys(data.bounds for data in found.studies)
    over = f"{100 * CONFIDENCE:.0f} % interval"
    said = [
        CHOICE,
        f"An AP is the mean over the seeds, ± their standard deviation where there are several, with its {over} over "
        f"images: percentiles of {found.resamples:,} resamples of the {found.images:,} images, the same ones (seed 0) "
        "for every network. It does not cover other seeds. Scores stay scaled over the whole set.",
        f"A difference is that of the means over seeds, with its {over} over images, paired: both sides have the same "
        "resamples. Over seeds: Student's t, paired if both sides were trained with the same seeds, else Welch's; – if "
        "one side was trained only once. “(other seeds)”: without the training that the search selected.",
        caption(found.protocol, found.data_name, "Validation AP"),
        f"Budget: {'; '.join(budgets)}. {COUNTED}",
        "Distillation: T is the temperature, α the weight of the teacher's outputs against the ground truth, λ the "
        "weight of the feature imitation.",
        RECALL_NOTE,
    ]
    if any(member.record.landmark for group in found.groups for member in group.members):
        said.append(landmarks.CAPTION)
    if not all(data.synthetic for data in found.studies):
        said.append(ONE_COPY)
    return said


def _published_note(found: Comparison) -> str:
    if not found.published:
        return ""
    return (
        "Prediction files as published, scored on the same images. How these detections were made is not known, "
        f"so they share no column with the networks above. {caption(found.published_protocol, found.data_name)}"
    )
