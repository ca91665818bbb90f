"""``Job``: everything that one training needs, as plain data; ``TrainResult``: its result."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.core.arch import ArchConfig
from harness.core.data import DataConfig
from harness.core.evaluation import EvalConfig
from harness.core.record import TrialRecord
from harness.core.training import DistillConfig, TrainConfig
from harness.errors import InputError
from harness.models.weights import file_digest

TRAINING_VERSION = 5
"""Version of the training code. Raise it when the same job could give different weights, for example after a change of
the loss, the augmentation, the schedule or the initialisation.

It is part of the identity of checkpoints, teachers and studies, so that results of two versions are never mixed. A test
compares a short training with recorded losses and fails if the numerics have changed without a new version.
"""

WEIGHTS = "weights.safetensors"
PREDICTIONS = "predictions.npz"


@dataclass(frozen=True)
class Job:
    """Everything that one training needs. It is plain data, so that it can be sent to another process.

    Attributes:
        label: name in messages.
        distill: distillation settings; None, or α = λ = 0, trains without a teacher.
        folder: folder for the checkpoint, the weights and the predictions.
        cache: folder of decoded images.
        teacher, teacher_arch: weights and architecture of the teacher; required if ``distill`` uses one.
        init_backbone: weights file for the initial backbone (of a whole detector or of a backbone alone); None starts
            from random weights.
        initial: weights file of the whole network that training starts from, instead of random weights and
            ``init_backbone``.
        grade: whether the network is evaluated on the validation images at the end. No choice depends on them.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: number of PyTorch's CPU threads. Rounding depends on it.
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
    initial: Path | None = None
    grade: bool = False
    device: str = "cpu"
    threads: int = 1

    @property
    def uses_teacher(self) -> bool:
        """Whether any loss term needs the teacher."""
        return self.distill is not None and self.distill.uses_teacher

    def identity(self) -> dict[str, Any]:
        """Return everything that decides the result, as plain data. Only a job of equal identity resumes a checkpoint.

        The number of threads is left out: a study fixes it, and a checkpoint may be resumed with another number. The
        folder of the images is left out: the images have digests of their own.
        """
        return {
            "training": TRAINING_VERSION,
            "arch": self.arch.to_dict(),
            "seed": self.seed,
            "train": asdict(self.train),
            "data": {name: value for name, value in asdict(self.data).items() if name != "source"},
            "evaluation": asdict(self.evaluation),
            "distill": asdict(self.distill) if self.distill is not None and self.uses_teacher else None,
            "teacher": file_digest(self.teacher) if self.teacher is not None and self.uses_teacher else None,
            "init_backbone": file_digest(self.init_backbone) if self.init_backbone is not None else None,
            "initial": file_digest(self.initial) if self.initial is not None else None,
        }


@dataclass(frozen=True)
class TrainResult:
    """The result of a training.

    Attributes:
        state: ``complete``, or ``pruned`` if ``on_epoch`` returned False.
        search_ap: easy, medium, hard and mean AP in [0, 1] on the search split, of the saved network; of the last epoch
            if the training was pruned.
        epochs: one dict per epoch, as passed to ``on_epoch``; fewer than configured if training stopped early.
        ap: the same four APs on the validation images, None if a list holds no face; empty unless graded.
        curves: difficulty → ``precision`` and ``recall`` at 101 points on the validation images; empty unless graded.
        landmark: the landmark error; empty unless graded.
        seconds: ``train`` and ``evaluate``, summed over all runs of a resumed job.
    """

    state: str
    search_ap: dict[str, float | None]
    epochs: list[dict[str, Any]]
    ap: dict[str, float | None] = field(default_factory=dict)
    curves: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    landmark: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def fill(self, record: TrialRecord) -> None:
        """Copy all fields into ``record``. Other entries of its ``seconds`` are kept."""
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
    initial: Path | None = None,
    folder: Path,
    cache: Path,
    device: str = "cpu",
    threads: int = 1,
) -> Job:
    """Return the job that trains a record's network.

    Args:
        record: gives architecture, seed, schedule and distillation. Candidates are not graded, all other roles are.
        distill: distillation settings if the record has none.
        teacher, teacher_arch: weights and architecture of the study's teacher.
        start: weights file for the initial backbone; None for random weights.
        initial: weights file of the whole network to start from; None for ``start`` or random weights.
        folder, cache, device, threads: as in ``Job``.

    Raises:
        InputError: the record has no schedule, because an earlier version wrote it.
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
        initial=initial,
        grade=record.role != "candidate",
        device=device,
        threads=threads,
    )
