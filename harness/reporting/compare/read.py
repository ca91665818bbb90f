"""Reads the graded networks of several studies, resamples their APs, and groups their trainings.

The trainings of a group differ only in seed: one architecture, the same teacher weights and distillation, the same
training images, schedule and start. Nothing else is ever averaged.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.core.digest import digest
from harness.core.protocol import ALONE
from harness.core.record import TrialRecord
from harness.data.truth import Listed
from harness.errors import DataError, InputError
from harness.evaluation.ap import EVALUATOR_VERSION
from harness.evaluation.attributes import faces_found
from harness.evaluation.stats import LEVELS, resample_matches
from harness.reporting.compare.data import KINDS, REFERENCE, STUDENT, TEACHER, Comparison, Group, Member
from harness.reporting.compare.images import PREDICTIONS, Images, images_of
from harness.reporting.lock import Protocol, one_protocol
from harness.reporting.study.data import StudyData, find_study, load

_KIND = {"teacher": TEACHER, "reference": REFERENCE, "candidate": STUDENT, "repeat": STUDENT}
_NAMES = {"v1": "V1", "v2": "V2", "featherface": "FeatherFace"}
_SAME_AP = 1e-9

Report = Callable[[str, int, int], None]
"""Called with a description, the amount done and the total."""


def read_studies(names: Sequence[str], runs: Path) -> list[StudyData]:
    """Return the studies of ``runs`` called ``names``.

    Raises:
        InputError: a name is unknown or given twice; the message lists the studies there are.
        DataError: a study's files are missing or broken.
    """
    folders = [find_study(name, runs) for name in names]
    double = next((name for name in names if names.count(name) > 1), None)
    if double is not None:
        raise InputError(f"study '{double}' is given twice: name each once")
    return [load(folder) for folder in folders]


def compare(
    studies: Sequence[StudyData],
    runs: Path,
    ground_truth: Path | None,
    published: Mapping[str, Path],
    resamples: int,
    progress: Report,
) -> Comparison:
    """Read every graded network, and resample its AP.

    Args:
        studies: at least one, each once.
        runs: folder of ``cache/`` with the validation images; read only if ``ground_truth`` is None.
        ground_truth: folder of ``wider_{face,easy,medium,hard}_val.mat``; without it, recall by blur and the other
            attributes is left out.
        published: detector → its prediction files on these images; needs ``ground_truth``.
        resamples: number of resamples of the images.
        progress: called after every network.

    Raises:
        InputError: APs of two protocols would share a column (names the rows), or no network was graded.
        DataError: a file is missing or broken, or predictions do not reproduce the AP of their record.
    """
    graded = graded_of(studies)
    if not graded:
        names = ", ".join(data.study.name for data in studies)
        raise InputError(f"nothing to compare: no network of {names} has a validation AP yet")
    protocol = one_protocol({f"{data.study.name}/{record.label}": record.protocol for data, record in graded})
    images = images_of(studies, predictions_of(*graded[0]), runs, ground_truth)
    remarks = [sentence for data in studies for sentence in _left_out(data)]
    total = len(graded) + len(published)
    alike: dict[str, list[tuple[StudyData, Member]]] = {}
    for index, (data, record) in enumerate(graded):
        progress("resampling", index, total)
        alike.setdefault(_key(data, record), []).append((data, _member(data, record, images, resamples)))
    others = {}
    for index, (name, path) in enumerate(published.items(), start=len(graded)):
        progress("resampling", index, total)
        others[name] = resample_matches(images.published(path), images.listed, resamples)
    progress("resampling", total, total)
    groups = _distinct({key: _group(found, remarks) for key, found in alike.items()})
    best = {data.study.name: groups.get(_key(data, data.best)) for data in studies if data.best is not None}
    return Comparison(
        studies=list(studies),
        protocol=protocol,
        resamples=resamples,
        groups=sorted(groups.values(), key=_place),
        best={study: group for study, group in best.items() if group is not None},
        faces=images.groups,
        published=others,
        published_protocol=_published_protocol(images.listed, studies[0]) if others else {},
        remarks=remarks,
    )


def graded_of(studies: Sequence[StudyData]) -> list[tuple[StudyData, TrialRecord]]:
    """Return the networks that a comparison includes: graded, and of the students only those that were selected."""
    return [(data, record) for data in studies for record in data.records if not _reason(data, record)]


def predictions_of(data: StudyData, record: TrialRecord) -> Path:
    """Return the file of a network's detections on the validation images."""
    return data.folder / "trials" / record.label / PREDICTIONS


