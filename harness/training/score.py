"""``score``: the AP of any network of a space on the search split, from slices of shared weights, in seconds."""

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from harness.core.arch import ArchConfig, Part
from harness.data.faces import FaceSet, choose
from harness.detection.matching import Targets
from harness.errors import DataError
from harness.models.builder import build
from harness.models.detector import Detector, RawOutput
from harness.models.device import place
from harness.models.fold import freeze
from harness.models.modules.part import Features
from harness.models.weights import load_weights, save_weights
from harness.training.blocks import block
from harness.training.distill import Distiller
from harness.training.grade import search_ap
from harness.training.loop import loss_terms
from harness.training.schedule import average_statistics, learning_rate, reset_statistics
from harness.training.setup import parameter_groups, prepare_feed
from harness.training.sharing import SharedJob, load_shared
from harness.training.shown import shown

_KEPT = 2**30
"""Largest number of bytes of a backbone's maps of the search split that are kept in memory; when those of all backbones
together have more, the ones that were not used for the longest time are forgotten."""


@dataclass(frozen=True)
class ScoreJob:
    """Scoring one network, as plain data.

    Attributes:
        label: name in messages.
        arch: the network.
        shared: the training of the shared weights; ``weights``: the file that it wrote.
        keep: file for the tuned slices, from which the network can be trained to the end, instead of a score.
    """

    label: str
    arch: ArchConfig
    shared: SharedJob
    weights: Path
    keep: Path | None = None


@dataclass(frozen=True)
class Score:
    """A network's AP on the search split (easy, medium, hard and mean), and the seconds that it took to find it.

    The AP is empty if the slices were kept instead.
    """

    ap: dict[str, float | None]
    seconds: float


def score(job: ScoreJob) -> Score:
    """Score a network. What the networks of a space share is computed once per process.

    Raises:
        DataError: as ``Scorer``.
        NonFiniteLossError: the network diverged.
        OSError: ``keep`` cannot be written.
    """
    started = time.perf_counter()
    scorer = _scorer(job.shared, job.weights)
    detector = scorer.network(job.arch)
    if job.keep is not None:
        job.keep.parent.mkdir(parents=True, exist_ok=True)
        save_weights(detector, job.keep)
    return Score(scorer.ap(detector) if job.keep is None else {}, time.perf_counter() - started)


class _Seen(NamedTuple):
    """What a network sees in one step of its tuning: the backbone's maps, the faces, and the teacher's output."""

    maps: Features
    targets: Targets
    taught: RawOutput | None


@dataclass(frozen=True)
class _Common:
    """One backbone, with its maps of the batches for tuning and of the search split, for all networks that have it."""

    backbone: nn.Module
    seen: list[_Seen]
    search: "_Replayed"

    @property
    def bytes(self) -> int:
        """Size of the maps."""
        return sum(_bytes(step.maps) for step in self.seen) + self.search.bytes


