"""``train``: trains one network and returns its AP.

A checkpoint is written to the job's folder after every epoch, within one every few minutes, and on SIGTERM, which then
ends the process within a step. The same job in the same folder resumes from it and ends with bitwise the same weights
as an uninterrupted run, on the same machine and device and with the same number of threads.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from harness.core.preemption import Notice
from harness.core.training import TrainConfig
from harness.detection.losses import multibox_loss
from harness.detection.matching import Targets
from harness.errors import NonFiniteLossError
from harness.models.detector import RawOutput
from harness.models.device import on_accelerator
from harness.models.weights import save_weights, state_digest
from harness.training.checkpoint import forget_earlier, load_checkpoint, save_checkpoint
from harness.training.distill import Distiller
from harness.training.grade import grade, search_ap
from harness.training.job import WEIGHTS, Job, TrainResult
from harness.training.partway import Partway
from harness.training.schedule import learning_rate, reset_statistics, train_mode
from harness.training.setup import Feed, Setup, prepare
from harness.training.shown import shown

_UNREAD = 50
"""On an accelerator, losses are checked every so many steps; on the CPU, every loss is checked before its gradient."""

OnEpoch = Callable[[dict[str, Any]], bool]
OnBatch = Callable[[int, int], None]


def train(job: Job, on_epoch: OnEpoch, on_batch: OnBatch | None = None) -> TrainResult:
    """Train a network, evaluate it on the search split after every epoch, and write ``weights.safetensors``.

    Args:
        job: the training. With ``grade``, the validation images are read once, at the end.
        on_epoch: called after every epoch with a dict of ``epoch`` (from 1), ``losses`` (term → mean), ``ap`` on the
            search split (empty if the schedule skips the evaluation), ``lr`` (of the last step), ``gradient_norm``
            (mean before clipping), ``clipped`` (share of the steps), ``seconds`` (training) and ``evaluate_seconds``.
            It returns False to stop the training. For a resumed job, it is first called with the epochs of the
            checkpoint, so that the caller sees the same sequence.
        on_batch: called after every step with the number of steps done and the total number of steps.

    Returns:
        The result. A training that ``on_epoch`` stopped writes no weights.

    Raises:
        InputError: the job cannot be run as given.
        DataError: images are missing or broken.
        NonFiniteLossError: training diverged; the message gives every loss term.
        OSError: the disk is full or not writable.
    """
    setup = prepare(job)
    taught_by = None if setup.teacher is None else state_digest(setup.teacher)
    load_checkpoint(setup)
    for epoch in range(1, job.train.epochs + 1):
        if epoch > len(setup.history) or "ap" not in setup.history[epoch - 1]:
            with Notice(lambda: save_checkpoint(setup)) as notice:
                _run_epoch(setup, epoch, on_batch, notice)
        past = setup.history[:epoch]
        if not on_epoch(dict(past[-1])):
            forget_earlier(job.folder)
            return TrainResult("pruned", past[-1]["ap"], past, seconds=_seconds(past))
        if job.train.patience and epoch - best_epoch(past) >= job.train.patience:
            break
    if setup.teacher is not None and state_digest(setup.teacher) != taught_by:
        raise RuntimeError(f"{job.label}: the teacher's weights changed during training")
    return _finish(setup)


def _run_epoch(setup: Setup, epoch: int, on_batch: OnBatch | None, notice: Notice) -> None:
    """Do what an epoch still lacks: train it, evaluate it if the schedule says so, and write a checkpoint."""
    job = setup.job
    if epoch > len(setup.history):
        losses, rates = train_epoch(setup, epoch, on_batch, notice)
        setup.history.append({"epoch": epoch, "losses": losses} | rates)
    started = time.perf_counter()
    with notice.at_once():
        ap = search_ap(job, setup.network) if job.train.evaluates(epoch) else {}
    setup.history[-1] |= {"ap": ap, "evaluate_seconds": time.perf_counter() - started}
    if job.train.patience and best_epoch(setup.history) == epoch:
        setup.best = {name: value.detach().clone() for name, value in setup.network.state_dict().items()}
    save_checkpoint(setup)


def train_epoch(
    setup: Setup, epoch: int, on_batch: OnBatch | None, notice: Notice | None = None
) -> tuple[dict[str, float], dict[str, float]]:
    """Train one epoch from the step that ``setup.partway`` has reached.

    Args:
        setup: the training.
        epoch: from 1.
        on_batch: as for ``train``.
        notice: writes checkpoints within the epoch, and on SIGTERM; None writes none.

    Returns:
        The mean of every loss term; and ``lr``, ``gradient_norm``, ``clipped`` and ``seconds``.
    """
    config, steps = setup.job.train, setup.job.train.epochs * setup.steps
    done, said = setup.partway, f"{setup.job.label}: the loss is not finite in epoch {epoch}"
    unread: list[tuple[int, dict[str, Tensor]]] = []
    lr = 0.0
    train_mode(setup.student, config.frozen_stages)
    for index, (images, targets, taught) in enumerate(shown(setup, epoch, done.steps), done.steps):
        if index == setup.steps // 2:
            reset_statistics(setup.student)
        step = (epoch - 1) * setup.steps + index
        lr = learning_rate(config, step, steps)
        for group in setup.optimizer.param_groups:
            group["lr"] = lr * group["factor"]

        with setup.autocast():
            output = setup.student.raw(images)
            total, losses = loss_terms(setup, config, output, targets, taught, setup.distiller)
        unread.append((step, losses))
        last = index == setup.steps - 1
        if not on_accelerator(total) or len(unread) == _UNREAD or last:
            require_finite(unread, said)
            unread.clear()

        setup.optimizer.zero_grad(set_to_none=False)  # The gradients are views of blocks.
        torch.autograd.backward(total)
        norm = nn.utils.clip_grad_norm_(setup.parameters, config.clip)
        setup.optimizer.step()
        if setup.average is not None:
            setup.average.update()

        done.add(losses, norm)
        if on_batch is not None:
            on_batch(step + 1, steps)
        if notice is not None and not last and (notice.given or done.due):
            if unread:
                require_finite(unread, said)
                unread.clear()
            save_checkpoint(setup)
            if notice.given:
                notice.leave()
    setup.partway = Partway()
    return done.losses(), {"lr": lr, **done.rates(config.clip)}


def loss_terms(
    feed: Feed,
    config: TrainConfig,
    output: RawOutput,
    targets: Targets,
    taught: RawOutput | None,
    distiller: Distiller | None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of a network's output for a batch, and every term, the loss itself as ``total``."""
    truth = multibox_loss(output, targets, feed.priors, config)
    total, losses = truth.total, dict(truth.terms)
    if distiller is not None and taught is not None:
        total, imitation = distiller.loss(output, taught, truth)
        losses |= imitation
    losses["total"] = total
    return total, losses