def _published_protocol(listed: Listed, data: StudyData) -> Protocol:
    measured = {
        "images": len(listed.ids),
        "faces": listed.faces,
        "val_digest": data.study.data["val"].digest,
        "detections": "as published",
        "evaluator": EVALUATOR_VERSION,
    }
    return {**measured, "digest": digest(measured)}


def _reason(data: StudyData, record: TrialRecord) -> str:
    """Return why a network is left out; empty if it is included."""
    best = "" if data.best is None else data.best.label
    if record.state != "complete":
        return record.state
    if _KIND[record.role] == STUDENT and best not in (record.label, record.repeat_of):
        return "not selected by the search"
    return "not graded" if record.ap.get("mean") is None else ""


def _left_out(data: StudyData) -> Iterator[str]:
    name = data.study.name
    for label, apart in data.foreign.items():
        yield f"`{name}/{label}` is left out: its AP was measured by another protocol ({apart})."
    reasons = Counter(reason for record in data.records if (reason := _reason(data, record)))
    if reasons:
        counts = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
        yield f"Networks of `{name}` that are left out: {counts}."


def _member(data: StudyData, record: TrialRecord, images: Images, resamples: int) -> Member:
    folder = data.folder / "trials" / record.label
    matches = images.matches(folder)
    ap = resample_matches(matches, images.listed, resamples)
    for level in LEVELS:
        found, said = ap.value[level], record.ap[level]
        same = found is said if found is None or said is None else abs(found - said) <= _SAME_AP
        if not same:
            path = images.file(folder)
            raise DataError(f"{path} gives {found} as AP {level}, its record says {said}: one of them was replaced")
    return Member(data.study.name, record, ap, faces_found(matches, images.listed))


def training(data: StudyData, schedule: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the training of a student depends on, except arch, teacher and seed, as a flat dict.

    Args:
        data: its study.
        schedule: ``TrainConfig`` as a dict.
    """
    config, start = data.study.config, data.study.start
    return {
        "training images": data.study.data["train"].digest,
        "training size": config.data.size,
        "precision": data.study.identity.get("precision"),
        **schedule,
        **({"search split": data.study.data["search"].digest} if schedule.get("patience") else {}),
        "backbone starts from": "random numbers" if start.kind == "random" else start.digest,
    }


def _key(data: StudyData, record: TrialRecord) -> str:
    if record.role == "teacher":
        return digest({"teacher": data.study.teacher.digest})
    taught = {"teacher": record.teacher.get("digest", ""), "distill": record.distill}
    return digest({"kind": _KIND[record.role], "arch": record.arch, **taught, "training": training(data, record.train)})


def _group(found: Sequence[tuple[StudyData, Member]], remarks: list[str]) -> Group:
    """Return a group; a training that two studies contain counts once."""
    members: dict[int, Member] = {}
    copies = []
    for _, member in sorted(found, key=lambda item: bool(item[1].record.repeat_of)):
        if members.setdefault(member.record.seed, member) is not member:
            copies.append(f"`{member.study}/{member.record.label}`")
    data, member = found[0]
    record = member.record
    name = _named((record.repeat_of or record.label).removesuffix(ALONE))
    if record.role == "teacher":
        group = Group(name, TEACHER, "", data.study.teacher.digest, {}, data.budget, tuple(members.values()))
    else:
        teacher = _named(record.teacher.get("label", ""))
        group = Group(
            f"{name} from {teacher}" if teacher else f"{name} alone",
            _KIND[record.role],
            teacher,
            record.teacher.get("digest", ""),
            training(data, record.train),
            data.budget,
            tuple(members.values()),
        )
    if copies:
        remarks.append(
            f"{group.name}: {', '.join(copies)} duplicate a training of an earlier study, seed included, and are not "
            "counted."
        )
    return group


def _named(label: str) -> str:
    return _NAMES.get(label, label)


def _place(group: Group) -> tuple[int, bool, int, str]:
    """Return the sorting key of a group in tables."""
    return KINDS.index(group.kind), bool(group.taught_by), group.record.params, group.name


def _distinct(groups: dict[str, Group]) -> dict[str, Group]:
    """Return the groups, with the study appended to names that are not unique."""
    names = Counter(group.name for group in groups.values())
    return {
        key: replace(group, name=f"{group.name} ({group.members[0].study})") if names[group.name] > 1 else group
        for key, group in groups.items()
    }
