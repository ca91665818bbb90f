"""The teacher of a study: V1, trained once and kept below ``runs/teachers/``, or given weights of any architecture.

A teacher's folder is named after everything that decides its weights and its AP: architecture, images, schedule,
evaluation, seed and the backbone it started from. Its ``record.json`` says ``complete`` last of all, so a folder that
says so is whole; any other one is gone on with.
"""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.core.arch import ARCHS, ArchConfig
from harness.core.protocol import StudyConfig, digest
from harness.core.record import TrialRecord
from harness.data import load_split
from harness.errors import DataError, InputError
from harness.models.builder import build, resolve_arch
from harness.models.costs import count_parts, macs
from harness.models.weights import file_digest, load_weights, save_weights
from harness.models.weights import init_backbone as load_backbone
from harness.training.loop import CHECKPOINT, WEIGHTS, Job, TrainResult, evaluate, resolve_device, train

Report = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""

TRAINED = "v1"
"""The architecture that is trained where no weights are given."""


@dataclass(frozen=True)
class Teacher:
    """A teacher that is ready: its weights (safetensors), its architecture, and the record of how it came about."""

    path: Path
    arch: ArchConfig
    record: TrialRecord


def find_teacher(spec: str) -> tuple[str, Path | None]:
    """Return architecture and weights of ``auto`` (V1, none yet), ``PATH`` (V1's) or ``ARCH:PATH``.

    Raises:
        InputError: there is no such architecture; the message lists those there are.
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
) -> Teacher:
    """Return the study's teacher; V1 is trained where no earlier run has.

    Args:
        study: gives data, the teacher's schedule, the evaluation and the seed.
        runs: where ``teachers/`` and ``cache/`` lie.
        spec: ``auto``, the path of V1 weights, or ``ARCH:PATH``; given weights are only evaluated.
        init_backbone: a weights file that ``auto`` starts the backbone from.
        device, threads: where and with how many threads to train.
        progress: hears of images being prepared and of training steps.

    Raises:
        InputError: the weights are another architecture's, or the study's data cannot be read.
        NonFiniteLossError: training diverged.
    """
    label, given = find_teacher(spec)
    arch = ARCHS[label]
    # What can be refused is refused before images are made or decoded, which takes minutes.
    resolve_device(device)
    if given is not None:
        _check_weights(given, label)
    elif init_backbone is not None:
        load_backbone(build(arch), init_backbone)
    cache = runs / "cache"
    images = [load_split(study.data, "train", cache, progress), load_split(study.data, "val", cache, progress)]
    protocol: dict[str, Any] = {
        "images": [faces.digest for faces in images],
        "data": {key: value for key, value in asdict(study.data).items() if key != "source"},
        "evaluation": asdict(study.evaluation),
    }
    origin: dict[str, Any] = {"weights": file_digest(given)} if given is not None else {"train": asdict(study.teacher)}
    if given is None:
        origin["seed"] = study.seed
        origin["init_backbone"] = file_digest(init_backbone) if init_backbone is not None else None
    folder = runs / "teachers" / digest({"arch": arch.to_dict(), **protocol, **origin})
    job = Job(
        label=f"teacher {label}",
        arch=arch,
        seed=study.seed,
        train=study.teacher,
        data=study.data,
        evaluation=study.evaluation,
        folder=folder,
        cache=cache,
        init_backbone=init_backbone,
        device=device,
        threads=threads,
    )
    with _locked(folder):
        path = folder / WEIGHTS
        if path.exists() and (folder / "record.json").exists():
            record = TrialRecord.load(folder)
            if record.state == "complete":
                return Teacher(path, arch, record)
        parts = count_parts(arch)
        record = TrialRecord(
            label=label,
            role="teacher",
            seed=study.seed,
            arch=arch.to_dict(),
            params=sum(parts.values()),
            parts=parts,
            macs=sum(macs(arch, study.speed.size, study.speed.size).values()),
            protocol={**protocol, **origin},
        )
        record.save(folder)
        result = _evaluate(job, given) if given is not None else _train(job, record, progress)
        record.state, record.ap, record.epochs = result.state, result.ap, result.epochs
        record.curves, record.landmark = result.curves, result.landmark
        record.seconds = {**result.seconds, "total": sum(result.seconds.values())}
        record.size_mb = path.stat().st_size / 1e6
        record.save(folder)
        (folder / CHECKPOINT).unlink(missing_ok=True)
    return Teacher(path, arch, record)


def _train(job: Job, record: TrialRecord, progress: Report | None) -> TrainResult:
    latest, best = "V1 teacher", 0.0

    def on_epoch(info: dict[str, Any]) -> bool:
        nonlocal latest, best
        record.epochs = [*record.epochs[: info["epoch"] - 1], info]
        record.save(job.folder)
        mean = info["ap"]["mean"] or 0.0
        best = max(best, mean)
        latest = f"V1 teacher, epoch {info['epoch']} of {job.train.epochs}, AP {100 * mean:.1f} (best {100 * best:.1f})"
        return True

    def on_batch(step: int, steps: int) -> None:
        if progress is not None:
            progress(latest, step, steps)

    return train(job, on_epoch, on_batch)


def _evaluate(job: Job, weights: Path) -> TrainResult:
    detector = build(job.arch)
    load_weights(detector, weights)
    save_weights(detector, job.folder / WEIGHTS)
    return evaluate(job, detector)


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


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time make a teacher; a second one waits, and then finds it made."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
