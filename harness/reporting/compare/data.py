"""Several studies as one comparison: which trainings belong together, their APs on the same resamples, and the pairs.

A group holds what differs in its seed only: one architecture, taught by the same weights with the same distillation,
trained on the same images by the same schedule from the same start. Nothing else is ever averaged.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.core.protocol import ALONE, DataConfig, TrainConfig, digest
from harness.core.record import TrialRecord
from harness.data.faces import open_faceset
from harness.data.truth import GroundTruth, Mask, load_ground_truth
from harness.errors import DataError, InputError
from harness.evaluation.ap import EVALUATOR_VERSION
from harness.evaluation.attributes import Groups, attribute_groups, found_faces, size_groups
from harness.evaluation.predictions import load_detections, load_predictions
from harness.evaluation.stats import LEVELS, Interval, Sampled, average, difference, resample, seed_interval
from harness.reporting.lock import Protocol, differences, one_protocol
from harness.reporting.study.data import StudyData

TEACHER, REFERENCE, STUDENT = "teacher", "reference", "student"
KINDS = {"teacher": TEACHER, "reference": REFERENCE, "candidate": STUDENT, "repeat": STUDENT}
"""Role of a record → kind of its group."""

_NAMES = {"v1": "V1", "v2": "V2", "featherface": "FeatherFace"}
_SAME_AP = 1e-9

Report = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True, eq=False)
class Member:
    """One training: its record, its AP on all images and on every resample, and the faces (F,) that it finds."""

    study: str
    record: TrialRecord
    ap: Sampled
    found: Mask


@dataclass(frozen=True, eq=False)
class Group:
    """Trainings that differ in their seed only.

    Attributes:
        name: unique among the groups of a comparison.
        kind: ``teacher``, ``reference`` or ``student``.
        taught_by: the teacher's name, empty where there was none; ``weights``: the digest of its weights.
        training: what else the training depended on, flat.
        budget: parameters that its study allows.
        members: the first training first.
    """

    name: str
    kind: str
    taught_by: str
    weights: str
    training: dict[str, Any]
    budget: int
    members: tuple[Member, ...]

    @property
    def record(self) -> TrialRecord:
        """Return the record of the first training."""
        return self.members[0].record

    @property
    def studies(self) -> list[str]:
        """Return the studies that its trainings are from."""
        return list(dict.fromkeys(member.study for member in self.members))

    @cached_property
    def ap(self) -> Sampled:
        """The mean over the seeds."""
        return average([member.ap for member in self.members])

    def by_seed(self, level: str) -> dict[int, float]:
        """Return seed → AP."""
        return {m.record.seed: value for m in self.members if (value := m.ap.value[level]) is not None}

    def repeats(self) -> "Group | None":
        """Return the group without its first training, if there is another."""
        others = self.members[1:]
        return replace(self, name=f"{self.name} (other seeds)", members=others) if others else None


@dataclass(frozen=True, eq=False)
class Pair:
    """Two groups on the same images, ``one - other``.

    Attributes:
        chosen: how many candidates ``one`` was chosen from by an AP that the pair holds; 0 where nothing was chosen.
        apart: in words what else differs in their training; empty where nothing does.
    """

    one: Group
    other: Group
    chosen: int = 0
    apart: str = ""

    @property
    def name(self) -> str:
        """Return the pair in words."""
        return f"{self.one.name} − {self.other.name}"

    @cached_property
    def ap(self) -> Sampled:
        """The difference, paired over images."""
        return difference(self.one.ap, self.other.ap)

    def over_seeds(self, level: str) -> Interval | None:
        """Return the interval over seeds, None where one of the two was trained once."""
        return seed_interval(self.one.by_seed(level), self.other.by_seed(level))


@dataclass(frozen=True, eq=False)
class Comparison:
    """All that the report of several studies is made from.

    Attributes:
        studies: as they were read.
        protocol: that of every AP but the published ones.
        groups: teachers, references without and with a teacher, students by the AP that they were chosen by.
        best: study → group of the student that it chose.
        faces: attribute → value → the faces (F,) that have it.
        published: detector → its AP; ``published_protocol``: by which it was measured.
        remarks: sentences on what was left out, and why.
    """

    studies: list[StudyData]
    protocol: Protocol
    resamples: int
    groups: list[Group]
    best: dict[str, Group]
    faces: Groups
    published: dict[str, Sampled]
    published_protocol: Protocol
    remarks: list[str]

    @property
    def data_name(self) -> str:
        """Return the data in words, with its digest."""
        return self.studies[0].data_name

    def of_kind(self, kind: str) -> list[Group]:
        """Return the groups of one kind, in order."""
        return [group for group in self.groups if group.kind == kind]

    def teacher_of(self, group: Group) -> Group | None:
        """Return the group of the network that taught ``group``."""
        return next((t for t in self.of_kind(TEACHER) if group.weights and t.weights == group.weights), None)

    @property
    def leader(self) -> Group | None:
        """Return the best student of all studies by the AP that it was chosen by."""
        return next((group for group in self.of_kind(STUDENT) if group in self.best.values()), None)

    @property
    def shown(self) -> list[Group]:
        """Return the groups that are looked at closely: all but the students that were not chosen."""
        return [group for group in self.groups if group.kind != STUDENT or group in self.best.values()]

    @cached_property
    def pairs(self) -> list[Pair]:
        """The differences that the studies were made to find."""
        return list(_pairs(self))


def compare(
    studies: Sequence[StudyData],
    runs: Path,
    ground_truth: Path | None,
    published: Mapping[str, Path],
    resamples: int,
    progress: Report,
) -> Comparison:
    """Read every network trained to the end, and resample it.

    Args:
        studies: at least one, each once.
        runs: where ``cache/`` with the validation images lies; read only where ``ground_truth`` is None.
        ground_truth: folder of ``wider_{face,easy,medium,hard}_val.mat``; without it nothing is known of blur and
            the other attributes.
        published: detector → its prediction files on these images; needs ``ground_truth``.
        resamples: of the images.
        progress: hears of every network.

    Raises:
        InputError: APs of two protocols would share a column (names the rows), or no network has an AP.
        DataError: a file is missing or broken, or predictions do not give the AP of their record.
    """
    done = [(data, record) for data in studies for record in data.records if _scored(record)]
    if not done:
        names = ", ".join(data.study["name"] for data in studies)
        raise InputError(f"nothing to compare: no network of {names} has a final AP yet")
    protocol = one_protocol({f"{data.study['name']}/{record.label}": record.protocol for data, record in done})
    truth = _load_truth(done[0][0], done[0][1].label, runs, ground_truth)
    faces = size_groups(truth) | ({} if ground_truth is None else attribute_groups(ground_truth, truth))
    remarks = [sentence for data in studies for sentence in _left_out(data)]
    total = len(done) + len(published)
    alike: dict[str, list[tuple[StudyData, Member]]] = {}
    for index, (data, record) in enumerate(done):
        progress("resampling", index, total)
        alike.setdefault(_key(data, record), []).append((data, _member(data, record, truth, resamples)))
    others = {}
    for index, (name, path) in enumerate(published.items(), start=len(done)):
        progress("resampling", index, total)
        others[name] = resample(load_predictions(path, truth.ids), truth, resamples)
    progress("resampling", total, total)
    groups = _distinct({key: _group(found, remarks) for key, found in alike.items()})
    best = {data.study["name"]: groups[_key(data, data.best)] for data in studies if data.best is not None}
    return Comparison(
        list(studies),
        protocol,
        resamples,
        sorted(groups.values(), key=_place),
        best,
        faces,
        others,
        _published_protocol(truth, studies[0]) if others else {},
        remarks,
    )


def _published_protocol(truth: GroundTruth, data: StudyData) -> Protocol:
    measured = {
        "images": len(truth.ids),
        "faces": truth.faces,
        "val_digest": data.study["data"]["val_digest"],
        "detections": "as published",
        "evaluator": EVALUATOR_VERSION,
    }
    return {**measured, "digest": digest(measured)}


def _scored(record: TrialRecord) -> bool:
    return record.state == "complete" and record.ap.get("mean") is not None


def _left_out(data: StudyData) -> Iterator[str]:
    name = data.study["name"]
    for label, apart in data.foreign.items():
        yield f"`{name}`/{label} is left out: its AP was measured by another protocol ({apart})."
    states = Counter(r.state if r.state != "complete" else "without an AP" for r in data.records if not _scored(r))
    if states:
        counted = ", ".join(f"{count:,} {state}" for state, count in states.items())
        yield f"`{name}`: networks that were not trained to the end are left out ({counted})."


def _load_truth(data: StudyData, label: str, runs: Path, ground_truth: Path | None) -> GroundTruth:
    if ground_truth is not None:
        ids, _ = load_detections(data.folder / "trials" / label / "predictions.npz")
        return load_ground_truth(ground_truth, ids)
    wanted = data.study["data"]["val_digest"]
    for path in sorted(runs.glob("cache/*/meta.json")):
        # A folder that is being made has a longer name, and may not be whole.
        if not path.parent.suffix and json.loads(path.read_text(encoding="utf-8"))["digest"] == wanted:
            return open_faceset(path.parent).truth()
    name = data.study["name"]
    raise DataError(
        f"the validation images of {name} ({wanted}) are not in {runs / 'cache'}: give their --ground-truth, "
        f"or make them again with the command in {data.folder / 'study.json'}"
    )


def _member(data: StudyData, record: TrialRecord, truth: GroundTruth, resamples: int) -> Member:
    path = data.folder / "trials" / record.label / "predictions.npz"
    _, detections = load_detections(path, truth.ids)
    ap = resample(detections, truth, resamples)
    for level in LEVELS:
        found, said = ap.value[level], record.ap[level]
        if (found is None) != (said is None) or abs((found or 0.0) - (said or 0.0)) > _SAME_AP:
            raise DataError(f"{path} gives {found} as AP {level}, its record says {said}: one of them was replaced")
    return Member(data.study["name"], record, ap, found_faces(detections, truth))


def training(data: StudyData) -> dict[str, Any]:
    """Return what the training of a study's students depends on besides arch, teacher and seed, flat."""
    config = data.study["config"]
    images, schedule = DataConfig(**config["data"]), TrainConfig(**config["train"])
    origin = data.study.get("identity", {}).get("teacher weights", "")
    start = origin.partition("backbone from ")[2] or data.study["teacher"].get("digest", "")
    return {
        "training images": data.study["data"]["train_digest"],
        "training size": images.size,
        **asdict(schedule),
        **({"images that choose the epoch": images.search_images} if schedule.patience else {}),
        "backbone starts from": "random numbers" if config["from_scratch"] else start,
    }


