"""Reads a study's folder: the data of all tables, pictures and sentences of its report."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from harness.core.manifest import FILE, Manifest
from harness.core.protocol import ALONE, INHERITED
from harness.core.record import TrialRecord, load_records, ranked
from harness.core.scores import EPOCHS, SHARED, SHORTLIST, Scored, load_scores
from harness.core.sealed import read_sealed
from harness.core.space import Configuration
from harness.data.arrays import load_arrays
from harness.errors import DataError, InputError, unknown_name
from harness.reporting.lock import differences

Array = NDArray[Any]

FROM_SLICES = "V2 from slices"


@dataclass(frozen=True)
class Example:
    """One validation image: ``image`` (H, W, 3) uint8 BGR, ``truth`` (n, 4), ``found`` label → (m, 5) with scores."""

    image: Array
    truth: Array
    found: dict[str, Array]


@dataclass(frozen=True)
class StudyData:
    """A study's records and its other files.

    Attributes:
        study: the study's manifest.
        records: records of the study's protocols: teacher, references, then candidates by number.
        foreign: label → how its protocols differ, for records that are left out because of another protocol.
        scores: candidates that were scored by shared weights, by number.
        shortlist: number → one of them after an epoch of training.
        sharing: one dict per epoch of the training of the shared weights.
        importance: axis → share; empty if there were too few trials.
        examples: some validation images. Those of people are in no report, only in the study's folder.
    """

    folder: Path
    study: Manifest
    records: list[TrialRecord]
    foreign: dict[str, str]
    scores: list[Scored]
    shortlist: dict[int, Scored]
    sharing: list[dict[str, Any]]
    importance: dict[str, float]
    examples: list[Example]

    @property
    def budget(self) -> int:
        """Return the parameter budget."""
        return self.study.config.budget.max_params

    @property
    def bounds(self) -> str:
        """Return everything that the budget bounds, in words."""
        return str(self.study.config.budget)

    @property
    def synthetic(self) -> bool:
        """Say whether the images were generated; WIDER FACE images never enter a report."""
        return self.study.config.data.source == "synthetic"

    @property
    def data_name(self) -> str:
        """Return the validation images in words, with their digest."""
        return self._images("validation images", "val")

    @property
    def search_name(self) -> str:
        """Return the search split in words, with its digest."""
        return self._images("search split", "search")

    def _images(self, what: str, split: str) -> str:
        name = "synthetic scenes" if self.synthetic else "images of a WIDER FACE copy"
        return f"{name} ({what} `{self.study.data[split].digest}`)"

    def candidates(self, *states: str) -> list[TrialRecord]:
        """Return the candidates that are in one of ``states``, or all of them, by number."""
        return [r for r in self.records if r.role == "candidate" and (not states or r.state in states)]

    def named(self, label: str) -> TrialRecord | None:
        """Return the record with this label, if there is one."""
        return next((r for r in self.records if r.label == label), None)

    @property
    def searches(self) -> bool:
        """Say whether the study tries candidates, not only references."""
        return bool(self.study.config.trials or self.candidates())

    @property
    def teacher(self) -> TrialRecord | None:
        """Return the teacher's record, if it is there."""
        return next((r for r in self.records if r.role == "teacher"), None)

    def trainings(self, label: str) -> list[TrialRecord]:
        """Return every complete training of the network called ``label``: the first one and its repeats."""
        return [r for r in self.records if label in (r.label, r.repeat_of) and r.state == "complete"]

    @property
    def ranked(self) -> list[TrialRecord]:
        """Return the candidates trained to the end, best mean search AP first; fewer parameters break a tie."""
        return ranked(self.records)

    @property
    def compared(self) -> list[tuple[Configuration, float]]:
        """Return configuration and mean search AP of the candidates that were scored, or else of those trained.

        Scores and APs after a training to the end are never mixed.
        """
        if self.scores:
            return [(s.configuration, mean) for s in self.scores if (mean := s.ap.get("mean")) is not None]
        return [(record.configuration, record.search_ap["mean"] or 0.0) for record in self.ranked]

    @property
    def from_slices(self) -> TrialRecord | None:
        """Return V2 trained from its slices of shared weights, as candidates are where these scored them."""
        return self.named(f"v2{INHERITED}")

    @property
    def best(self) -> TrialRecord | None:
        """Return the best candidate by mean search AP, if one was trained to the end."""
        return self.ranked[0] if self.ranked else None

    def shown(self) -> dict[str, TrialRecord]:
        """Return heading → record of the networks that a report names, as far as they exist.

        These are V1, another teacher, V2, V2 alone (without a teacher), V2 from its slices of shared weights, and the
        best student.
        """
        teacher, found = self.teacher, {"V1": self.named("v1")}
        if teacher is not None and teacher.label != "v1":
            found[f"teacher ({teacher.label})"] = teacher
        found |= {"V2": self.named("v2"), "V2 alone": self.named(f"v2{ALONE}"), FROM_SLICES: self.from_slices}
        if self.best is not None:
            found[f"best ({self.best.label})"] = self.best
        return {heading: record for heading, record in found.items() if record is not None}


