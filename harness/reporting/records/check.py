"""Compares published reports with what their records give."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import HarnessError, InputError, unknown_name
from harness.reporting.publish import REPORT
from harness.reporting.records.archive import RECORDS
from harness.reporting.records.making import WEIGHTS, made


@dataclass(frozen=True)
class Checked:
    """A published report.

    Attributes:
        name: its folder's name.
        recorded: whether it has records.
        stale: names of the files that differ from what its records give, are missing, or are not made from them.
        reason: why its records give no report; otherwise empty.
    """

    name: str
    recorded: bool
    stale: list[str] = field(default_factory=list)
    reason: str = ""

    @property
    def fresh(self) -> bool:
        """Whether nothing is known against the report."""
        return not self.stale and not self.reason


def published(reports: Path, names: Sequence[str]) -> list[Path]:
    """Return the folders of the reports called ``names``, or of all; those without records included.

    Raises:
        InputError: a name is unknown; the message lists the known ones.
    """
    known = {path.parent.name: path.parent for path in sorted(reports.glob(f"*/{REPORT}"))}
    known |= {path.parent.name: path.parent for path in sorted(reports.glob(f"*/{RECORDS}"))}
    for name in names:
        if name not in known:
            raise unknown_name(f"report in {reports}/:", name, known)
    if not known:
        raise InputError(f"no report in {reports}/: run this command where the published reports are")
    return [known[name] for name in dict.fromkeys(names or sorted(known))]


def check(folder: Path) -> Checked:
    """Make a published report again from its records, and compare every file with the published one."""
    if not (folder / RECORDS).exists():
        return Checked(folder.name, recorded=False)
    try:
        with made(folder / RECORDS, folder.name) as fresh:
            stale = sorted(name for name in _files(fresh) | _files(folder) if not _same(folder / name, fresh / name))
    except HarnessError as error:
        return Checked(folder.name, recorded=True, reason=str(error))
    return Checked(folder.name, recorded=True, stale=stale)


def _files(folder: Path) -> set[str]:
    """Return the names of a report's files that are made from its records."""
    paths = (path for path in folder.rglob("*") if path.is_file() and not path.match(WEIGHTS))
    return {str(path.relative_to(folder)) for path in paths} - {RECORDS}


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and one.read_bytes() == other.read_bytes()
