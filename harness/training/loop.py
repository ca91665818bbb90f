"""``train``: one network from a ``Job`` to an AP. Neither Optuna nor MLflow; whoever calls it hears of every epoch.

A job's folder holds a checkpoint from its first epoch on. The same job in the same folder goes on from there, and ends
with the same weights to the bit as if it had never been stopped (same machine, device and threads).
"""

import io
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from harness.core.arch import ArchConfig
from harness.core.files import write_atomically
from harness.core.protocol import DataConfig, DistillConfig, EvalConfig, TrainConfig
from harness.data import load_held_out, load_split
from harness.data.batches import batches, steps_per_epoch
from harness.data.faces import FaceSet
from harness.detection.boxes import make_priors
from harness.detection.losses import Targets, multibox_loss
from harness.errors import DataError, InputError, NonFiniteLossError
from harness.evaluation.ap import APResult, evaluate_ap
from harness.evaluation.inference import predict
from harness.evaluation.landmarks import landmark_error
from harness.evaluation.predictions import save_detections
from harness.models.builder import build
from harness.models.detector import Detector
from harness.models.fold import freeze
from harness.models.weights import (
    file_digest,
    init_backbone,
    load_weights,
    save_weights,
    state_digest,
)
from harness.training.distill import Distiller

__all__ = ["Job", "TrainResult", "evaluate", "init_backbone", "load_weights", "resolve_device", "train"]

OnEpoch = Callable[[dict[str, Any]], bool]
OnBatch = Callable[[int, int], None]

