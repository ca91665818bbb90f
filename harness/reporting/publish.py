"""Renders a report into a folder, without this machine's paths, and replaces the earlier one only when complete."""

import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from harness.core.manifest import Manifest
from harness.errors import InputError
from harness.reporting.style import save

REPORT, RESULTS, SUMMARY = "report.md", "results.csv", "summary.json"


@dataclass(frozen=True)
class Picture:
    """One picture; ``text`` is its caption, or says why there is no ``figure``."""

    title: str
    name: str
    text: str
    figure: Figure | None = None

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
    if key not in earlier:
        raise InputError(f"{target} exists and is no {what}: choose another name or move that folder away")


@contextmanager
def replaced(target: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces ``target`` at the end; after an error, ``target`` is unchanged.

    The earlier folder is moved away first and removed last, so that ``target`` is never a mixture of both.
    """
    partial, earlier = (target.with_name(f".{target.name}.{name}") for name in ("partial", "earlier"))
    for folder in (partial, earlier):
        shutil.rmtree(folder, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if target.exists():
            target.rename(earlier)
        partial.rename(target)
    finally:
        for folder in (partial, earlier):
            shutil.rmtree(folder, ignore_errors=True)


def render(template: str, **values: Any) -> str:
    """Fill a template of ``harness/reporting/templates``: Markdown, with at most one empty line in a row."""
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


def without_paths(studies: Sequence[Manifest]) -> Callable[[str], str]:
    """Return a function that replaces the paths of this machine in a text by placeholders.

    Args:
        studies: their image folders are replaced by ``PATH/TO/WIDERFACE``.
    """
    sources = [study.config.data.source for study in studies]

    def hide(text: str) -> str:
        for source in sources:
            if source != "synthetic":
                text = re.sub(rf"(?<![\w./-]){re.escape(source)}(?![\w-])", "PATH/TO/WIDERFACE", text)
        text = re.sub(r"(--(?:storage|tracking-uri)[ =])\S+", r"\1URL", text)
        return re.sub(r"(?<![\w./<-])(?:\.{0,2}/)(?!/)(?:[\w.-]+/)*([\w.-]+)", r"PATH/TO/\1", text)

    return hide
