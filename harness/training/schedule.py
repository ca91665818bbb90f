"""Schedules over the steps: the learning rate, the moving average's decay, BatchNorm's running statistics."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from harness.core.protocol import TrainConfig


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """Return the learning rate at ``step`` (from 0) of ``steps``: linear warm-up to ``lr``, cosine decay to 0."""
    warmup = round(config.warmup * steps)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    return config.lr * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


def moving_average(decay: float) -> Callable[..., None]:
    """Return the update function of an exponential moving average of the weights, for ``AveragedModel``.

    The decay at step n is at most (1 + n) / (10 + n), as in TensorFlow's ``ExponentialMovingAverage``, so that the
    initial weights soon lose their influence.
    """

    @torch.no_grad()
    def update(averaged: list[Tensor], current: list[Tensor], steps: Tensor) -> None:
        past = int(steps)
        torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + past) / (10 + past)))

    return update


def average_statistics(network: nn.Module) -> None:
    """Make BatchNorm's running statistics the plain mean, not a moving one, since the last ``reset_statistics``."""
    for norm in _norms(network):
        norm.momentum = None


def reset_statistics(network: nn.Module) -> None:
    """Reset BatchNorm's running statistics; called in the middle of each epoch.

    With the released detectors' momentum of 0.01, the initial statistics keep their influence for hundreds of steps, so
    that after a short schedule a trained network has the AP of an untrained one. The plain mean over the second half of
    an epoch costs nothing and is stable ("precise BN": Wu and Johnson, "Rethinking 'Batch' in BatchNorm", arXiv
    2105.07576, section 3; there with fixed weights).
    """
    for norm in _norms(network):
        norm.reset_running_stats()


def _norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