CHECKPOINT = "last.pt"
WEIGHTS = "weights.safetensors"
PREDICTIONS = "predictions.npz"
_CURVE_POINTS = 101
_LOADERS = 4
"""Threads that prepare batches for a CUDA device. On the CPU, training itself has every core."""


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
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: PyTorch's threads on the CPU.
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
    device: str = "cpu"
    threads: int = 1

    @property
    def uses_teacher(self) -> bool:
        """Whether any loss term needs the teacher."""
        return self.distill is not None and self.distill.uses_teacher

    def identity(self) -> dict[str, Any]:
        """Return what decides the result, as plain data: a checkpoint is only resumed by the job that wrote it."""
        return {
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
    """What a training came to.

    Attributes:
        state: ``complete``, or ``pruned`` where ``on_epoch`` asked to stop.
        ap: easy, medium, hard and mean AP in [0, 1], None where a list holds no face: of all validation images, or,
            if pruned, of the last epoch's.
        epochs: every epoch's dict, as given to ``on_epoch``; fewer than were asked for where training stopped early.
        curves: difficulty → ``precision`` and ``recall`` at 101 points; empty if pruned.
        landmark: as ``evaluation.landmarks`` gives it; empty if pruned.
        seconds: ``train`` and ``evaluate``, over all runs of a job that was resumed.
    """

    state: str
    ap: dict[str, float | None]
    epochs: list[dict[str, Any]]
    curves: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    landmark: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def train(job: Job, on_epoch: OnEpoch, on_batch: OnBatch | None = None) -> TrainResult:
    """Train, evaluate after every epoch, and leave ``weights.safetensors`` and ``predictions.npz`` in the folder.

    Args:
        job: what to train.
        on_epoch: called with every epoch's ``epoch`` (from 1), ``losses`` (term → mean), ``ap``, ``lr`` (of its last
            step), ``seconds`` (training) and ``evaluate_seconds``; returns False to stop. A resumed job hears of
            the epochs in its checkpoint first, so that the caller sees the same sequence either way.
        on_batch: called with the steps done and the steps in all.

    Raises:
        InputError: the job cannot be run as given, or the folder's checkpoint is another job's.
        NonFiniteLossError: training diverged; the message holds every term.
        OSError: the disk is full or not writable.
    """
    torch.set_num_threads(job.threads)
    run = _Run(job)
    run.resume()
    found: list[NDArray[np.float32]] | None = None
    for epoch in range(1, job.train.epochs + 1):
        if epoch > len(run.history):
            started = time.perf_counter()
            losses, lr = run.train_epoch(epoch, on_batch)
            trained = time.perf_counter()
            found = _detect(job, run.network, run.val, run.epoch_indices)
            ap = evaluate_ap([d[:, :5] for d in found], run.epoch_truth)
            info = {
                "epoch": epoch,
                "losses": losses,
                "ap": _numbers(ap),
                "lr": lr,
                "seconds": trained - started,
                "evaluate_seconds": time.perf_counter() - trained,
            }
            run.history.append(info)
            run.keep_best()
            run.save()
        if not on_epoch(dict(run.history[epoch - 1])):
            return TrainResult("pruned", run.history[epoch - 1]["ap"], run.history[:epoch], seconds=run.seconds(epoch))
        if job.train.patience and epoch - run.best_epoch(epoch) >= job.train.patience:
            break
    run.check_teacher()
    return run.finish(found)


class _Run:
    """A job with its tensors: student, teacher, adapters, optimizer, data, and the history so far."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.device = resolve_device(job.device)
        self.faces = load_split(job.data, "train", job.cache)
        self.val = load_split(job.data, "val", job.cache)
        self.identity = {**job.identity(), "images": [self.faces.digest, self.val.digest]}
        self.epoch_indices = self.val.subset(job.data.epoch_images, job.data.seed)
        self.epoch_truth = self.val.truth().pick(self.epoch_indices)
        self.steps = steps_per_epoch(self.faces, job.train.batch)
        self.priors = make_priors(job.data.size, job.data.size).to(self.device)
        self.history: list[dict[str, Any]] = []

        torch.manual_seed(job.seed)
        self.student = build(job.arch)
        if job.init_backbone is not None:
            init_backbone(self.student, job.init_backbone)
        self.teacher, self.distiller = self._distillation()
        _place(self.student, self.device)
        self.norms = [module for module in self.student.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in self.norms:
            norm.momentum = None  # a plain mean since the last reset
        self.parameters = [*self.student.parameters(), *(self.distiller.parameters() if self.distiller else ())]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in self.parameters if p.ndim > 1], "weight_decay": job.train.weight_decay},
                {"params": [p for p in self.parameters if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=job.train.lr,
            fused=True,
        )
        decay = job.train.ema
        self.average = AveragedModel(self.student, multi_avg_fn=_moving_average(decay)) if decay else None
        self.best: dict[str, Tensor] = {}

    @property
    def network(self) -> Detector:
        """The student, or the moving average of its weights: what is evaluated and kept."""
        return self.student if self.average is None else cast(Detector, self.average.module)

    def _distillation(self) -> tuple[Detector | None, Distiller | None]:
        job = self.job
        if job.distill is None or not job.uses_teacher:
            return None, None
        if job.teacher is None or job.teacher_arch is None:
            raise InputError(f"{job.label}: distillation needs a teacher's weights and architecture; give --teacher")
        teacher = build(job.teacher_arch)
        load_weights(teacher, job.teacher)
        freeze(teacher)
        _place(teacher, self.device)
        self._teacher_digest = state_digest(teacher)
        return teacher, Distiller(teacher, self.student, job.distill).to(self.device)

    def train_epoch(self, epoch: int, on_batch: OnBatch | None) -> tuple[dict[str, float], float]:
        """Return the mean of every loss term, and the last learning rate."""
        job, sums, lr = self.job, dict[str, Tensor](), 0.0
        self.student.train()
        for index, (images, targets) in enumerate(self._batches(epoch)):
            if index == self.steps // 2:
                self._forget_statistics()
            step = (epoch - 1) * self.steps + index
            lr = learning_rate(job.train, step, job.train.epochs * self.steps)
            for group in self.optimizer.param_groups:
                group["lr"] = lr
            output = self.student.raw(images)
            truth = multibox_loss(output, targets, self.priors, job.train)
            total, losses = truth.total, dict(truth.terms)
            if self.distiller is not None and self.teacher is not None:
                with torch.no_grad():
                    taught = self.teacher.raw(images)
                total, imitation = self.distiller.loss(output, taught, truth)
                losses |= imitation
            losses["total"] = total
            if not bool(torch.isfinite(total)):
                terms = ", ".join(f"{name} {value.item():.4g}" for name, value in losses.items())
                raise NonFiniteLossError(f"{job.label}: the loss is not finite in epoch {epoch}, step {step}: {terms}")
            self.optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(total)
            nn.utils.clip_grad_norm_(self.parameters, job.train.clip)
            self.optimizer.step()
            if self.average is not None:
                self.average.update_parameters(self.student)
            for name, value in losses.items():
                sums[name] = sums.get(name, torch.zeros((), device=self.device)) + value.detach()
            if on_batch is not None:
                on_batch(step + 1, job.train.epochs * self.steps)
        return {name: value.item() / self.steps for name, value in sums.items()}, lr

    def _forget_statistics(self) -> None:
        """Let BatchNorm's running statistics be the plain mean over the steps from here to the end of the epoch.

        The released detectors' momentum of 0.01 needs hundreds of steps to forget where it started, so that after a
        short schedule it scores a trained network as if it knew nothing. A plain mean over steps that were taken
        anyway costs nothing, and half an epoch is enough images for it to be steady ("precise BN": Wu and Johnson,
        "Rethinking 'Batch' in BatchNorm", arXiv 2105.07576, section 3; there with the weights at rest).
        """
        for norm in self.norms:
            norm.reset_running_stats()

    def _batches(self, epoch: int) -> Iterator[tuple[Tensor, Targets]]:
        job = self.job
        on_cuda = self.device.type == "cuda"
        threads = _LOADERS if on_cuda else 0
        for batch in batches(self.faces, job.data.size, job.train.batch, job.seed, epoch, threads=threads):
            if on_cuda:
                images, *targets = (
                    value.pin_memory().to(self.device, non_blocking=True) for value in (batch.images, *batch.targets)
                )
                yield images, Targets(*targets)
            else:
                yield batch

    def best_epoch(self, epochs: int) -> int:
        """Return which of the first ``epochs`` epochs, from 1, had the highest mean AP; the first of equals."""
        means = [info["ap"]["mean"] or 0.0 for info in self.history[:epochs]]
        return 1 + means.index(max(means))

    def keep_best(self) -> None:
        """Set aside the network of the epoch that just ended, if it is the best and that is what will be kept."""
        if self.job.train.patience and self.best_epoch(len(self.history)) == len(self.history):
            self.best = {name: value.detach().clone() for name, value in self.network.state_dict().items()}

    def save(self) -> None:
        """Write the checkpoint atomically; a full disk raises and leaves the one before."""
        state = {
            "identity": self.identity,
            "history": self.history,
            "student": self.student.state_dict(),
            "adapters": self.distiller.state_dict() if self.distiller is not None else {},
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict() if self.average is not None else {},
            "best": self.best,
            "random": torch.get_rng_state(),
        }
        content = io.BytesIO()
        torch.save(state, content)
        self.job.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.job.folder / CHECKPOINT, content.getvalue())

    def resume(self) -> None:
        """Go on from the folder's checkpoint, if there is one."""
        path = self.job.folder / CHECKPOINT
        if not path.exists():
            return
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            identity = state["identity"]
        except (RuntimeError, EOFError, KeyError, ValueError, TypeError) as error:
            raise DataError(f"{path} is not a readable checkpoint ({error}); delete it to start this again") from error
        if identity != self.identity:
            changed = ", ".join(sorted(key for key in self.identity if identity.get(key) != self.identity[key]))
            raise InputError(f"{path} was written by another training (it differs in {changed}); delete it or rename")
        self.student.load_state_dict(state["student"])
        if self.distiller is not None:
            self.distiller.load_state_dict(state["adapters"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.best = state["best"]
        torch.set_rng_state(state["random"].cpu())
        self.history = state["history"]

    def check_teacher(self) -> None:
        """Make sure that training left the teacher as it was loaded, statistics included."""
        if self.teacher is not None and state_digest(self.teacher) != self._teacher_digest:
            raise RuntimeError(f"{self.job.label}: the teacher changed while it taught")

    def finish(self, found: list[NDArray[np.float32]] | None) -> TrainResult:
        """Write the weights, and evaluate on all validation images unless the last epoch just did."""
        self.job.folder.mkdir(parents=True, exist_ok=True)
        if self.best:
            self.network.load_state_dict(self.best)
            if self.best_epoch(len(self.history)) < len(self.history):
                found = None
        save_weights(self.network, self.job.folder / WEIGHTS)
        if found is not None and len(found) < len(self.val):
            found = None
        result = evaluate(self.job, self.network, found)
        past = self.seconds(len(self.history))
        seconds = {"train": past["train"], "evaluate": past["evaluate"] + result.seconds["evaluate"]}
        return replace(result, epochs=self.history, seconds=seconds)

    def seconds(self, epochs: int) -> dict[str, float]:
        """Return the time spent in the first ``epochs`` epochs."""
        past = self.history[:epochs]
        return {
            "train": sum(info["seconds"] for info in past),
            "evaluate": sum(info["evaluate_seconds"] for info in past),
        }


def evaluate(job: Job, detector: Detector, found: list[NDArray[np.float32]] | None = None) -> TrainResult:
    """Evaluate a detector by the job's protocol on all validation images; ``predictions.npz`` goes to the folder.

    The landmark error is that of the held-out images where the data has any, and of the validation images otherwise.

    Args:
        job: gives data, evaluation, device and folder.
        detector: on the job's device.
        found: the detections (k, 15) in every validation image, where they are known already.
    """
    started = time.perf_counter()
    val = load_split(job.data, "val", job.cache)
    if found is None:
        found = _detect(job, detector, val, np.arange(len(val)))
    ap = evaluate_ap([d[:, :5] for d in found], val.truth())
    landmark = landmark_error(found, val)
    held_out = load_held_out(job.data, job.cache)
    if held_out is not None:
        landmark = landmark_error(_detect(job, detector, held_out, np.arange(len(held_out))), held_out)
    save_detections(job.folder / PREDICTIONS, val.ids, found)
    return TrainResult(
        state="complete",
        ap=_numbers(ap),
        epochs=[],
        curves={name: _thin(*curve) for name, curve in ap.curves.items()},
        landmark=landmark,
        seconds={"train": 0.0, "evaluate": time.perf_counter() - started},
    )


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """Return the rate of ``step`` (from 0) of ``steps``: a linear rise to ``lr``, then half a cosine towards zero."""
    warmup = round(config.warmup * steps)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    return config.lr * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


def _moving_average(decay: float) -> Callable[..., None]:
    """Return an update of averaged weights by the current ones: ``decay``, less of it in the first steps.

    The decay of step n is at most (1 + n) / (10 + n), as in TensorFlow's ``ExponentialMovingAverage``, so that the
    random numbers that training started from are soon forgotten.
    """

    @torch.no_grad()
    def update(averaged: list[Tensor], current: list[Tensor], steps: Tensor) -> None:
        past = int(steps)
        torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + past) / (10 + past)))

    return update


