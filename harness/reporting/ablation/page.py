"""Writes an ablation's report: ``report.md``, ``report.html``, ``tables/``, pictures, CSV and ``summary.json``."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from harness.core.record import write_json
from harness.reporting import publish as publishing
from harness.reporting.ablation import findings, tables
from harness.reporting.ablation.counts import Counts, counts
from harness.reporting.ablation.data import AblationData, load
from harness.reporting.ablation.hypotheses import Judged, judged
from harness.reporting.ablation.method import method
from harness.reporting.ablation.pictures import pictures_of
from harness.reporting.ablation.summary import summarised
from harness.reporting.compare.tables import results
from harness.reporting.format import markdown
from harness.reporting.hidden import without_paths
from harness.reporting.lock import protocol_digest
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


def write_public(folder: Path, target: Path, note: str = "") -> Path:
    """Write the report to ``target``, without paths of this machine, and return its ``report.md``.

    Args:
        folder: the study's folder.
        target: the report's name is that of this folder.
        note: a note on the data, shown at the top.

    Raises:
        InputError, DataError: as ``build``.
    """
    return _write(load(folder), target, note, public=True)


def summary(folder: Path) -> dict[str, Any]:
    """Return an ablation as one JSON object: networks, differences, Shapley values, hypotheses, findings.

    Raises:
        InputError, DataError: as ``build``.
    """
    data = load(folder)
    return summarised(data, counts(data.study.study.config.speed.size)) | {
        "report": str(folder / "report" / "report.md")
    }


def _write(data: AblationData, target: Path, note: str, *, public: bool = False) -> Path:
    study = data.study.study
    commands = _commands(data, target, note, public=public)
    hide = without_paths([study], *commands) if public else str
    counted_, found = counts(study.config.speed.size), judged(data)
    frames = {
        "parts": tables.parts(data, counted_),
        "hypotheses": tables.hypotheses(found),
        "differences": tables.differences(data),
        "networks": tables.arms(data),
        "combinations": tables.combinations(counted_),
    }
    drawn = pictures_of(data, counted_)
    text = hide(_render(data, counted_, found, frames, drawn, commands, note))
    with publishing.replaced(target) as folder:
        publishing.save_pictures(drawn, folder, FORMATS)
        _write_tables(frames, folder / TABLES)
        results(data.found).to_csv(folder / publishing.RESULTS, index=False)
        publishing.write_report(folder, text, drawn)
        write_json(folder / publishing.SUMMARY, summarised(data, counted_, hide) | {"note": note})
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
        coverage=findings.coverage(data, counted_),
        hypotheses_said=findings.hypothesis_findings(found),
        hypotheses=markdown(frames["hypotheses"]),
        differences_said=list(findings.difference_findings(data)),
        differences=markdown(frames["differences"], text=("change",)),
        arms=markdown(frames["networks"]),
        protocol=protocol_digest(data.found.protocol),
        pictures=drawn,
        combinations=markdown(frames["combinations"], text=("cannot be built",)),
        method=method(data, counted_),
        reproduce=markdown(pd.DataFrame({"": ran.keys(), "value": ran.values()}), text=("value",)),
        commands=commands,
    )