class Scorer:
    """Scores the networks of a space, one after the other.

    A network takes its slices. As slices they serve many networks; a few steps of training make them its own, and give
    its BatchNorms their statistics. The backbone is not trained in these steps, so that networks with the same backbone
    share its maps. All networks see the same batches, the first ones of the first epoch. Then the AP on the search
    split is computed.

    Args:
        shared: the training of the shared weights.
        weights: the file that it wrote.

    Raises:
        DataError: the file is missing or belongs to another space, images are missing, or those of a score hold no
            face of a list.
    """

    def __init__(self, shared: SharedJob, weights: Path) -> None:
        job = shared.job
        self._shared = shared
        self._schedule = replace(job.train, lr=shared.config.tuning_lr)
        self._feed = prepare_feed(job)
        _require_faces(self._feed.search, shared.config.images)
        self._weights = load_shared(shared.space, weights)
        self._distiller: Distiller | None = None
        if job.uses_teacher and job.teacher is not None and job.teacher_arch is not None and job.distill is not None:
            teacher = build(job.teacher_arch)
            load_weights(teacher, job.teacher)
            freeze(teacher)
            place(teacher, self._feed.device)
            self._feed.teacher = teacher
            self._distiller = Distiller(teacher, teacher, replace(job.distill, feature_weight=0.0))
        self._steps = list(islice(self._endless(), max(shared.config.tuning, shared.config.calibration)))
        self._common: dict[Part, _Common] = {}
        """By backbone; the one that was used last is the last."""

    def _endless(self) -> Iterator[tuple[Tensor, Targets, RawOutput | None]]:
        epoch = 0
        while True:
            epoch += 1
            yield from shown(self._feed, epoch)

    def network(self, arch: ArchConfig) -> Detector:
        """Return a network with its tuned slices, ready for evaluation or for further training."""
        detector = self._weights.take(arch)
        place(detector, self._feed.device)
        average_statistics(detector.train())
        common = self._shared_by(arch.backbone, detector.backbone)
        detector.backbone.load_state_dict(common.backbone.state_dict())
        detector.backbone.requires_grad_(False).eval()
        if self._shared.config.tuning:
            self._tune(detector, common.seen)
        else:
            self._calibrate(detector, common.seen)
        return detector.requires_grad_(True).eval()

    def _shared_by(self, part: Part, backbone: nn.Module) -> _Common:
        """Return what networks with this backbone share, computed by ``backbone`` the first time."""
        common = self._common.pop(part, None)
        if common is None:
            with torch.no_grad(), self._feed.autocast():
                reset_statistics(backbone)
                for images, _, _ in self._steps[: self._shared.config.calibration]:
                    backbone(images)
                backbone.eval()
                steps = self._steps[: self._shared.config.tuning or self._shared.config.calibration]
                seen = [_Seen(backbone(images), targets, taught) for images, targets, taught in steps]
            common = _Common(copy.deepcopy(backbone), seen, _Replayed(backbone))
        while self._common and common.bytes + sum(other.bytes for other in self._common.values()) > _KEPT:
            del self._common[next(iter(self._common))]
        self._common[part] = common
        return common

    def _tune(self, detector: Detector, seen: list[_Seen]) -> None:
        groups = [
            {**group, "params": [block(group["params"])]} for group in parameter_groups(detector, None, self._schedule)
        ]
        optimizer = torch.optim.AdamW(groups, lr=self._schedule.lr, fused=True)
        trained = [whole for group in groups for whole in group["params"]]
        for step, (maps, targets, taught) in enumerate(seen):
            if step == len(seen) // 2:
                reset_statistics(detector)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(self._schedule, step, len(seen))
            with self._feed.autocast():
                output = detector.after(maps)
                loss, _ = loss_terms(self._feed, self._schedule, output, targets, taught, self._distiller)
            optimizer.zero_grad(set_to_none=False)  # The gradients are views of blocks.
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(trained, self._schedule.clip)
            optimizer.step()

    def _calibrate(self, detector: Detector, seen: list[_Seen]) -> None:
        """Measure the statistics of the BatchNorms after the backbone."""
        with torch.no_grad(), self._feed.autocast():
            for maps, _, _ in seen:
                detector.after(maps)

    def score(self, arch: ArchConfig) -> dict[str, float | None]:
        """Return easy, medium, hard and mean AP of a network on the search split."""
        return self.ap(self.network(arch))

    def ap(self, detector: Detector) -> dict[str, float | None]:
        """Return the AP of the network that ``network`` returned last; its backbone is replaced."""
        search = next(reversed(self._common.values())).search
        search.rewind()
        detector.backbone = search
        config = self._shared.config
        return search_ap(self._shared.job, detector, config.images, config.side)


def _require_faces(search: FaceSet, images: int) -> None:
    """Refuse images without an AP."""
    truth = search.truth().pick(choose(len(search), images, seed=0).tolist())
    for name, masks in truth.keep.items():
        if not any(mask.any() for mask in masks):
            raise DataError(f"the images of a score ({images:,}) hold no face of the list '{name}': use more of them")


@lru_cache(maxsize=1)
def _scorer(shared: SharedJob, weights: Path) -> Scorer:
    return Scorer(shared, weights)


def _bytes(maps: Features) -> int:
    return sum(image.numel() * image.element_size() for image in maps)


class _Replayed(nn.Module):
    """A backbone that remembers the maps of each batch, for networks that see the same batches in the same order."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self._backbone = copy.deepcopy(backbone).requires_grad_(False).eval()
        self._maps: list[Features] = []
        self._next = 0
        self.bytes = 0

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
            if self._next == len(self._maps) and self.bytes + _bytes(maps) <= _KEPT:
                self._maps.append(maps)
                self.bytes += _bytes(maps)
        self._next += 1
        return maps
