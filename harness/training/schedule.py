"""Schedules over the steps: the learning rate, the moving average's decay, BatchNorm's running statistics."""

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from harness.core.training import TrainConfig
from harness.errors import InputError
from harness.models.detector import Detector


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """Return the learning rate at ``step`` (from 0) of ``steps``: linear warm-up to ``lr``, cosine decay to 0."""
    warmup = round(config.warmup * steps)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    return config.lr * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


class MovingAverage:
    """An exponential moving average of a network's parameters, held by a copy of the network.

    The decay at step n is at most (1 + n) / (10 + n), as in TensorFlow's ``ExponentialMovingAverage``, so that the
    initial weights soon lose their influence. PyTorch's ``AveragedModel`` counts its steps on the device, and
    reading that count waits for the device in every step.

    Args:
        network: the network to average. The average starts as its copy, and shares its buffers.
        decay: per step, in [0, 1).
    """

    def __init__(self, network: Detector, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        for mine, theirs in zip(self.network.modules(), network.modules(), strict=True):
            for name, buffer in theirs.named_buffers(recurse=False):
                setattr(mine, name, buffer)
        self._mine: list[Tensor] = list(self.network.parameters())
        self._theirs: list[Tensor] = list(network.parameters())
        self.decay = decay
        self.steps = 0

    @torch.no_grad()
    def update(self) -> None:
        """Update the average with the network's parameters after a step."""
        weight = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps)) if self.steps else 1.0
        torch._foreach_lerp_(self._mine, self._theirs, weight)
        self.steps += 1

    def state_dict(self) -> dict[str, Any]:
        """Return the averaged network and the number of steps."""
        return {"network": self.network.state_dict(), "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state that ``state_dict`` returned."""
        self.network.load_state_dict(state["network"])
        self.steps = state["steps"]


def average_statistics(network: nn.Module) -> None:
    """Make BatchNorm's running statistics the plain mean, not a moving one, since the last ``reset_statistics``.

    The mean needs the number of batches. It is kept in the host's memory, so that no forward pass waits for the device.
    """
    for norm in _norms(network):
        norm.momentum = None
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked = norm.num_batches_tracked.cpu()


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
    """Return the BatchNorms that are trained; those of frozen stages are in eval mode."""
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d) and module.training]


def train_mode(student: Detector, frozen_stages: int) -> None:
    """Put a detector into train mode; the first stages of its backbone stay in eval mode, without gradients.

    Raises:
        InputError: the backbone has no such stage.
    """
    student.train()
    for number in range(1, frozen_stages + 1):
        stage = getattr(student.backbone, f"stage{number}", None)
        if stage is None:
            raise InputError(f"frozen_stages is {frozen_stages}, and the backbone has no stage{number}; give 0")
        stage.requires_grad_(False).eval()
