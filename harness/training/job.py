"""``Job``: all that one training needs, as plain data, and ``TrainResult``: what it gave."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.core.arch import ArchConfig
from harness.core.protocol import DataConfig, DistillConfig, EvalConfig, TrainConfig
from harness.core.record import TrialRecord
from harness.errors import InputError
from harness.models.weights import file_digest

TRAINING_VERSION = 2
"""Rises whenever the same job could give other weights: a changed loss, augmentation, schedule or initialisation.

It is part of a checkpoint's, a teacher's and a study's identity, so that results of two versions never mix. A test
compares a short training with recorded losses and fails where the numerics changed and this number did not.
"""

WEIGHTS = "weights.safetensors"
PREDICTIONS = "predictions.npz"


@dataclass(frozen=True)
class Job:
    """All that one training needs; plain data, so that it can be sent to another process.

    Attributes:
        label: for messages.
        distill: None, or with neither α nor λ, trains without a teacher.
        folder: where the checkpoint, the weights and the predictions go.
        cache: where decoded images lie.
        teacher, teacher_arch: weights and architecture of the teacher; needed where ``distill`` uses one.
        init_backbone: a weights file to start the backbone from (a whole detector's, or a bare backbone); None
            starts from random numbers.
        grade: whether the validation images are read at the end. They choose nothing.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: PyTorch's threads on the CPU. Another number rounds otherwise.
    """

    label: str
    arch: ArchConfig
    seed: int
    train: TrainConfig
    data: DataConfig
    evaluation: EvalConfig
    folder: Path
    cache: Path
    distill: DistillConfig | None = None
    teacher: Path | None = None
    teacher_arch: ArchConfig | None = None
    init_backbone: Path | None = None
    grade: bool = False
    device: str = "cpu"
    threads: int = 1

    @property
    def uses_teacher(self) -> bool:
        """Whether any loss term needs the teacher."""
        return self.distill is not None and self.distill.uses_teacher

    def identity(self) -> dict[str, Any]:
        """Return what decides the result, as plain data: a checkpoint is resumed only by the job that wrote it.

        Not the thread count: a study fixes it, and a checkpoint may continue with another one.
        """
        return {
            "training": TRAINING_VERSION,
            "arch": self.arch.to_dict(),
            "seed": self.seed,
            "train": asdict(self.train),
            "data": asdict(self.data),
            "evaluation": asdict(self.evaluation),
            "distill": asdict(self.distill) if self.distill is not None and self.uses_teacher else None,
            "teacher": file_digest(self.teacher) if self.teacher is not None and self.uses_teacher else None,
            "init_backbone": file_digest(self.init_backbone) if self.init_backbone is not None else None,
        }


@dataclass(frozen=True)
class TrainResult:
    """What a training gave.

    Attributes:
        state: ``complete``, or ``pruned`` where ``on_epoch`` asked to stop.
        search_ap: easy, medium, hard and mean AP in [0, 1] on the search split: of the network that was kept, or of the
            last epoch where the training was pruned.
        epochs: the dict of every epoch, as given to ``on_epoch``; fewer than asked for where training stopped early.
        ap: the same four on the validation images, None where a list holds no face; empty unless graded.
        curves: difficulty → ``precision`` and ``recall`` at 101 points on the validation images; empty unless graded.
        landmark: the landmark error; empty unless graded.
        seconds: ``train`` and ``evaluate``, over all runs of a job that was resumed.
    """

    state: str
    search_ap: dict[str, float | None]
    epochs: list[dict[str, Any]]
    ap: dict[str, float | None] = field(default_factory=dict)
    curves: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    landmark: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def fill(self, record: TrialRecord) -> None:
        """Write everything into a record; its time for other things stays."""
        record.state, record.epochs, record.search_ap = self.state, self.epochs, self.search_ap
        record.ap, record.curves, record.landmark = self.ap, self.curves, self.landmark
        record.seconds |= self.seconds


def job_of(
    record: TrialRecord,
    *,
    data: DataConfig,
    evaluation: EvalConfig,
    distill: DistillConfig | None = None,
    teacher: Path | None,
    teacher_arch: ArchConfig | None,
    start: Path | None,
    folder: Path,
    cache: Path,
    device: str = "cpu",
    threads: int = 1,
) -> Job:
    """Return the job that trains a record's network. Raises ``InputError`` where the record has no schedule.

    Args:
        record: its architecture, seed, schedule and distillation; candidates are not graded, all others are.
        distill: what to use where the record was trained without a teacher.
        teacher, teacher_arch: the study's teacher.
        start: what backbones start from.
        folder, cache, device, threads: as in ``Job``.
    """
    if not record.train:
        raise InputError(f"{record.label} has no schedule on record: it was trained by an earlier version")
    return Job(
        label=record.label,
        arch=ArchConfig.from_dict(record.arch),
        seed=record.seed,
        train=TrainConfig(**record.train),
        data=data,
        evaluation=evaluation,
        folder=folder,
        cache=cache,
        distill=DistillConfig(**record.distill) if record.distill else distill,
        teacher=teacher,
        teacher_arch=teacher_arch,
        init_backbone=start,
        grade=record.role != "candidate",
        device=device,
        threads=threads,
    )