def require_finite(unread: list[tuple[int, dict[str, Tensor]]], message: str) -> None:
    """Check the total losses of some steps, which waits for the device; raise an error for the first one not finite."""
    totals = torch.stack([losses["total"].detach() for _, losses in unread])
    for (step, losses), finite in zip(unread, totals.isfinite().tolist(), strict=True):
        if not finite:
            terms = ", ".join(f"{name} {value.item():.4g}" for name, value in losses.items())
            raise NonFiniteLossError(f"{message}, step {step}: {terms}")


def best_epoch(history: list[dict[str, Any]]) -> int:
    """Return the epoch (from 1) with the highest mean AP on the search split; among equal ones, the first."""
    means = [info["ap"]["mean"] for info in history]
    return 1 + means.index(max(means))


def _finish(setup: Setup) -> TrainResult:
    """Save the final weights, and evaluate them on the validation images if the job has ``grade``."""
    job, history = setup.job, setup.history
    kept = history[best_epoch(history) - 1] if setup.best else history[-1]
    if setup.best:
        setup.network.load_state_dict(setup.best)
    save_weights(setup.network, job.folder / WEIGHTS)
    forget_earlier(job.folder)
    result = TrainResult("complete", kept["ap"], history, seconds=_seconds(history))
    if not job.grade:
        return result
    started = time.perf_counter()
    graded = grade(job, setup.network)
    seconds = result.seconds | {"evaluate": result.seconds["evaluate"] + time.perf_counter() - started}
    return replace(result, ap=graded.ap, curves=graded.curves, landmark=graded.landmark, seconds=seconds)


def _seconds(history: list[dict[str, Any]]) -> dict[str, float]:
    return {
        "train": sum(info["seconds"] for info in history),
        "evaluate": sum(info["evaluate_seconds"] for info in history),
    }
