"""``Setup``: networks, optimizer and images of a job, ready for the first step."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from harness.core.training import CROPS, TrainConfig
from harness.data import load_split
from harness.data.augment import Augmentation
from harness.data.batches import batches, steps_per_epoch
from harness.data.faces import FaceSet
from harness.data.on_device import device_batches, room_for_images, upload
from harness.detection.boxes import make_priors
from harness.detection.matching import Targets
from harness.errors import DataError, InputError
from harness.models.builder import build
from harness.models.detector import Detector, RawOutput
from harness.models.device import make_deterministic, place, precision, resolve_device
from harness.models.fold import freeze
from harness.models.initial import initialise
from harness.models.weights import init_backbone, load_weights
from harness.training.blocks import block
from harness.training.distill import Distiller
from harness.training.job import Job
from harness.training.partway import Partway
from harness.training.schedule import MovingAverage, average_statistics, train_mode


@dataclass
class Feed:
    """What a training sees: images, faces, and the teacher.

    Attributes:
        job: gives data, schedule, seed and precision.
        faces, search: training images and search split.
        steps: number of steps per epoch.
        priors: (A, 4), of one input of the network in training.
        teacher: frozen; None without one.
    """

    job: Job
    device: torch.device
    faces: FaceSet
    search: FaceSet
    steps: int
    priors: Tensor
    teacher: Detector | None

    @property
    def needs_maps(self) -> bool:
        """Whether the teacher's maps are imitated, and not only its outputs."""
        return self.job.distill is not None and self.job.distill.feature_weight > 0

    def autocast(self) -> AbstractContextManager[object]:
        """Return a context for forward passes, in the training's ``precision``.

        Weights, losses and the optimizer stay in float32. bfloat16 has float32's range, so that losses need no scaling.
        """
        side = self.job.train.side(self.job.data.size)
        return torch.autocast(self.device.type, torch.bfloat16, enabled=precision(self.device, side) == "bfloat16")

    def taught(self, images: Tensor) -> RawOutput | None:
        """Return the teacher's output for a batch, without gradients; None without a teacher."""
        if self.teacher is None:
            return None
        with torch.no_grad(), self.autocast():
            return self.teacher.raw(images)

    @cached_property
    def pixels(self) -> Tensor | None:
        """The training images' pixels in device memory; None if they do not fit, and on the CPU."""
        return upload(self.faces, self.device, room_for_images(self.device))

    def batches(self, epoch: int, first: int = 0) -> Iterator[tuple[Tensor, Targets]]:
        """Yield the batches of an epoch from step ``first`` on, images and faces, on the device."""
        job, on_cuda = self.job, self.device.type == "cuda"
        # On CUDA, the threads of a training prepare its batches.
        threads, settings = job.threads if on_cuda else 0, augmentation(job.train)
        which = (job.data.size, job.train.batch, job.seed, epoch, settings, threads, job.train.large_crops, first)
        if self.pixels is not None:
            yield from device_batches(self.faces, self.pixels, *which)
            return
        for batch in batches(self.faces, *which):
            if on_cuda:
                images = batch.images.pin_memory().to(self.device, non_blocking=True)
                yield images, batch.targets.to(self.device)
            else:
                yield batch


@dataclass
class Setup(Feed):
    """A job with its networks, optimizer and images.

    Attributes:
        parameters: everything that is trained, one block per optimizer group: the student's parameters and the
            adapters' are views of them.
        average: moving average of the student's weights; None if ``ema`` is 0.
        history: one dict per epoch so far.
        best: state dict of the best epoch's network if ``patience`` is positive; otherwise empty.
        partway: how far the next epoch has got.
    """

    student: Detector
    distiller: Distiller | None
    parameters: list[nn.Parameter]
    optimizer: torch.optim.Optimizer
    average: MovingAverage | None
    history: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    partway: Partway = field(default_factory=Partway)

    @property
    def network(self) -> Detector:
        """The network that is evaluated and saved: the student, or the moving average of its weights."""
        return self.student if self.average is None else self.average.network

    @property
    def identity(self) -> dict[str, Any]:
        """The identity that is stored in a checkpoint: that of the job, and the digests of the images."""
        return {**self.job.identity(), "images": [self.faces.digest, self.search.digest]}


