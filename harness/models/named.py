"""The network that a command's options name: a trial of a study, a weights file, or an architecture."""

from dataclasses import dataclass
from pathlib import Path

import torch

from harness.core.arch import ArchConfig
from harness.core.budget import Budget
from harness.core.record import TrialRecord, find_trial
from harness.errors import InputError
from harness.models.builder import build, resolve_arch
from harness.models.detector import Detector
from harness.models.weights import load_weights, read_label

LARGEST = Budget(max_params=50_000_000)
"""Largest network that is built because a file says so: a hundred times V1."""


@dataclass(frozen=True)
class Named:
    """A network by name.

    Attributes:
        name: the trial, the weights file's stem, or the arch.
        arch: its architecture.
        weights: its weights file; None for random weights.
        study: the study that trained it; empty if that is not known.
    """

    name: str
    arch: ArchConfig
    weights: Path | None
    study: str = ""

    def load(self) -> Detector:
        """Build the network and load its weights; random weights are drawn with the seed 0.

        Raises:
            DataError: the weights file is missing or unreadable.
            InputError: the weights do not fit the architecture, or this has more parameters than ``LARGEST``.
        """
        torch.manual_seed(0)
        detector = build(self.arch, LARGEST)
        if self.weights is not None:
            load_weights(detector, self.weights)
        return detector


def find_network(trial: str | None, arch: str | None, weights: Path | None, runs: Path) -> Named:
    """Return the network that ``--trial``, or ``--arch`` and ``--weights`` name.

    Args:
        trial: ``STUDY/LABEL``.
        arch: name of an architecture; None takes the one that the weights file states.
        weights: the weights file.
        runs: folder of studies.

    Raises:
        DataError: the weights file or the trial's record is missing or unreadable.
        InputError: a name is unknown, or the file does not state its architecture.
    """
    if trial is not None:
        folder = find_trial(trial, runs)
        study = folder.parent.parent.name
        own = ArchConfig.from_dict(TrialRecord.load(folder).arch)
        return Named(f"{study}/{folder.name}", own, folder / "weights.safetensors", study)
    if weights is None:
        if arch is None:
            raise InputError("no network is named: give --trial, --weights or --arch")
        return Named(arch, resolve_arch(arch), None)
    given = None if arch is None else resolve_arch(arch)
    label = read_label(weights)
    study = str(label.get("study", ""))
    if arch is not None and given is not None:
        return Named(arch, given, weights, study)
    if "arch" not in label:
        raise InputError(f"{weights} does not state its architecture: give --arch, for example --arch v2")
    return Named(weights.stem, ArchConfig.from_dict(label["arch"]), weights, study)
