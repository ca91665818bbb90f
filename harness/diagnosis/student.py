"""Diagnosis of one student and its teacher: gradients at start and end of training, and errors by prior."""

from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import islice
from typing import Any

import torch
from torch import nn

from harness.core.training import DistillConfig
from harness.data import load_split
from harness.data.batches import batches, steps_per_epoch
from harness.detection.boxes import make_priors
from harness.detection.losses import multibox_loss
from harness.diagnosis.gradients import GradientMeter, term_gradients, term_weights
from harness.diagnosis.prior_errors import PriorErrors
from harness.errors import DataError, InputError
from harness.models.archive import load_archive
from harness.models.builder import build
from harness.models.detector import Detector
from harness.models.device import place, resolve_device
from harness.models.fold import freeze
from harness.models.weights import load_weights
from harness.training.checkpoint import CHECKPOINT
from harness.training.distill import Distiller
from harness.training.job import WEIGHTS, Job
from harness.training.setup import augmentation, networks

SEED, EPOCH = 0, 0
"""Seed and epoch of the batches. Training counts epochs from 1, so no network was trained on these crops."""

NO_ADAPTERS = "`{}`, end: the feature term is left out, because the adapters of the kept weights were not saved."


def begin(job: Job) -> tuple[Detector, Detector, Distiller]:
    """Return student, frozen teacher and adapters on the CPU, as training has them before the first step of ``job``.

    A student that is trained without a teacher gets one for comparison.

    Raises:
        InputError: the job has no teacher, or weights do not fit.
        DataError: a weights file is missing or unreadable.
    """
    if job.teacher is None or job.teacher_arch is None or job.distill is None:
        raise InputError(f"{job.label}: a diagnosis needs a teacher's weights and architecture")
    student, teacher, distiller = networks(job)
    if teacher is None or distiller is None:
        teacher = build(job.teacher_arch)
        load_weights(teacher, job.teacher)
        freeze(teacher)
        distiller = Distiller(teacher, student, job.distill)
    return student, teacher, distiller


def diagnose(job: Job, count: int, *, start: bool, on_batch: Callable[[int, int], None]) -> dict[str, Any]:
    """Measure a trained student over ``count`` batches, or over one epoch where that has fewer.

    Args:
        job: how the student was trained, with its weights in the folder. ``distill`` must be given: where the student
            had no teacher, with neither α nor λ, so that T and the threshold still apply to the teacher's errors.
        count: number of batches.
        start: whether ``job.init_backbone`` is known to be the backbone that the student started from; if not, only the
            end of training is measured.
        on_batch: called with the number of batches done and the total.

    Returns:
        Plain data: ``distill``, ``weights`` (term → factor in the loss), ``batches``, ``images``, ``start`` (None
        if it is not known) and ``end`` as ``GradientMeter.result``, ``teacher`` and ``student`` as
        ``PriorErrors.result``, ``notes``.

    Raises:
        InputError: the job has no teacher, weights do not fit, or there is no such device.
        DataError: weights, images or the checkpoint are missing or broken.
    """
    device = resolve_device(job.device)
    fresh, teacher, distiller = begin(job)
    config = distiller.config
    trained = build(job.arch)
    load_weights(trained, job.folder / WEIGHTS)
    last = _last(job, teacher, trained, config)
    moments = ({"start": (fresh, distiller)} if start else {}) | {"end": (trained, last)}
    place(teacher, device)
    for network, terms in moments.values():
        place(network, device)
        terms.to(device)
    meters = {name: GradientMeter(network) for name, (network, _) in moments.items()}
    errors = {"teacher": PriorErrors(config), "student": PriorErrors(config)}
    for module in trained.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0  # Forward passes in train mode must not change the running statistics.

    faces, side, images = load_split(job.data, "train", job.cache), job.train.side(job.data.size), 0
    batch, large = job.train.batch, job.train.large_crops
    priors, total = make_priors(side, side).to(device), min(count, steps_per_epoch(faces, batch, large))
    drawn = batches(faces, job.data.size, batch, SEED, EPOCH, augmentation(job.train), large=large)
    for done, shown in enumerate(islice(drawn, total), start=1):
        shown = shown._replace(images=shown.images.to(device), targets=shown.targets.to(device))
        with torch.no_grad():
            outputs = {"teacher": teacher.raw(shown.images), "student": trained.eval().raw(shown.images)}
            truth = multibox_loss(outputs["student"], shown.targets, priors, job.train)
            confident = outputs["teacher"].classes.softmax(-1)[..., 1] > config.score_threshold
            for name, output in outputs.items():
                errors[name].add(output, shown.targets, priors, (truth.mined | confident) & ~truth.positive)
        for name, (network, terms) in moments.items():
            gradients = term_gradients(network.train(), outputs["teacher"], shown, priors, job.train, terms)
            meters[name].add(gradients)
        images += len(shown.images)
        on_batch(done, total)
    return {
        "distill": asdict(config),
        "weights": term_weights(job.train, config),
        "batches": total,
        "images": images,
        "start": None,
        **{name: meter.result() for name, meter in (meters | errors).items()},
        "notes": [] if last.config == config else [NO_ADAPTERS.format(job.label)],
    }


def _last(job: Job, teacher: Detector, student: Detector, config: DistillConfig) -> Distiller:
    """Return the distiller of a finished training, without the feature term if the adapters are not known.

    The adapters are only in the checkpoint, as of the last step. They do not fit weights of another step or an average.
    """
    distiller = Distiller(teacher, student, config)
    path = job.folder / CHECKPOINT
    if not distiller.adapters:
        return distiller
    if job.train.ema or job.train.patience or not path.exists():
        return Distiller(teacher, student, replace(config, feature_weight=0.0))
    try:
        distiller.load_state_dict(load_archive(path, "checkpoint")["adapters"])
    except (DataError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is not a readable checkpoint of this training; delete it to diagnose without the feature term"
        ) from error
    return distiller