def _teacher(data: StudyData, record: TrialRecord) -> dict[str, Any]:
    """Return who taught a network; records written before that was noted say only that somebody did."""
    return record.teacher or (data.study["teacher"] if record.distill else {})


def _key(data: StudyData, record: TrialRecord) -> str:
    if record.role == "teacher":
        return digest({"teacher": data.study["teacher"].get("digest", record.label)})
    taught = {"teacher": _teacher(data, record).get("digest", ""), "distill": record.distill}
    return digest({"kind": KINDS[record.role], "arch": record.arch, **taught, "training": training(data)})


def _group(found: Sequence[tuple[StudyData, Member]], remarks: list[str]) -> Group:
    """Return a group; a training that two studies hold counts once."""
    members: dict[int, Member] = {}
    copies = []
    for _, member in sorted(found, key=lambda item: bool(item[1].record.repeat_of)):
        if members.setdefault(member.record.seed, member) is not member:
            copies.append(f"`{member.study}`/{member.record.label}")
    data, member = found[0]
    record = member.record
    kind = KINDS[record.role]
    taught = {} if kind == TEACHER else _teacher(data, record)
    teacher = _named(taught.get("label", ""))
    weights = data.study["teacher"].get("digest", "") if kind == TEACHER else taught.get("digest", "")
    label = (record.repeat_of or record.label).removesuffix(ALONE)
    whom = f"from {teacher}" if teacher else "alone"
    name = _named(label) if kind == TEACHER else f"{_named(label)} {whom}"
    if copies:
        remarks.append(
            f"{name}: {', '.join(copies)} repeat a training of an earlier study, seed included: not counted."
        )
    how = {} if kind == TEACHER else training(data)
    return Group(name, kind, teacher, weights, how, data.budget, tuple(members.values()))


