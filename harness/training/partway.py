"""``Partway``: how far an epoch has got, kept in checkpoints, so that a training goes on in the middle of an epoch."""

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

EVERY = 300.0
"""Seconds between two checkpoints of an epoch."""


class Partway:
    """Sums over the steps of an epoch that are done.

    Attributes:
        steps: their number.
    """

    def __init__(self) -> None:
        self.steps = 0
        self._sums: dict[str, Tensor] = {}
        self._norms: list[Tensor] = []
        self._earlier = 0.0
        self._begun = self._saved = time.monotonic()

    def add(self, losses: Mapping[str, Tensor], norm: Tensor) -> None:
        """Add a step: its loss terms, and the gradient's norm before clipping."""
        self.steps += 1
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, torch.zeros((), device=value.device)) + value.detach()
        self._norms.append(norm.detach())

    @property
    def due(self) -> bool:
        """Whether the last checkpoint is so old that another one should be written."""
        return time.monotonic() - self._saved > EVERY

    @property
    def seconds(self) -> float:
        """Seconds that the steps took."""
        return self._earlier + time.monotonic() - self._begun

    def losses(self) -> dict[str, float]:
        """Return the mean of every loss term."""
        return {name: value.item() / self.steps for name, value in self._sums.items()}

    def rates(self, clip: float) -> dict[str, float]:
        """Return ``gradient_norm``, the mean, ``clipped``, the share of norms above ``clip``, and ``seconds``."""
        norms = torch.stack(self._norms)
        clipped = (norms > clip).float().mean().item()
        return {"gradient_norm": norms.mean().item(), "clipped": clipped, "seconds": self.seconds}

    def state_dict(self) -> dict[str, Any]:
        """Return the sums for a checkpoint that is written now; nothing before the first step."""
        self._saved = time.monotonic()
        if not self.steps:
            return {}
        return {"steps": self.steps, "sums": self._sums, "norms": torch.stack(self._norms), "seconds": self.seconds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        if state:
            self.steps, self._sums, self._earlier = state["steps"], dict(state["sums"]), state["seconds"]
            self._norms = list(state["norms"])
