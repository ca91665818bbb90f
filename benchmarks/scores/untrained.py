"""``Untrained``: zero-cost proxies of candidates as their training would start them, all on one batch."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from benchmarks.scores.proxies import fisher, gradient_norm, naswot, synflow
from harness.core.arch import ArchConfig
from harness.data import load_split
from harness.models.detector import Detector, RawOutput
from harness.models.device import place
from harness.training.job import Job
from harness.training.loop import loss_terms
from harness.training.schedule import train_mode
from harness.training.setup import networks, prepare_feed

BATCH = 64
"""Images of the batch, or crops where a batch has mosaics; fewer if there are fewer training images."""


class Untrained:
    """Computes proxies of one candidate after the other, in float32.

    All candidates have the same random numbers where their layers agree, and the teacher's backbone. The batch is the
    first one of a training with batches of ``BATCH``; the loss is that of training, imitation included.

    Args:
        job: the full training of any candidate.

    Raises:
        InputError, DataError: images or weights are missing or do not fit.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        there = len(load_split(job.data, "train", job.cache))
        batch = max(job.train.batch, min(BATCH, there - there % 4))  # No image twice, and whole mosaics.
        feed = prepare_feed(replace(job, train=replace(job.train, batch=batch)))
        self._feed = feed
        self._images, self._targets = next(iter(feed.batches(1)))
        _, teacher, _ = networks(job)
        self._taught: RawOutput | None = None
        if teacher is not None:
            place(teacher, feed.device)
            with torch.no_grad():
                self._taught = teacher.raw(self._images)
        self._proxies: Mapping[str, Callable[[ArchConfig], float]] = {
            "synflow": self._synflow,
            "gradient_norm": lambda arch: gradient_norm(*self._with_loss(arch)),
            "fisher": lambda arch: fisher(*self._with_loss(arch)),
            "naswot": self._naswot,
        }

    @property
    def images(self) -> int:
        """Number of images of the batch."""
        return len(self._images)

    def score(self, name: str, arch: ArchConfig) -> float:
        """Return the proxy called ``name`` of an architecture. It may be infinite."""
        return self._proxies[name](arch)

    def _with_loss(self, arch: ArchConfig) -> tuple[Detector, Callable[[], Tensor]]:
        """Return a candidate and the loss of the batch."""
        student, _, distiller = networks(replace(self._job, arch=arch))
        self._start(student)
        config = self._job.train

        def loss() -> Tensor:
            output = student.raw(self._images)
            return loss_terms(self._feed, config, output, self._targets, self._taught, distiller)[0]

        return student, loss

    def _start(self, student: Detector) -> None:
        place(student, self._feed.device)
        train_mode(student, self._job.train.frozen_stages)

    def _naswot(self, arch: ArchConfig) -> float:
        student, _, _ = networks(replace(self._job, arch=arch, distill=None))
        self._start(student)
        with torch.no_grad():
            return naswot(lambda: student.raw(self._images))

    def _synflow(self, arch: ArchConfig) -> float:
        student, _, _ = networks(replace(self._job, arch=arch, distill=None))
        side = self._images.shape[-1]

        def respond(network: nn.Module) -> Tensor:
            assert isinstance(network, Detector), "a copy of the student"
            boxes, classes, landmarks, _ = network.raw(torch.ones(1, 3, side, side, dtype=torch.float64))
            return boxes.sum() + classes.sum() + landmarks.sum()

        return synflow(student, respond)
