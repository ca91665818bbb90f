"""``train_shared``: trains one set of weights for all networks of a space, for one-shot search.

Every step samples networks that fit the budget and trains their slices on the same batch (Guo et al., "Single Path
One-Shot", arXiv 1904.00420). Networks with the same backbone share its forward and backward pass, which is half of a
step's work.

Two things differ from that paper, because hundreds of steps must do instead of hundreds of epochs:

- Networks are not drawn uniformly, so that rare values are trained as often as common ones (``balanced``).
- The maps between neck and heads imitate the teacher's (``imitation``).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from harness.core.arch import ArchConfig, Part
from harness.core.budget import Budget
from harness.core.files import write_atomically
from harness.core.preemption import Notice
from harness.core.space import SearchSpace
from harness.core.training import SharingConfig
from harness.detection.losses import multibox_loss
from harness.detection.matching import Targets
from harness.errors import DataError, InputError
from harness.models.builder import build
from harness.models.detector import Detector, RawOutput
from harness.models.device import place
from harness.models.fold import freeze
from harness.models.initial import initialise
from harness.models.modules.part import Features
from harness.models.shared import SharedPart, SharedWeights, run
from harness.models.weights import init_backbone, load_weights, read_tensors
from harness.training.balanced import Balanced
from harness.training.checkpoint import forget_earlier, read_checkpoint, write_checkpoint
from harness.training.distill import Distiller
from harness.training.imitation import BETWEEN, Imitation, widest_neck
from harness.training.job import WEIGHTS, Job
from harness.training.loop import OnBatch, OnEpoch, require_finite
from harness.training.partway import Partway
from harness.training.schedule import learning_rate
from harness.training.setup import Feed, prepare_feed
from harness.training.shown import shown


@dataclass(frozen=True)
class SharedJob:
    """Everything that one training of shared weights needs, as plain data.

    Attributes:
        job: the schedule, the images, the teacher and the folder; its architecture is the space's base.
        space: the networks.
        budget: what they fit.
        config: how they share.
    """

    job: Job
    space: SearchSpace
    budget: Budget
    config: SharingConfig

    def identity(self) -> dict[str, Any]:
        """Return everything that decides the result, as plain data."""
        own = {"space": self.space.digest(), "budget": asdict(self.budget), "sharing": asdict(self.config)}
        return {**self.job.identity(), **own}


@dataclass
class SharedSetup:
    """A shared training, ready for its first step."""

    shared: SharedJob
    feed: Feed
    weights: SharedWeights
    teacher: Detector
    distiller: Distiller
    imitation: Imitation
    sampler: Balanced
    optimizer: torch.optim.Optimizer
    history: list[dict[str, Any]] = field(default_factory=list)
    partway: Partway = field(default_factory=Partway)

    @property
    def trained(self) -> dict[str, Tensor]:
        """Everything that is trained, by name."""
        adapters = {f"imitation.{name}": value for name, value in self.imitation.named_parameters()}
        return {**self.weights.tensors, **adapters}

    @property
    def identity(self) -> dict[str, Any]:
        """The identity that is stored in a checkpoint."""
        return {**self.shared.identity(), "images": [self.feed.faces.digest, self.feed.search.digest]}


def train_shared(shared: SharedJob, on_epoch: OnEpoch, on_batch: OnBatch | None = None) -> list[dict[str, Any]]:
    """Train the shared weights, write them to the job's folder, and return one dict per epoch.

    Checkpoints are written as by ``train``; the same job in the same folder resumes from them.

    Args:
        shared: the training.
        on_epoch: called after every epoch with a dict of ``epoch`` (from 1), ``losses`` (term → mean over networks and
            steps), ``ap`` (empty), ``lr``, ``gradient_norm``, ``clipped``, ``seconds`` and ``evaluate_seconds`` (0).
            Its answer is ignored.
        on_batch: called after every step with the number of steps done and the total number of steps.

    Raises:
        InputError: the job cannot be run as given.
        DataError: images or weights are missing or broken.
        NonFiniteLossError: training diverged.
        OSError: the disk is full or not writable.
    """
    setup = prepare_shared(shared)
    _load(setup)
    for epoch in range(1, shared.job.train.epochs + 1):
        if epoch > len(setup.history):
            with Notice(lambda: _save(setup)) as notice:
                losses, rates = train_shared_epoch(setup, epoch, on_batch, notice)
                setup.history.append({"epoch": epoch, "losses": losses, "ap": {}} | rates | {"evaluate_seconds": 0.0})
                _save(setup)
        on_epoch(dict(setup.history[epoch - 1]))
    content = {name: value.detach().contiguous() for name, value in setup.weights.tensors.items()}
    write_atomically(shared.job.folder / WEIGHTS, safetensors.torch.save(content))
    forget_earlier(shared.job.folder)
    return setup.history


def load_shared(space: SearchSpace, path: Path) -> SharedWeights:
    """Return the shared weights of a space from a file that ``train_shared`` wrote.

    Raises:
        DataError: the file is missing or unreadable, or belongs to another space.
    """
    weights = SharedWeights(space)
    stored = read_tensors(path)
    if {n: v.shape for n, v in stored.items()} != {n: v.shape for n, v in weights.tensors.items()}:
        raise DataError(f"{path} does not hold the shared weights of the space {space.name}")
    with torch.no_grad():
        for name, value in stored.items():
            weights.tensors[name].copy_(value)
    return weights


def prepare_shared(shared: SharedJob) -> SharedSetup:
    """Return the weights, the teacher and the images of a shared training before the first step.

    Raises:
        InputError, DataError: as ``train_shared``.
    """
    job = shared.job
    feed = prepare_feed(job)
    if job.distill is None or job.teacher is None or job.teacher_arch is None:
        raise InputError(f"{job.label}: shared weights imitate a teacher; give its weights and its architecture")
    teacher = build(job.teacher_arch)
    load_weights(teacher, job.teacher)
    freeze(teacher)
    place(teacher, feed.device)
    weights = _fresh(shared)
    imitation = Imitation(widest_neck(shared.space), teacher.feature_channels)
    initialise(imitation, job.seed)
    trained = {**weights.tensors, **{f"imitation.{name}": value for name, value in imitation.named_parameters()}}
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, tensor in trained.items():
        factor = job.train.backbone_lr if name.startswith("backbone.") else 1.0
        groups.setdefault((factor, job.train.weight_decay * (tensor.ndim > 1)), []).append(tensor)
    return SharedSetup(
        shared=shared,
        feed=feed,
        weights=weights,
        teacher=teacher,
        distiller=Distiller(teacher, teacher, replace(job.distill, feature_weight=0.0)),
        imitation=imitation,
        sampler=Balanced(shared.space, shared.budget),
        # Parts that a step does not sample have no gradient, and are left as they are.
        optimizer=torch.optim.AdamW(
            [{"params": found, "factor": key[0], "weight_decay": key[1]} for key, found in groups.items()],
            lr=job.train.lr,
            fused=True,
        ),
    )


def _fresh(shared: SharedJob) -> SharedWeights:
    """Return new shared weights, with the backbone that the job starts from."""
    job = shared.job
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(job.seed)
        weights = SharedWeights(shared.space)
        start = build(job.arch)
    if job.init_backbone is not None:
        init_backbone(start, job.init_backbone)
        weights.put(job.arch, "backbone", dict(start.backbone.named_parameters()))
    return weights


def train_shared_epoch(
    setup: SharedSetup, epoch: int, on_batch: OnBatch | None, notice: Notice | None = None
) -> tuple[dict[str, float], dict[str, float]]:
    """Train one epoch, as ``train_epoch`` does."""
    job, feed = setup.shared.job, setup.feed
    total_steps = job.train.epochs * feed.steps
    trained = list(setup.trained.values())
    done, lr = setup.partway, 0.0
    for index, (images, targets, _) in enumerate(shown(feed, epoch, done.steps), done.steps):
        step = (epoch - 1) * feed.steps + index
        lr = learning_rate(job.train, step, total_steps)
        for group in setup.optimizer.param_groups:
            group["lr"] = lr * group["factor"]
        rng = np.random.default_rng((job.seed, step))
        networks = setup.sampler.draw(rng, setup.shared.config.candidates)

        setup.optimizer.zero_grad(set_to_none=True)
        losses = backward(setup, networks, images, targets)
        require_finite([(step, losses)], f"{job.label}: the loss is not finite in epoch {epoch}")
        norm = nn.utils.clip_grad_norm_(trained, job.train.clip)
        setup.optimizer.step()

        done.add(losses, norm)
        if on_batch is not None:
            on_batch(step + 1, total_steps)
        if notice is not None and index < feed.steps - 1 and (notice.given or done.due):
            _save(setup)
            if notice.given:
                notice.leave()
    setup.partway = Partway()
    return done.losses(), {"lr": lr, **done.rates(job.train.clip)}


def backward(setup: SharedSetup, networks: list[ArchConfig], images: Tensor, targets: Targets) -> dict[str, Tensor]:
    """Add the gradients of the networks' mean loss on a batch, and return the mean of every loss term."""
    sums: dict[str, Tensor] = {}
    with torch.no_grad(), setup.feed.autocast():
        taught, theirs = _answer(setup.teacher, images)
    for found in _by_backbone(networks):
        parts = [setup.weights.parts(network) for network in found]
        with setup.feed.autocast():
            maps: Features = parts[0]["backbone"](images)
        p3, p4, p5 = (image.detach().requires_grad_() for image in maps)
        for network in parts:
            with setup.feed.autocast():
                output, between = _run(network, (p3, p4, p5))
                truth = multibox_loss(output, targets, setup.feed.priors, setup.shared.job.train)
                loss, terms = setup.distiller.loss(output, taught, truth)
                terms |= truth.terms | {"maps": setup.imitation.loss(between, theirs)}
                loss = loss + setup.shared.config.imitation * terms["maps"]
            torch.autograd.backward(loss / len(networks))
            for name, value in (terms | {"total": loss}).items():
                sums[name] = sums.get(name, torch.zeros(())) + value.detach() / len(networks)
        if any(tensor.requires_grad for tensor in maps):
            torch.autograd.backward(list(maps), [image.grad for image in (p3, p4, p5)])
    return sums


