"""``TrialRecord``: everything known about one trained network, in one JSON file.

Reports read only these files, neither the study's database nor a tracking server. A record is written before
training starts, after every epoch, and at the end, each time atomically.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from harness.core.files import write_atomically
from harness.core.provenance import Provenance
from harness.core.sealed import read_sealed, write_sealed
from harness.core.typed import built
from harness.errors import DataError, InputError, unknown_name

ROLES = ("teacher", "reference", "candidate", "repeat")
STATES = ("running", "complete", "pruned", "failed")

MEND = "put the original back, or delete the file, and the command of its study makes it again"


@dataclass
class TrialRecord:
    """One trained network and its measurements.

    Attributes:
        label: name of its folder below ``trials/`` and of its rows in tables: ``v1``, ``v2``, or the trial's number in
            four digits. A training with another seed has the suffix ``-s2``, ``-s3``, ….
        role: ``teacher``, ``reference``, ``candidate``, or ``repeat`` of a candidate.
        repeat_of: label of the first training of this network, if this is one with another seed; otherwise empty.
        state: ``running``, ``complete``, ``pruned`` or ``failed``; ``reason`` says why for the last two.
        configuration: axis → value (empty for references).
        arch: ``ArchConfig.to_dict()``.
        train: ``TrainConfig`` as a dict; empty where weights were given.
        distill: ``DistillConfig`` as a dict; empty without a teacher.
        teacher: ``label``, ``digest`` of the weights and ``params`` of the teacher; empty without one.
        params: parameters in total; ``parts``: slot → parameters; ``macs``: MACs at the speed size;
            ``size_mb``: the weights file in 10^6 bytes.
        epochs: one dict per epoch, as ``training.loop.train`` reports them; ``ap`` is empty if the schedule skips the
            evaluation.
        search_ap: AP of the saved network on the search split, in [0, 1]: easy, medium, hard, mean. All choices use
            this AP.
        ap: its AP on the validation images, on which no choice depends (None if a list holds no face); empty for
            networks that the report does not grade.
        curves: difficulty → ``{"precision": […], "recall": […]}``, thinned for plotting.
        landmark: ``nme``, ``failure_rate``, ``matched``, ``faces``, ``by_size`` and ``interocular``, as
            ``evaluation.landmarks`` defines them; empty where no face has landmarks.
        latency: predicted latency as a multiple of V1's, from the study's table; None without one.
        speed: ``fps``, ``latency_ms``, ``latency_iqr_ms``, ``ratio_to_v1``, ``device``, ``threads``, ``size`` and more,
            as ``evaluation.speed.measure`` returns them; empty for networks that were not measured.
        seconds: ``train``, ``evaluate``, ``speed``, ``total``.
        search_protocol, protocol: evaluation protocols of ``search_ap`` and ``ap``.
        inherits: whether training started from slices of the study's shared weights.
        training: fingerprint of the training (``training.reuse``), for a teacher its recipe (``training.teacher``);
            ``read_from``: STUDY/LABEL of the training, or the teacher's file in the repository, that was read instead
            of training again, otherwise empty.
        provenance: ``Provenance`` as a dict; several if code, libraries or machine changed when an interrupted training
            was resumed.
    """

    label: str
    role: str
    number: int | None = None
    repeat_of: str = ""
    state: str = "running"
    reason: str = ""
    seed: int = 0
    configuration: dict[str, Any] = field(default_factory=dict)
    arch: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    distill: dict[str, Any] = field(default_factory=dict)
    teacher: dict[str, Any] = field(default_factory=dict)
    params: int = 0
    parts: dict[str, int] = field(default_factory=dict)
    macs: int = 0
    size_mb: float = 0.0
    epochs: list[dict[str, Any]] = field(default_factory=list)
    search_ap: dict[str, float | None] = field(default_factory=dict)
    ap: dict[str, float | None] = field(default_factory=dict)
    curves: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    landmark: dict[str, Any] = field(default_factory=dict)
    latency: float | None = None
    speed: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    search_protocol: dict[str, Any] = field(default_factory=dict)
    protocol: dict[str, Any] = field(default_factory=dict)
    inherits: bool = False
    training: str = ""
    read_from: str = ""
    provenance: list[dict[str, Any]] = field(default_factory=list)

    @property
    def training_number(self) -> int:
        """The number of this training among those of its network, from 1."""
        return int(self.label.removeprefix(f"{self.repeat_of}-s")) if self.repeat_of else 1

    def header(self, study: str) -> dict[str, Any]:
        """Return what the header of the weights file says when it leaves the study."""
        known = ("seed", "params", "arch", "train", "distill", "ap", "protocol")
        return {"study": study, "trial": self.label} | {name: getattr(self, name) for name in known}

    def add_provenance(self, made_by: Provenance) -> None:
        """Append the provenance of the run that now trains this network, unless it is already in the list."""
        if asdict(made_by) not in self.provenance:
            self.provenance = [*self.provenance, asdict(made_by)]

    def save(self, folder: Path) -> None:
        """Write ``folder/record.json`` atomically."""
        folder.mkdir(parents=True, exist_ok=True)
        write_sealed(folder / "record.json", asdict(self))

    @classmethod
    def load(cls, folder: Path) -> "TrialRecord":
        """Read ``folder/record.json``.

        Raises:
            DataError: the file is missing, damaged or changed, or is not a record.
        """
        path = folder / "record.json"
        try:
            data = read_sealed(path)
            known = {f.name for f in fields(cls)}
            record = built(cls, {key: value for key, value in data.items() if key in known})
            if record.role not in ROLES or record.state not in STATES:
                raise TypeError(f"its role is '{record.role}' and its state '{record.state}'")
            return record
        except DataError as error:
            raise DataError(f"{error}; {MEND}") from error
        except TypeError as error:
            raise DataError(f"{path} is not a trial record: {error}; {MEND}") from error


def load_records(study_folder: Path) -> list[TrialRecord]:
    """Return every record of a study: teacher first, then references, then candidates by number.

    Raises:
        DataError: a record is damaged or changed, or lies in the folder of another one.
    """
    records = []
    for path in sorted(study_folder.glob("trials/*/record.json")):
        record = TrialRecord.load(path.parent)
        if record.label != path.parent.name:
            raise DataError(
                f"{path} is the record of '{record.label}': it lies in the folder of another network; {MEND}"
            )
        records.append(record)
    return sorted(records, key=lambda r: (ROLES.index(r.role), r.number if r.number is not None else -1, r.label))


def in_order(records: Iterable[TrialRecord], label: str) -> list[TrialRecord]:
    """Return the trainings of a network in the order of their numbers, up to the first that is not complete."""
    known = {
        record.training_number: record
        for record in records
        if label in (record.label, record.repeat_of) and record.state == "complete"
    }
    return [known[number] for number in takewhile(known.__contains__, count(1))]


def ranked(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return the candidates trained to the end, best mean search AP first; fewer parameters break a tie."""
    complete = (r for r in records if r.role == "candidate" and r.state == "complete")
    scored = [(mean, r) for r in complete if (mean := r.search_ap.get("mean")) is not None]
    return [record for mean, record in sorted(scored, key=lambda item: (-item[0], item[1].params, item[1].label))]


