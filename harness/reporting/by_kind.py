"""The report of any study: that of an ablation, or that of a search."""

from pathlib import Path
from typing import Any

from rich.table import Table

from harness.core.manifest import Manifest
from harness.errors import InputError
from harness.reporting import ablation
from harness.reporting.study import page, tables


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
    """Write the report to ``reports/<name>/``; arguments and errors as in ``study.page.publish_report``.

    Raises:
        InputError: also if the weights of an ablation are asked for.
    """
    if not _compares(folder):
        return page.publish_report(folder, reports, note, name, weights=weights)
    if weights:
        raise InputError(f"'{folder.name}' is an ablation, which chooses no best student: publish it without --weights")
    return ablation.publish(folder, reports, note, name)


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
