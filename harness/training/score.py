"""``Scorer``: the AP of any network of a space on the search split, with slices of shared weights, in a second."""

import copy
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.core.arch import ArchConfig, Part
from harness.models.detector import Detector
from harness.models.device import place
from harness.models.modules.part import Features
from harness.training.grade import search_ap
from harness.training.schedule import average_statistics, reset_statistics
from harness.training.setup import prepare_feed
from harness.training.sharing import SharedJob, load_shared
from harness.training.shown import shown

CALIBRATION_EPOCH = 1
"""The epoch whose first batches calibrate BatchNorms: those of every training's first epoch."""

_KEPT = 2**30
"""Largest number of bytes of a backbone's maps of the search split that are kept in memory."""


class Scorer:
    """Scores the networks of a space.

    A network takes its slices. Its BatchNorms' statistics are measured on the first batches of training, because those
    of shared weights would be a mixture of all networks' (Yu and Huang, arXiv 1903.05134, section 3.3). Then its AP on
    the search split is computed. Networks with the same backbone share its maps.

    Args:
        shared: the training of the shared weights.
        weights: the file that it wrote.

    Raises:
        DataError: the file is missing or belongs to another space, or images are missing.
    """

    def __init__(self, shared: SharedJob, weights: Path) -> None:
        self._shared = shared
        self._feed = prepare_feed(shared.job)
        self._weights = load_shared(shared.space, weights)
        steps = islice(shown(self._feed, CALIBRATION_EPOCH), shared.config.calibration)
        self._batches = [images for images, _, _ in steps]
        self._backbone: tuple[Part, nn.Module, list[Features]] | None = None
        self._search: _Replayed | None = None

    def network(self, arch: ArchConfig) -> Detector:
        """Return a network with its slices and with statistics of its own, ready for evaluation or for training."""
        detector = self._weights.take(arch)
        place(detector, self._feed.device)
        average_statistics(detector.train())
        reset_statistics(detector)
        with torch.no_grad(), self._feed.autocast():
            backbone, maps = self._calibrated(arch.backbone, detector.backbone)
            detector.backbone.load_state_dict(backbone.state_dict())
            for batch in maps:
                detector.after(batch)
        return detector.eval()

    def _calibrated(self, part: Part, backbone: nn.Module) -> tuple[nn.Module, list[Features]]:
        if self._backbone is None or self._backbone[0] != part:
            maps: list[Features] = [backbone(images) for images in self._batches]
            self._backbone = part, copy.deepcopy(backbone), maps
            self._search = None
        return self._backbone[1], self._backbone[2]

    def score(self, arch: ArchConfig) -> dict[str, float | None]:
        """Return easy, medium, hard and mean AP of a network on the search split."""
        detector = self.network(arch)
        if self._search is None:
            self._search = _Replayed(detector.backbone)
        self._search.rewind()
        detector.backbone = self._search
        return search_ap(self._shared.job, detector)


class _Replayed(nn.Module):
    """A backbone that remembers the maps of each image batch, for networks that see the same batches in turn."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self._backbone = copy.deepcopy(backbone).requires_grad_(False).eval()
        self._maps: list[Features] = []
        self._next, self._bytes = 0, 0

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Replayed":
        """Return itself: copies of a network share the maps."""
        return self

    def rewind(self) -> None:
        """Start with the first batch again."""
        self._next = 0

    def forward(self, images: Tensor) -> Features:
        """Return the maps of the next batch."""
        if self._next < len(self._maps):
            maps = self._maps[self._next]
        else:
            maps = self._backbone(images)
            size = sum(image.numel() * image.element_size() for image in maps)
            if self._next == len(self._maps) and self._bytes + size <= _KEPT:
                self._maps.append(maps)
                self._bytes += size
        self._next += 1
        return maps