def _named(label: str) -> str:
    return _NAMES.get(label, label)


def _place(group: Group) -> tuple[int, bool, float, int, str]:
    """Return where a group stands in tables: students by the AP that the search saw, others by size and name."""
    order = (TEACHER, REFERENCE, STUDENT).index(group.kind)
    ap = group.record.ap["mean"] or 0.0
    if group.kind == STUDENT:
        return order, False, -ap, group.record.params, group.name
    return order, bool(group.taught_by), 0.0, group.record.params, group.name


def _distinct(groups: dict[str, Group]) -> dict[str, Group]:
    """Return the groups with the study behind names that several have."""
    names = Counter(group.name for group in groups.values())
    return {
        key: replace(group, name=f"{group.name} ({group.members[0].study})") if names[group.name] > 1 else group
        for key, group in groups.items()
    }


def _pairs(found: Comparison) -> Iterator[Pair]:
    references = found.of_kind(REFERENCE)
    for one in references:
        for other in _like(one, [r for r in references if one.taught_by and not r.taught_by and _same_arch(one, r)]):
            yield _pair(one, other)
    taught = [group for group in references if group.taught_by]
    for position, one in enumerate(taught):
        for other in taught[:position]:
            if one.weights != other.weights and _same_arch(one, other):
                yield _pair(one, other)
    for data in found.studies:
        best = found.best.get(data.study["name"])
        if best is None:
            continue
        chosen = len(data.ranked) if len(data.ranked) > 1 else 0
        rivals = [r for r in taught if r.weights == data.study["teacher"].get("digest")] or references
        repeats = best.repeats()
        for other in _like(best, rivals):
            yield _pair(best, other, chosen)
            if chosen and repeats is not None:
                yield _pair(repeats, other)
    yield from _against_teachers(found)


def _against_teachers(found: Comparison) -> Iterator[Pair]:
    chosen = {found.best[data.study["name"]].name: len(data.ranked) for data in found.studies if data.best is not None}
    for group in found.shown:
        teacher = None if group.kind == TEACHER else found.teacher_of(group)
        if teacher is not None:
            count = chosen.get(group.name, 0)
            yield Pair(group, teacher, count if count > 1 else 0)


def _pair(one: Group, other: Group, chosen: int = 0) -> Pair:
    return Pair(one, other, chosen, differences(one.training, other.training))


def _same_arch(one: Group, other: Group) -> bool:
    return one.record.arch == other.record.arch


def _like(one: Group, others: list[Group]) -> list[Group]:
    """Return those that were trained as ``one`` was; where none was, all of them."""
    return [other for other in others if other.training == one.training] or others
