"""The teacher of a study: V1, trained once and kept in ``runs/teachers/``, or given weights of any architecture.

The name of a teacher's folder is a digest of everything that decides its weights and its AP: architecture, version of
the training code, images, schedule, evaluation, seed, initial backbone, device and number of threads. Its
``record.json`` is set to ``complete`` after everything else is written, so that a complete record implies complete
files; otherwise training resumes.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from harness.core.arch import ARCHS, ArchConfig
from harness.core.digest import digest
from harness.core.protocol import StudyConfig
from harness.core.provenance import provenance
from harness.core.record import TrialRecord
from harness.data import SPLITS, is_ready, load_split
from harness.data.faces import FaceSet
from harness.errors import DataError, InputError
from harness.evaluation.protocol import ap_protocol
from harness.models.builder import build, resolve_arch
from harness.models.costs import count_parts, macs
from harness.models.device import device_name, place, precision, resolve_device
from harness.models.weights import file_digest, load_weights, save_weights
from harness.models.weights import init_backbone as load_backbone
from harness.training.checkpoint import CHECKPOINT
from harness.training.grade import grade, search_ap
from harness.training.job import TRAINING_VERSION, WEIGHTS, Job, TrainResult
from harness.training.loop import train
from harness.training.shipped import Shipped, find_shipped

Report = Callable[[str, int, int], None]
"""Called with (what, done, total): the current activity and its progress."""

TRAINED = "v1"
"""The architecture that is trained if no weights are given."""


@dataclass(frozen=True)
class Teacher:
    """A complete teacher: its weights file (safetensors), its architecture, and its record."""

    path: Path
    arch: ArchConfig
    record: TrialRecord


def find_teacher(spec: str) -> tuple[str, Path | None]:
    """Return the arch name and the weights file for ``auto`` (V1, no file), ``PATH`` (weights of V1) or ``ARCH:PATH``.

    Raises:
        InputError: there is no such architecture; the message lists the known names.
    """
    if spec == "auto":
        return TRAINED, None
    name, colon, path = spec.partition(":")
    if colon and not Path(spec).exists() and "/" not in name:
        resolve_arch(name)
        return name, Path(path)
    return TRAINED, Path(spec)


def ensure_teacher(
    study: StudyConfig,
    runs: Path,
    spec: str = "auto",
    init_backbone: Path | None = None,
    device: str = "cpu",
    threads: int = 1,
    progress: Report | None = None,
    *,
    shipped: bool = True,
) -> Teacher:
    """Return the study's teacher. With ``auto``, V1 is trained unless the harness or an earlier run has it.

    Args:
        study: gives data, the teacher's schedule, the evaluation and the seed.
        runs: folder that contains ``teachers/`` and ``cache/``.
        spec: ``auto``, the path of V1 weights, or ``ARCH:PATH``; given weights are only evaluated.
        init_backbone: weights file for the initial backbone, used with ``auto``.
        device: device to train on.
        threads: number of PyTorch's CPU threads. It decides which teacher is used, because rounding depends on it.
        progress: called while images are prepared, and after every training step.
        shipped: whether weights that come with the harness are used, if they were trained as the study asks.

    Raises:
        InputError: the weights do not fit the architecture, or the study's data cannot be read.
        NonFiniteLossError: training diverged.
    """
    label, given = find_teacher(spec)
    # Inputs are checked before images are generated or decoded, which takes minutes.
    where = resolve_device(device)
    name, computes = device_name(where), precision(where, study.teacher.side(study.data.size))
    if given is not None:
        _check_weights(given, label)
    elif init_backbone is not None:
        load_backbone(build(ARCHS[label]), init_backbone)
    splits = {split: load_split(study.data, split, runs / "cache", progress) for split in SPLITS}
    origin = _origin(study, runs, spec, splits, init_backbone, device, threads, shipped=shipped)
    job, found, weights, made_by = origin.job, origin.shipped, origin.weights, origin.made_by
    folder, arch = job.folder, job.arch
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):  # A second process waits here, and then finds a complete teacher.
        complete = _complete(job)
        if complete is not None:
            return complete
        path, parts = folder / WEIGHTS, count_parts(arch)
        earlier = TrialRecord.load(folder) if (folder / "record.json").exists() else None
        record = TrialRecord(
            label=label,
            role="teacher",
            seed=study.seed,
            arch=arch.to_dict(),
            train=asdict(study.teacher) if given is None else {},
            training=made_by if given is None else "",
            params=sum(parts.values()),
            parts=parts,
            macs=sum(macs(arch, study.speed.size, study.speed.size).values()),
            search_protocol=ap_protocol(splits["search"], study.evaluation, study.data.eval_side),
            protocol=ap_protocol(splits["val"], study.evaluation, study.data.eval_side),
            provenance=earlier.provenance if earlier is not None and (folder / CHECKPOINT).exists() else [],
        )
        if found is None:
            record.add_provenance(provenance(name, computes))
        else:
            record.read_from, record.provenance = found.name, found.provenance
        record.save(folder)
        result = _train(job, record, progress) if weights is None else _evaluate(job, weights)
        result.fill(record)
        if found is not None:
            record.epochs = found.epochs
        record.seconds["total"] = sum(result.seconds.values())
        record.size_mb = path.stat().st_size / 1e6
        record.save(folder)
        (folder / CHECKPOINT).unlink(missing_ok=True)
    return Teacher(path, arch, record)


@dataclass(frozen=True)
class _Origin:
    """Where a teacher comes from.

    Attributes:
        job: its training, or its evaluation; the name of the folder follows from all that decides the teacher.
        made_by: digest of its recipe.
        shipped: weights that come with the harness, if they are used.
        weights: the weights that are evaluated, given or shipped; None if the teacher is trained.
    """

    job: Job
    made_by: str
    shipped: Shipped | None
    weights: Path | None


def _origin(
    study: StudyConfig,
    runs: Path,
    spec: str,
    splits: Mapping[str, FaceSet],
    init_backbone: Path | None,
    device: str,
    threads: int,
    *,
    shipped: bool = True,
) -> _Origin:
    label, given = find_teacher(spec)
    arch, where = ARCHS[label], resolve_device(device)
    name, computes = device_name(where), precision(where, study.teacher.side(study.data.size))
    made_by = recipe(study, arch, splits["train"], init_backbone)
    if given is not None or study.teacher.patience:  # With patience, the weights depend on the search split too.
        shipped = False
    found = find_shipped(made_by, splits["search"].digest) if shipped else None
    weights = given if found is None else found.path
    key = {
        "arch": arch.to_dict(),
        "images": [faces.digest for faces in splits.values()],
        "data": {key: value for key, value in asdict(study.data).items() if key != "source"},
        "evaluation": ap_protocol(splits["val"], study.evaluation, study.data.eval_side)["digest"],
    }
    if weights is None:
        key |= _schedule(study, init_backbone)
        key |= {"threads": threads if name == "cpu" else None, "device": name, "precision": computes}
    else:
        key["weights"] = file_digest(weights)
    job = Job(
        label=f"teacher {label}",
        arch=arch,
        seed=study.seed,
        train=study.teacher,
        data=study.data,
        evaluation=study.evaluation,
        folder=runs / "teachers" / digest(key),
        cache=runs / "cache",
        init_backbone=init_backbone,
        grade=True,
        device=device,
        threads=threads,
    )
    return _Origin(job, made_by, found, weights)


def _complete(job: Job) -> Teacher | None:
    """Return the teacher in a job's folder; None if it is not complete."""
    path = job.folder / WEIGHTS
    record = TrialRecord.load(job.folder) if (job.folder / "record.json").exists() else None
    if record is None or record.state != "complete" or not path.exists():
        return None
    return Teacher(path, job.arch, record)