def find_study(name: str, runs: Path) -> Path:
    """Return the folder of the study called ``name`` in ``runs``.

    Raises:
        InputError: there is no such study, or ``name`` is a path; the message lists the studies there are.
    """
    names = sorted(path.parent.name for path in runs.glob(f"*/{FILE}"))
    if name in names:
        return runs / name
    if not names:
        raise InputError(f"no study in {runs}/ yet: python -m harness.study runs one, or give its folder with --runs")
    raise unknown_name(f"study in {runs}/:", name, names)


def load(folder: Path) -> StudyData:
    """Read a study folder.

    Raises:
        DataError: ``study.json`` or a record is missing or broken, or of another version; the file is named.
    """
    study = Manifest.load(folder)
    found = load_records(folder)
    foreign = {record.label: apart for record in found if (apart := _apart(record, study))}
    records = [record for record in found if record.label not in foreign]
    importance = _importance(folder / "importance.json")
    examples = _examples(folder / "examples.npz")
    scores = [scored for _, scored in sorted(load_scores(folder).items())]
    epochs = folder / SHARED / EPOCHS
    sharing: list[dict[str, Any]] = _read(epochs) if epochs.exists() else []
    shortlist = load_scores(folder, SHORTLIST)
    return StudyData(folder, study, records, foreign, scores, shortlist, sharing, importance, examples)


def _apart(record: TrialRecord, study: Manifest) -> str:
    """Return in words how the protocols of a record's APs differ from the study's; empty where they do not."""
    said = (
        differences(record.search_protocol, study.search_protocol) if record.search_ap else "",
        differences(record.protocol, study.protocol) if record.ap else "",
    )
    return "; ".join(part for part in said if part)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is missing or not readable as JSON: {error}") from error


def _importance(path: Path) -> dict[str, float]:
    if not path.exists():
        return {}
    content = read_sealed(path)
    if not all(isinstance(share, float) for share in content.values()):
        raise DataError(f"{path} is not readable: a share is no number; the same study command writes it again")
    return content


def _examples(path: Path) -> list[Example]:
    if not path.exists():
        return []
    try:
        arrays = load_arrays(path)
        found = [key.removeprefix("found_") for key in arrays if key.startswith("found_")]
        labels = sorted({key.rpartition("_")[0] for key in found})
        count = sum(key.startswith("image_") for key in arrays)
        return [
            Example(
                image=arrays[f"image_{i}"],
                truth=arrays[f"truth_{i}"],
                found={name: arrays[f"found_{name}_{i}"] for name in labels if f"found_{name}_{i}" in arrays},
            )
            for i in range(count)
        ]
    except (ValueError, KeyError) as error:
        raise DataError(f"{path} is not readable: {error}; the same study command writes it again") from error
