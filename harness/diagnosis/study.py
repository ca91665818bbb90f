"""The trainings of a study that are diagnosed: which ones, and what their backbones started from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.core.arch import ArchConfig
from harness.core.protocol import DataConfig, DistillConfig, EvalConfig, TrainConfig
from harness.core.record import TrialRecord
from harness.data import load_split
from harness.diagnosis.student import EPOCH, SEED, diagnose
from harness.errors import InputError, unknown_name
from harness.models.weights import file_digest
from harness.training.loop import WEIGHTS, Job
from harness.training.teacher import Teacher

NO_START = "`{}`, start: not measured, because the weights that its backbone started from were not found: give --init-backbone."


def choose(study: str, records: Sequence[TrialRecord], best: TrialRecord | None, labels: Sequence[str]) -> list[TrialRecord]:
    """Return the records of ``labels``; without labels, the distilled references (first seed) and the best student.

    Raises:
        InputError: a label is unknown or not trained to its end, or there is nothing to diagnose yet.
    """
    complete = {r.label: r for r in records if r.role != "teacher" and r.state == "complete"}
    for label in labels:
        if label not in complete:
            raise unknown_name(f"student trained to its end in {study}:", label, complete)
    if labels:
        return [complete[label] for label in dict.fromkeys(labels)]
    found = [r for r in complete.values() if r.role == "reference" and r.distill and not r.repeat_of]
    found += [] if best is None else [best]
    if not found:
        raise InputError(f"{study} has no distilled reference and no candidate trained to its end yet")
    return found


def find_start(study: Mapping[str, Any], folder: Path, given: Path | None) -> tuple[bool, Path | None]:
    """Return whether the weights that the students' backbones started from are known, and their file.

    The file is None for random numbers. Otherwise it is the one whose digest ``study["start"]`` holds: ``given``, or,
    where nothing is given, the weights of a teacher in the study or in ``teachers/`` beside it.

    Args:
        study: the content of ``study.json``.
        folder: the study's.
        given: ``--init-backbone``.

    Raises:
        InputError: ``given`` is not the file that the students started from.
    """
    wanted = study["start"]["digest"]
    teachers = [folder / "trials" / study["teacher"]["label"] / WEIGHTS, *folder.parent.glob(f"teachers/*/{WEIGHTS}")]
    for path in teachers if given is None else [given]:
        if wanted is not None and path.is_file() and file_digest(path) == wanted:
            return True, path
    if given is not None:
        started = "random numbers" if wanted is None else f"a file of digest {wanted}"
        raise InputError(f"--init-backbone {given}: the students of {study['name']} started from {started}")
    return wanted is None, None


def diagnose_study(
    study: Mapping[str, Any],
    folder: Path,
    teacher: TrialRecord,
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
        study: the content of ``study.json``.
        folder: the study's.
        teacher: its record.
        records: the students', trained to their end.
        count: batches for each student.
        source: where the study's images lie, if not where they did.
        init_backbone: the weights that backbones started from, where they are neither random numbers nor a teacher's.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        progress: called with what is done, how much of it, and how much there is.

    Returns:
        Plain data: ``teacher`` (label, params), ``seed`` and ``epoch`` of the batches, and ``students``: label → what
        ``harness.diagnosis.student.diagnose`` returns.

    Raises:
        InputError: the images or the start are not those of the study, or there is no such device.
        DataError: weights, images or a checkpoint are missing or broken.
    """
    known, start = find_start(study, folder, init_backbone)
    config = study["config"]
    images = DataConfig(**config["data"])
    alone = replace(DistillConfig(**config["distill"]), alpha=0.0, feature_weight=0.0)
    weights = folder / "trials" / teacher.label / WEIGHTS
    jobs = [
        job_of(
            # Without a teacher in training, T and the threshold of the teacher's errors are the study's.
            record,
            data=images if source is None else replace(images, source=source),
            train=TrainConfig(**config["train"]),
            evaluation=EvalConfig(**config["evaluation"]),
            distill=DistillConfig(**record.distill) if record.distill else alone,
            teacher=Teacher(weights, ArchConfig.from_dict(teacher.arch), teacher),
            start=start,
            folder=folder / "trials" / record.label,
            cache=folder.parent / "cache",
            device=device,
            threads=1,
        )
        for record in records
    ]
    faces = load_split(jobs[0].data, "train", jobs[0].cache, progress)
    if faces.digest != study["data"]["train_digest"]:
        raise InputError(f"{jobs[0].data.source} does not hold the images that {study['name']} was trained on")
    students = {}
    for job in jobs:
        on_batch = _reporter(f"{job.label}: batches", progress)
        students[job.label] = diagnose(job, count, start=known, on_batch=on_batch)
        students[job.label]["notes"] += [] if known else [NO_START.format(job.label)]
    return {
        "teacher": {"label": teacher.label, "params": teacher.params},
        "seed": SEED,
        "epoch": EPOCH,
        "students": students,
    }
