"""Chooses and diagnoses the students of a study, and finds the weights that their backbones started from."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from harness.core.arch import ArchConfig
from harness.core.manifest import Manifest, Start
from harness.core.record import TrialRecord
from harness.data import load_split
from harness.diagnosis.student import EPOCH, SEED, diagnose
from harness.errors import InputError, unknown_name
from harness.models.weights import file_digest
from harness.training.job import WEIGHTS, job_of

NO_START = (
    "`{}`, start: not measured, because the weights that its backbone started from were not found: give "
    "--init-backbone."
)


def choose(study: Manifest, records: Sequence[TrialRecord], labels: Sequence[str]) -> list[TrialRecord]:
    """Return the records of ``labels``; by default those of the distilled references (first seed) and the best student.

    Raises:
        InputError: a label is unknown or not trained to its end, or there is nothing to diagnose yet.
    """
    complete = {r.label: r for r in records if r.role != "teacher" and r.state == "complete"}
    for label in labels:
        if label not in complete:
            raise unknown_name(f"student trained to its end in {study.name}:", label, complete)
    if labels:
        return [complete[label] for label in dict.fromkeys(labels)]
    found = [r for r in complete.values() if r.role == "reference" and r.distill and not r.repeat_of]
    found += [complete[study.standing.best]] if study.standing.best in complete else []
    if not found:
        raise InputError(f"{study.name} has no distilled reference and no candidate trained to its end yet")
    return found


def find_start(start: Start, folder: Path, given: Path | None) -> tuple[bool, Path | None]:
    """Return whether the weights that the students' backbones started from are known, and their file.

    The file is None for random numbers. Otherwise it is the one with the digest of ``start``: ``given``, or, where
    nothing is given, weights in the study's ``trials/`` or in ``teachers/`` beside the study.

    Args:
        start: from the study's manifest.
        folder: the study's folder.
        given: ``--init-backbone``.

    Raises:
        InputError: ``given`` is not the file that the students started from.
    """
    kept = [*folder.glob(f"trials/*/{WEIGHTS}"), *folder.parent.glob(f"teachers/*/{WEIGHTS}")]
    for path in kept if given is None else [given]:
        if start.digest is not None and path.is_file() and file_digest(path) == start.digest:
            return True, path
    if given is not None:
        began = "random numbers" if start.digest is None else f"a file of digest {start.digest}"
        raise InputError(f"--init-backbone {given}: the students of {folder.name} started from {began}")
    return start.digest is None, None


def diagnose_study(
    study: Manifest,
    folder: Path,
    records: Sequence[TrialRecord],
    *,
    count: int,
    source: str | None,
    init_backbone: Path | None,
    device: str,
    progress: Callable[[str, int, int], None],
) -> dict[str, Any]:
    """Diagnose the students of ``records`` over ``count`` batches each.

    Args:
        study: the study's manifest.
        folder: the study's folder.
        records: records of the students, which are trained to the end.
        count: batches per student.
        source: folder of the study's images; None if they have not moved.
        init_backbone: the weights that backbones started from, if the study did not keep them.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        progress: called with a description, the amount done and the total.

    Returns:
        Plain data: ``study`` (its name), ``data`` (in words), ``teacher`` (label, params), ``seed`` and ``epoch`` of
        the batches, and ``students``: label → what ``harness.diagnosis.student.diagnose`` returns.

    Raises:
        InputError: the images or the start are not those of the study, or there is no such device.
        DataError: weights, images or a checkpoint are missing or broken.
    """
    config, teacher, cache = study.config, study.teacher, folder.parent / "cache"
    known, start = find_start(study.start, folder, init_backbone)
    data = config.data if source is None else replace(config.data, source=source)
    if load_split(data, "train", cache, progress).digest != study.data["train"].digest:
        raise InputError(f"{data.source} does not hold the images that {study.name} was trained on")
    students = {}
    for record in records:
        job = job_of(
            record,
            data=data,
            evaluation=config.evaluation,
            # T and the threshold for the teacher's errors, if the student was trained without a teacher.
            distill=replace(config.distill, alpha=0.0, feature_weight=0.0),
            teacher=folder / "trials" / teacher.label / WEIGHTS,
            teacher_arch=ArchConfig.from_dict(teacher.arch),
            start=start,
            folder=folder / "trials" / record.label,
            cache=cache,
            device=device,
        )
        found = diagnose(job, count, start=known, on_batch=partial(progress, f"{record.label}: batches"))
        students[record.label] = found | {"notes": found["notes"] + ([] if known else [NO_START.format(record.label)])}
    images = "synthetic scenes" if config.data.source == "synthetic" else "WIDER FACE"
    return {
        "study": study.name,
        "data": f"{images} (training set `{study.data['train'].digest}`)",
        "teacher": {"label": teacher.label, "params": teacher.params},
        "seed": SEED,
        "epoch": EPOCH,
        "students": students,
    }