def prepare(job: Job) -> Setup:
    """Return the setup of a job before the first step.

    Raises:
        InputError: the device, the teacher or a weights file is missing or does not fit.
        DataError: images are missing, or a list of the search split holds no face.
    """
    feed = prepare_feed(job)
    device = feed.device
    student, teacher, distiller = networks(job)
    place(student, device)
    if teacher is not None and distiller is not None:
        place(teacher, device)
        distiller.to(device)
    train_mode(student, job.train.frozen_stages)
    average_statistics(student)
    groups = [
        {**group, "params": [block(group["params"])]} for group in parameter_groups(student, distiller, job.train)
    ]
    return Setup(
        **{**vars(feed), "teacher": teacher},
        student=student,
        distiller=distiller,
        parameters=[whole for group in groups for whole in group["params"]],
        optimizer=torch.optim.AdamW(groups, lr=job.train.lr, fused=True),
        average=MovingAverage(student, job.train.ema) if job.train.ema else None,
    )


def prepare_feed(job: Job) -> Feed:
    """Return the images of a job, and no networks.

    Raises:
        InputError: there is no such device.
        DataError: images are missing, or a list of the search split holds no face.
    """
    device = resolve_device(job.device)
    torch.set_num_threads(job.threads)
    make_deterministic(device)
    faces, search = (load_split(job.data, split, job.cache) for split in ("train", "search"))
    empty = [name for name, mask in search.keep.items() if not mask.any()]
    if empty:
        raise DataError(
            f"{search.name} holds no face of the list '{empty[0]}', so it has no AP: use more search_images"
        )
    side = job.train.side(job.data.size)
    return Feed(
        job=job,
        device=device,
        faces=faces,
        search=search,
        steps=steps_per_epoch(faces, job.train.batch, job.train.large_crops),
        priors=make_priors(side, side).to(device),
        teacher=None,
    )


def networks(job: Job) -> tuple[Detector, Detector | None, Distiller | None]:
    """Return the initial student, the frozen teacher and the distiller; the last two are None without a teacher.

    Raises:
        InputError: the job uses distillation but has no teacher, or a weights file does not fit.
        DataError: a weights file is missing or unreadable.
    """
    student = build(job.arch)
    if job.initial is not None:
        load_weights(student, job.initial)
    else:
        initialise(student, job.seed)
        if job.init_backbone is not None:
            init_backbone(student, job.init_backbone)
    if job.distill is None or not job.uses_teacher:
        return student, None, None
    if job.teacher is None or job.teacher_arch is None:
        raise InputError(f"{job.label}: distillation needs a teacher's weights and architecture; give --teacher")
    teacher = build(job.teacher_arch)
    load_weights(teacher, job.teacher)
    freeze(teacher)
    distiller = Distiller(teacher, student, job.distill)
    initialise(distiller, job.seed)
    return student, teacher, distiller


def augmentation(config: TrainConfig) -> Augmentation:
    """Return the augmentation of a schedule. With ``ignore_unmatched``, samples keep faces down to one pixel."""
    usual = Augmentation(scales=CROPS[config.crops])
    return replace(usual, least=1.0) if config.ignore_unmatched else usual


def parameter_groups(student: Detector, distiller: Distiller | None, config: TrainConfig) -> list[dict[str, Any]]:
    """Return the optimizer's parameter groups, with ``factor`` (of the learning rate) and ``weight_decay``."""
    inside = {id(parameter) for parameter in student.backbone.parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in (*student.parameters(), *(distiller.parameters() if distiller is not None else ())):
        if parameter.requires_grad:
            factor = config.backbone_lr if id(parameter) in inside else 1.0
            groups.setdefault((factor, config.weight_decay * (parameter.ndim > 1)), []).append(parameter)
    return [{"params": found, "factor": key[0], "weight_decay": key[1]} for key, found in groups.items()]
