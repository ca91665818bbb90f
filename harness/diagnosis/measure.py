"""A student beside its teacher over training batches: gradients at the start and the end of training, and answers."""

from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import islice
from typing import Any

import torch
from torch import nn

from harness.core.protocol import DistillConfig
from harness.data import load_split
from harness.data.batches import batches, steps_per_epoch
from harness.detection.boxes import make_priors
from harness.detection.losses import multibox_loss
from harness.diagnosis.answers import AnswerMeter
from harness.diagnosis.gradients import GradientMeter, term_gradients, term_weights
from harness.errors import DataError, InputError
from harness.models.builder import build
from harness.models.detector import Detector
from harness.models.fold import freeze
from harness.models.weights import init_backbone, load_weights
from harness.training.distill import Distiller
from harness.training.checkpoint import CHECKPOINT
from harness.training.job import WEIGHTS, Job

SEED, EPOCH = 0, 0
"""Of the batches. Training has no epoch 0: these crops are new to every student and to its teacher."""

NO_ADAPTERS = "`{}`, end: without the feature term, because the adapters of the kept weights are gone."


def begin(job: Job) -> tuple[Detector, Detector, Distiller]:
    """Return student, frozen teacher and adapters as ``engine.train`` has them before the first step of ``job``.

    Raises:
        InputError: the job has no teacher, or weights do not fit.
        DataError: a weights file is missing or unreadable.
    """
    if job.teacher is None or job.teacher_arch is None or job.distill is None:
        raise InputError(f"{job.label}: a diagnosis needs a teacher's weights and architecture")
    torch.manual_seed(job.seed)
    student = build(job.arch)
    if job.init_backbone is not None:
        init_backbone(student, job.init_backbone)
    teacher = build(job.teacher_arch)
    load_weights(teacher, job.teacher)
    freeze(teacher)
    return student, teacher, Distiller(teacher, student, job.distill)


def diagnose(job: Job, count: int, *, start: bool, on_batch: Callable[[int, int], None]) -> dict[str, Any]:
    """Measure a trained student over ``count`` batches, or over one epoch where that has fewer.

    Args:
        job: how the student was trained, its weights in the folder. ``distill`` is given, with neither α nor λ where
            it had no teacher: T and the threshold are then what the teacher is looked at with.
        count: batches.
        start: whether ``job.init_backbone`` is known to be where the student began; else only the end is measured.
        on_batch: called with the batches done and the batches in all.

    Returns:
        Plain data: ``distill``, ``weights`` (term → factor in the loss), ``batches``, ``images``, ``start`` (None
        where it is not known) and ``end`` as ``GradientMeter.result``, ``teacher`` and ``student`` as
        ``AnswerMeter.result``, ``notes``.

    Raises:
        InputError: the job has no teacher, or weights do not fit.
        DataError: weights, images or the checkpoint are missing or broken.
    """
    fresh, teacher, distiller = begin(job)
    config = distiller.config
    trained = build(job.arch)
    load_weights(trained, job.folder / WEIGHTS)
    last = _last(job, teacher, trained, config)
    networks = ({"start": (fresh, distiller)} if start else {}) | {"end": (trained, last)}
    meters = {name: GradientMeter(network) for name, (network, _) in networks.items()}
    answers = {"teacher": AnswerMeter(config), "student": AnswerMeter(config)}
    for module in trained.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0  # Forward passes in train mode leave what eval mode answers with.

    faces, size, images = load_split(job.data, "train", job.cache), job.data.size, 0
    priors, total = make_priors(size, size), min(count, steps_per_epoch(faces, job.train.batch))
    for done, batch in enumerate(islice(batches(faces, size, job.train.batch, SEED, EPOCH), total), start=1):
        with torch.no_grad():
            outputs = {"teacher": teacher.raw(batch.images), "student": trained.eval().raw(batch.images)}
            truth = multibox_loss(outputs["student"], batch.targets, priors, job.train)
            confident = outputs["teacher"].classes.softmax(-1)[..., 1] > config.score_threshold
            for name, output in outputs.items():
                answers[name].add(output, batch.targets, priors, (truth.mined | confident) & ~truth.positive)
        for name, (network, terms) in networks.items():
            gradients = term_gradients(network.train(), outputs["teacher"], batch, priors, job.train, terms)
            meters[name].add(gradients)
        images += len(batch.images)
        on_batch(done, total)
    return {
        "distill": asdict(config),
        "weights": term_weights(job.train, config),
        "batches": total,
        "images": images,
        "start": None,
        **{name: meter.result() for name, meter in (meters | answers).items()},
        "notes": [] if last.config == config else [NO_ADAPTERS.format(job.label)],
    }


def _last(job: Job, teacher: Detector, student: Detector, config: DistillConfig) -> Distiller:
    """Return the distiller of a finished training; its checkpoint alone has the adapters, those of the last step."""
    distiller = Distiller(teacher, student, config)
    path = job.folder / CHECKPOINT
    if not distiller.adapters:
        return distiller
    if job.train.ema or job.train.patience or not path.exists():
        return Distiller(teacher, student, replace(config, feature_weight=0.0))
    try:
        distiller.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["adapters"])
    except (RuntimeError, EOFError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path} is not a readable checkpoint ({error}); delete it to go without its term") from error
    return distiller
