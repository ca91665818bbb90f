"""Makes published reports from their records, and from nothing else: what is committed can be made again anywhere."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import matplotlib

from harness.core.limits import check_name
from harness.core.sealed import read_sealed, sealed
from harness.core.typed import built
from harness.errors import DataError, HarnessError, InputError
from harness.reporting.ablation import page as ablation
from harness.reporting.compare import compare, read_studies, write_comparison
from harness.reporting.publish import REPORT, replaced
from harness.reporting.records.archive import RECORDS, laid_out, packed, unpacked
from harness.reporting.study import page as study

FILE = "report.json"
DETECTORS = "published"
"""Folder of the matched detections of published detectors."""

WEIGHTS = "*.safetensors"
"""Weights that are published beside a report; they are not made from its records."""

STUDY, ABLATION, COMPARISON = "study", "ablation", "comparison"


@dataclass(frozen=True)
class Recipe:
    """What a report says that is in no study's folder.

    Attributes:
        kind: ``study``, ``ablation`` or ``comparison``.
        studies: names of its studies; one, except in a comparison.
        note: the note at its top.
        weights: whether weights are published beside it.
        command: the command that makes a comparison again.
        resamples: number of resamples of a comparison.
        detectors: names of the published detectors in a comparison.
    """

    kind: str
    studies: list[str]
    note: str = ""
    weights: bool = False
    command: str = ""
    resamples: int = 0
    detectors: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, runs: Path) -> "Recipe":
        """Read the recipe among unpacked records.

        Raises:
            DataError: it is missing, damaged, or of another version of the harness.
        """
        path = runs / FILE
        try:
            recipe = built(cls, read_sealed(path))
            for name in recipe.studies:
                check_name(name, "a study's name")
            if recipe.kind not in (STUDY, ABLATION, COMPARISON) or not recipe.studies:
                raise TypeError(f"its kind is '{recipe.kind}', of {len(recipe.studies)} studies")
        except (TypeError, InputError) as error:
            raise DataError(f"{path} is of another version of the harness, or damaged: {error}") from error
        return recipe


def publish(recipe: Recipe, files: Mapping[str, bytes], target: Path, weights: Iterable[Path] = ()) -> Path:
    """Make a report from records, put both into ``target``, and return the path of its ``report.md``.

    Args:
        recipe: what to make.
        files: the records of its studies, as ``collected`` returns them.
        target: replaced as a whole; its name is the report's.
        weights: weights to be published too.

    Raises:
        InputError, DataError: no report can be made from the records.
    """
    return _replace(target, packed({**files, FILE: sealed(asdict(recipe))}), weights)


def renew(target: Path) -> Path:
    """Make a published report again from its records, and return the path of its ``report.md``.

    Raises:
        InputError, DataError: its records are missing or damaged, or no report can be made from them.
    """
    unpacked(target / RECORDS)  # An error names this file, and not a copy.
    return _replace(target, (target / RECORDS).read_bytes(), sorted(target.glob(WEIGHTS)))


def _replace(target: Path, records: bytes, weights: Iterable[Path]) -> Path:
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch) / RECORDS
        archive.write_bytes(records)
        with made(archive, target.name) as report:
            for path in (archive, *weights):
                shutil.copy(path, report / path.name)
            with replaced(target) as folder:
                shutil.copytree(report, folder, dirs_exist_ok=True)
    return target / REPORT


@contextmanager
def made(archive: Path, name: str) -> Iterator[Path]:
    """Yield a temporary folder with the report called ``name``, made from an archive of records.

    Raises:
        InputError, DataError: the archive is missing or damaged, or no report can be made from it.
    """
    files = unpacked(archive)
    with laid_out(files) as runs, tempfile.TemporaryDirectory() as scratch, matplotlib.rc_context():
        matplotlib.rcdefaults()  # A user's own settings would change the pictures.
        target = Path(scratch) / name
        try:
            _make(Recipe.load(runs), runs, target)
        except HarnessError as error:  # It names files in a folder that is gone when it is read.
            raise DataError(str(error).replace(f"{runs}/", f"{archive.name}: ")) from error
        yield target


def _make(recipe: Recipe, runs: Path, target: Path) -> Any:
    folder = runs / recipe.studies[0]
    if recipe.kind == STUDY:
        return study.write_public(folder, target, recipe.note, weights=recipe.weights)
    if recipe.kind == ABLATION:
        return ablation.write_public(folder, target, recipe.note)
    detectors = {name: runs / DETECTORS / f"{place}.npz" for place, name in enumerate(recipe.detectors)}
    found = compare(read_studies(recipe.studies, runs), runs, None, detectors, recipe.resamples, lambda *_: None)
    return write_comparison(found, target, recipe.command, recipe.note, public=True)
