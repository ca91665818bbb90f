"""Renders a report into a folder, as Markdown and as a page, and replaces the earlier one only when it is complete."""

import errno
import glob
import json
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from harness.errors import InputError
from harness.reporting.harmless import harmless
from harness.reporting.style import save
from harness.reporting.webpage import inlined, page

REPORT, PAGE, RESULTS, SUMMARY = "report.md", "report.html", "results.csv", "summary.json"

_LEFT = 3_600.0
"""Seconds after which an unfinished report is one whose process was killed."""


@dataclass(frozen=True)
class Picture:
    """One picture of a report.

    Attributes:
        text: its caption, or why there is no ``figure``.
        notes: label → text of the networks whose points are labelled (``style.mark``), shown on the page at a point.
    """

    title: str
    name: str
    text: str
    figure: Figure | None = None
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """Return the file name, empty without a figure."""
        return f"{self.name}.png" if self.figure is not None else ""


def save_pictures(pictures: Sequence[Picture], folder: Path, formats: Sequence[str] = (".png",)) -> None:
    """Write every picture that has a figure, in each of the formats."""
    for picture in pictures:
        if picture.figure is not None:
            for suffix in formats:
                save(picture.figure, (folder / picture.file).with_suffix(suffix))


def write_report(folder: Path, text: str, pictures: Sequence[Picture]) -> None:
    """Write a report and its page, which has the same content.

    Args:
        folder: the report's folder.
        text: the report as Markdown.
        pictures: all pictures that ``text`` shows.
    """
    images = {p.file: inlined(p.figure, p.name, p.title, p.notes) for p in pictures if p.figure is not None}
    (folder / REPORT).write_text(text, encoding="utf-8")
    (folder / PAGE).write_text(page(text, images), encoding="utf-8")


def places(report: Path) -> str:
    """Return where a report and its page are, as a command's closing lines."""
    return f"report: {report}\npage: {report.with_name(PAGE)}"


def check_target(target: Path, key: str, what: str) -> None:
    """Refuse to replace anything but an earlier report of the same kind.

    Args:
        target: the folder to be replaced.
        key: a key that only ``summary.json`` of this kind has.
        what: the kind in words.

    Raises:
        InputError: ``target`` exists and holds something else.
    """
    if not target.exists():
        return
    try:
        earlier = json.loads((target / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        earlier = {}
    if not isinstance(earlier, dict) or key not in earlier:
        raise InputError(f"{target} exists and is no {what}: choose another name or move that folder away")


@contextmanager
def replaced(target: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces ``target`` at the end; after an error, ``target`` is unchanged.

    The earlier folder is moved away first and removed last, so that ``target`` is never a mixture of both. Of several
    processes that replace the same folder at once, each writes a folder of its own, and the last one's stays.
    """
    _remove_leftovers(target)
    own = uuid.uuid4().hex
    new, earlier = (target.with_name(f".{target.name}.{own}.{name}") for name in ("partial", "earlier"))
    new.mkdir(parents=True)
    try:
        yield new
        while True:
            with suppress(FileNotFoundError):  # There is none, or another process has just moved it away.
                target.rename(earlier)
            try:
                new.rename(target)
                break
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
            shutil.rmtree(earlier, ignore_errors=True)  # Another process has put its own there meanwhile.
    finally:
        for folder in (new, earlier):
            shutil.rmtree(folder, ignore_errors=True)


def _remove_leftovers(target: Path) -> None:
    """Remove the folders of processes that were killed while they replaced ``target``."""
    for folder in target.parent.glob(f".{glob.escape(target.name)}.*.*"):
        with suppress(OSError):
            if folder.suffix in (".partial", ".earlier") and time.time() - folder.stat().st_mtime > _LEFT:
                shutil.rmtree(folder)


def render(template: str, **values: Any) -> str:
    """Fill a template of ``harness/reporting/templates``: Markdown, with at most one empty line in a row.

    Whatever the values hold, the result has no HTML but the template's own, and no address outside its folder.
    """
    environment = Environment(
        loader=PackageLoader("harness.reporting"),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    text = environment.get_template(template).render(**values)
    return harmless(re.sub(r"\n{3,}", "\n\n", text)).rstrip() + "\n"