def resolve_device(name: str) -> torch.device:
    """Return the device called ``name``.

    Raises:
        InputError: there is no such device, or it is neither a CPU nor a CUDA one.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"unknown device '{name}': use cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"device '{name}' is not supported: use cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"device '{name}' is not there: PyTorch sees {torch.cuda.device_count()} CUDA devices; use cpu"
        )
    return device


def _place(module: nn.Module, device: torch.device) -> None:
    # Convolutions run faster on channels_last (the stubs of Module.to do not know the argument).
    module.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _detect(job: Job, detector: Detector, val: FaceSet, indices: NDArray[np.int64]) -> list[NDArray[np.float32]]:
    detector.eval()
    return predict(detector, val, job.evaluation, job.data.eval_side, indices=indices, device=job.device)


def _numbers(ap: APResult) -> dict[str, float | None]:
    return {"easy": ap.easy, "medium": ap.medium, "hard": ap.hard, "mean": ap.mean}


def _thin(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> dict[str, list[float]]:
    at = np.unique(np.linspace(0, len(precision) - 1, _CURVE_POINTS).round().astype(int))
    return {
        "precision": [round(float(value), 5) for value in np.nan_to_num(precision[at])],
        "recall": [round(float(value), 5) for value in np.nan_to_num(recall[at])],
    }