def _by_backbone(networks: list[ArchConfig]) -> list[list[ArchConfig]]:
    found: dict[Part, list[ArchConfig]] = {}
    for network in networks:
        found.setdefault(network.backbone, []).append(network)
    return list(found.values())


def _run(parts: Mapping[str, SharedPart | nn.Module], maps: Features) -> tuple[RawOutput, dict[str, Features]]:
    """Return a network's output for the backbone's maps, and slot → the maps after its part."""
    between, (boxes, classes, landmarks) = run(parts, maps)
    return RawOutput(boxes, classes, landmarks, between[BETWEEN[-1]]), between


def _answer(teacher: Detector, images: Tensor) -> tuple[RawOutput, dict[str, Features]]:
    """Return the teacher's output, and slot → its maps in float32."""
    output, between = _run(dict(teacher.named_children()), teacher.backbone(images))
    for slot, features in between.items():
        p3, p4, p5 = (image.float() for image in features)
        between[slot] = p3, p4, p5
    return output, between


def _save(setup: SharedSetup) -> None:
    state = {
        "identity": setup.identity,
        "history": setup.history,
        "trained": {name: value.detach() for name, value in setup.trained.items()},
        "optimizer": setup.optimizer.state_dict(),
        "partway": setup.partway.state_dict(),
    }
    write_checkpoint(setup.shared.job.folder, state)


def _load(setup: SharedSetup) -> None:
    """Restore the state from the folder's checkpoint, if there is one."""
    state = read_checkpoint(setup.shared.job.folder, setup.identity, setup.feed.device)
    if state is None:
        return
    with torch.no_grad():
        for name, value in setup.trained.items():
            value.copy_(state["trained"][name])
    setup.optimizer.load_state_dict(state["optimizer"])
    setup.history = state["history"]
    setup.partway.load_state_dict(state.get("partway", {}))