def foresee_teacher(
    study: StudyConfig,
    runs: Path,
    spec: str = "auto",
    init_backbone: Path | None = None,
    device: str = "cpu",
    threads: int = 1,
) -> tuple[Teacher | None, bool]:
    """Return the teacher of ``ensure_teacher`` if an earlier run has made it, and whether it has to be trained.

    Before the study's images are in the cache, V1 is expected to be trained, since its recipe depends on them.

    Raises:
        InputError: the study's data cannot be read.
    """
    if not all(is_ready(study.data, split, runs / "cache") for split in SPLITS):
        return None, find_teacher(spec)[1] is None
    splits = {split: load_split(study.data, split, runs / "cache") for split in SPLITS}
    origin = _origin(study, runs, spec, splits, init_backbone, device, threads)
    teacher = _complete(origin.job)
    return teacher, teacher is None and origin.weights is None


def recipe(study: StudyConfig, arch: ArchConfig, images: FaceSet, init_backbone: Path | None) -> str:
    """Return a digest of everything but the machine that decides the weights of a study's teacher."""
    of = {"arch": arch.to_dict(), "images": images.digest, "size": study.data.size}
    return digest(of | _schedule(study, init_backbone))


def _schedule(study: StudyConfig, init_backbone: Path | None) -> dict[str, Any]:
    return {
        "training": TRAINING_VERSION,
        "train": asdict(study.teacher),
        "seed": study.seed,
        "init_backbone": file_digest(init_backbone) if init_backbone is not None else None,
    }


def _train(job: Job, record: TrialRecord, progress: Report | None) -> TrainResult:
    latest, best, total = f"{record.label} teacher", 0.0, 0

    def on_epoch(info: dict[str, Any]) -> bool:
        nonlocal latest, best
        record.epochs = [*record.epochs[: info["epoch"] - 1], info]
        record.save(job.folder)
        latest = f"{record.label} teacher, epoch {info['epoch']} of {job.train.epochs}"
        mean = info["ap"].get("mean")
        if mean is not None:
            best = max(best, mean)
            latest += f", AP {100 * mean:.1f} (best {100 * best:.1f})"
        return True

    def on_batch(step: int, steps: int) -> None:
        nonlocal total
        total = steps
        if progress is not None:
            progress(f"{latest}, steps", step, steps)

    result = train(job, on_epoch, on_batch)
    if progress is not None and total:
        progress(f"{latest}, steps", total, total)
    return result


def _evaluate(job: Job, weights: Path) -> TrainResult:
    torch.set_num_threads(job.threads)  # Other processes may train on the other cores.
    detector = build(job.arch)
    load_weights(detector, weights)
    save_weights(detector, job.folder / WEIGHTS)
    place(detector, resolve_device(job.device))
    graded = grade(job, detector)
    return TrainResult("complete", search_ap(job, detector), [], graded.ap, graded.curves, graded.landmark)


def _check_weights(path: Path, label: str) -> None:
    try:
        load_weights(build(ARCHS[label]), path)
    except DataError:
        raise
    except InputError as error:
        params = sum(count_parts(ARCHS[label]).values())
        raise InputError(
            f"the teacher must be '{label}' with {params:,} parameters: {error}; give another architecture as ARCH:PATH"
        ) from error