def find_trial(name: str, runs: Path) -> Path:
    """Return the folder of ``STUDY/NUMBER`` (or ``STUDY/v1``, ``STUDY/v2``, …) or ``STUDY/best`` below ``runs``.

    Raises:
        InputError: there is no such study or trial; the message lists the existing ones.
    """
    study, slash, label = name.partition("/")
    if not slash or not label or "/" in label:
        raise InputError(f"--trial names a study and a trial's number, as in default/7, got '{name}'")
    studies = sorted(path.parent.parent.name for path in runs.glob("*/trials/*"))
    if study not in studies:
        raise unknown_name(f"study in {runs}:", study, dict.fromkeys(studies))
    labels = [path.parent.name for path in sorted(runs.glob(f"{study}/trials/*/record.json"))]
    if label == "best":
        candidates = ranked(load_records(runs / study))
        if not candidates:
            raise InputError(f"{study} has no best student yet: no candidate was trained to the end")
        label = candidates[0].label
    label = label.zfill(4) if label.isdecimal() else label
    if label not in labels:
        raise unknown_name(f"trial of {study}:", label, labels)
    return runs / study / "trials" / label


def write_json(path: Path, data: Any, *, private: bool = False) -> None:
    """Write ``data`` to ``path`` atomically; ``private`` as in ``write_atomically``."""
    write_atomically(path, f"{json.dumps(data, indent=1, allow_nan=False)}\n".encode(), private=private)
