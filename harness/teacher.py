"""``python -m harness.teacher``: the V1 teacher of a study, trained once and kept below ``runs/teachers/``.

A teacher's folder is named after everything that decides its weights and its AP: architecture, images, schedule,
evaluation, seed and the backbone it started from. Its ``record.json`` says ``complete`` last of all, so a folder that
says so is whole; any other one is gone on with.
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from harness import cli
from harness.arch import ARCHS, ArchConfig
from harness.builder import build
from harness.counting import count_parts, macs
from harness.data import load_split
from harness.engine import CHECKPOINT, WEIGHTS, Job, TrainResult, evaluate, resolve_device, train
from harness.errors import DataError, InputError
from harness.names import load_study
from harness.protocol import StudyConfig, digest
from harness.record import TrialRecord
from harness.weights import file_digest, load_weights, save_weights
from harness.weights import init_backbone as load_backbone

Report = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""

LABEL = "v1"


@dataclass(frozen=True)
class Teacher:
    """A teacher that is ready: its weights (safetensors), its architecture, and the record of how it came about."""

    path: Path
    arch: ArchConfig
    record: TrialRecord


def ensure_teacher(
    study: StudyConfig,
    runs: Path,
    spec: str = "auto",
    init_backbone: Path | None = None,
    device: str = "cpu",
    threads: int = 1,
    progress: Report | None = None,
) -> Teacher:
    """Return the study's V1 teacher, training it where no earlier run has.

    Args:
        study: gives data, the teacher's schedule, the evaluation and the seed.
        runs: where ``teachers/`` and ``cache/`` lie.
        spec: ``auto``, or the path of V1 weights, which are then only evaluated.
        init_backbone: a weights file that ``auto`` starts the backbone from.
        device, threads: where and with how many threads to train.
        progress: hears of images being prepared and of training steps.

    Raises:
        InputError: the weights are another architecture's, or the study's data cannot be read.
        NonFiniteLossError: training diverged.
    """
    arch = ARCHS[LABEL]
    given = None if spec == "auto" else Path(spec)
    # What can be refused is refused before images are made or decoded, which takes minutes.
    resolve_device(device)
    if given is not None:
        _check_weights(given, arch)
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
        label=f"teacher {LABEL}",
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
            label=LABEL,
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
    latest = "V1 teacher"

    def on_epoch(info: dict[str, Any]) -> bool:
        nonlocal latest
        record.epochs = [*record.epochs[: info["epoch"] - 1], info]
        record.save(job.folder)
        mean = info["ap"]["mean"]
        latest = f"V1 teacher, epoch {info['epoch']} of {job.train.epochs}" + (
            "" if mean is None else f", AP {mean:.3f}"
        )
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


def _check_weights(path: Path, arch: ArchConfig) -> None:
    try:
        load_weights(build(arch), path)
    except DataError:
        raise
    except InputError as error:
        params = sum(count_parts(arch).values())
        raise InputError(f"the teacher must be '{LABEL}' with {params:,} parameters: {error}") from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time make a teacher; a second one waits, and then finds it made."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main(argv: Sequence[str] | None = None) -> int:
    """Train or find the teacher of a study, and print what it is."""
    parser = cli.Parser("harness.teacher", "Train the V1 teacher of a study once, or show the one that is there.")
    parser.add_argument("--study", default="default", metavar="NAME", help="study to train for (default: %(default)s)")
    parser.add_argument("--teacher", default="auto", metavar="PATH", help="V1 weights to evaluate instead of training")
    parser.add_argument("--init-backbone", type=Path, metavar="PATH", help="weights file to start the backbone from")
    parser.add_argument("--data", metavar="PATH", help="'synthetic' or the folder of a WIDER FACE copy")
    parser.add_argument("--size", type=int, help="side of the training crop, pixels")
    parser.add_argument("--train-images", type=int, help="training images; 0 for all of a folder")
    parser.add_argument("--val-images", type=int, help="validation images; 0 for all of a folder")
    parser.add_argument("--epochs", type=int, help="passes over the training images")
    parser.add_argument("--batch", type=int, help="images a step")
    parser.add_argument("--lr", type=float, help="peak learning rate")
    parser.add_argument("--seed", type=int, help="seed of the training")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument(
        "--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads (default: %(default)s)"
    )
    parser.add_argument("--runs", type=Path, default=cli.RUNS, help="folder of runs (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout and nothing else there")
    arguments = parser.parse_args(argv)
    if arguments.threads < 1:
        raise InputError(f"threads must be at least 1, got {arguments.threads}")
    study = load_study(arguments.study)
    data = {"source": arguments.data} | {
        name: getattr(arguments, name) for name in ("size", "train_images", "val_images")
    }
    schedule = {name: getattr(arguments, name) for name in ("epochs", "batch", "lr")}
    study = replace(
        study,
        data=replace(study.data, **_given({"source": arguments.data, **data})),
        teacher=replace(study.teacher, **_given(schedule)),
        **_given({"seed": arguments.seed}),
    )
    try:
        arguments.runs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--runs {arguments.runs} cannot be made ({error.strerror}); choose a writable folder"
        ) from error
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", visible=False)

        def report(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total, visible=True)

        teacher = ensure_teacher(
            study,
            arguments.runs,
            arguments.teacher,
            arguments.init_backbone,
            arguments.device,
            arguments.threads,
            report,
        )
    record = teacher.record
    if arguments.json:
        cli.emit({"path": str(teacher.path), **asdict(record)})
    else:
        scores = "  ".join(f"{name} {'–' if ap is None else f'{100 * ap:.2f}'}" for name, ap in record.ap.items())
        print(f"{record.label}: {record.params:,} parameters, AP {scores}\n{teacher.path}")
    return 0


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


if __name__ == "__main__":
    cli.run(main)
