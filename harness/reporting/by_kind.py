"""The report of any study: that of an ablation, or that of a search."""

import tempfile
from pathlib import Path
from typing import Any

from rich.table import Table

from harness.core.manifest import Manifest
from harness.errors import InputError
from harness.reporting import ablation
from harness.reporting.compare.images import known_images
from harness.reporting.publish import check_target
from harness.reporting.records.collect import collected
from harness.reporting.records.making import ABLATION, STUDY, Recipe, publish
from harness.reporting.study import page, tables
from harness.reporting.study.data import load


def _compares(folder: Path) -> bool:
    return Manifest.load(folder).config.ablation is not None


def build_report(folder: Path) -> Path:
    """Write the study's ``report/``, replacing an earlier one, and return the path of its ``report.md``.

    Raises:
        DataError: the study's files are missing or broken.
        InputError: APs of two protocols would share a column, or an ablation's networks were not trained alike.
    """
    return ablation.build(folder) if _compares(folder) else page.build_report(folder)


def publish_report(folder: Path, reports: Path, note: str = "", name: str = "", *, weights: bool = False) -> Path:
    """Make the report in ``reports/<name>/`` from records, which are put beside it; return its ``report.md``.

    Args:
        folder: the study's.
        reports: folder of all published reports.
        note: a note on the data, shown at the top.
        name: the study's by default.
        weights: also write the weights of the teacher and of the best student, with architecture, protocol and AP in
            the header.

    Raises:
        DataError: the study's files are missing or broken.
        InputError: ``reports/<name>`` exists and is no report of this kind, an AP column would mix protocols, an
            ablation's networks were not trained alike, or weights are asked for that an ablation does not have or that
            were trained on photographs.
    """
    data = load(folder)
    target = reports / (name or data.study.name)
    compares = data.study.config.ablation is not None
    if compares and weights:
        raise InputError(f"'{folder.name}' is an ablation, which chooses no best student: publish it without --weights")
    if weights and not data.synthetic:
        raise InputError(
            f"the networks of '{data.study.name}' were trained on photographs: publish it without --weights"
        )
    check_target(target, *(("shapley", "ablation's report") if compares else ("trials", "study's report")))
    recipe = Recipe(ABLATION if compares else STUDY, [folder.name], note, weights)
    files = collected([data], known_images([data], folder.parent))
    with tempfile.TemporaryDirectory() as scratch:
        beside = page.write_weights(data, Path(scratch)) if weights else []
        return publish(recipe, files, target, beside)


def summary(folder: Path) -> dict[str, Any]:
    """Return the study as one JSON object.

    Raises:
        DataError, InputError: as ``build_report``.
    """
    return ablation.summary(folder) if _compares(folder) else page.summary(folder)


def terminal_table(folder: Path) -> Table:
    """Return the study's networks as a table for the terminal.

    Raises:
        DataError, InputError: as ``build_report``.
    """
    return ablation.terminal_table(ablation.load(folder)) if _compares(folder) else tables.terminal_table(folder)
