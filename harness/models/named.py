"""The network that a command's options name: a trial of a study, a weights file, or an architecture."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from harness.core.arch import ArchConfig
from harness.core.budget import Budget
from harness.core.files import BEST, REPORTS
from harness.core.record import TrialRecord, find_trial
from harness.errors import InputError
from harness.models.builder import build, resolve_arch
from harness.models.detector import Detector
from harness.models.weights import load_weights, read_label

LARGEST = Budget(max_params=50_000_000)
"""Largest network that is built because a file says so: a hundred times V1."""

STUDENT = Path(__file__).parent.parent / "weights" / "student_scenes.safetensors"
"""The network unless another is named: the best student of reports/default-v2_p5-synthetic."""


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
        trial: ``STUDY/LABEL``; ``STUDY/best`` is that of the published report where ``runs`` holds no such study.
        arch: name of an architecture; None takes the one that the weights file states.
        weights: the weights file.
        runs: folder of studies.

    Raises:
        DataError: the weights file or the trial's record is missing or unreadable.
        InputError: a name is unknown, or the file does not state its architecture.
    """
    if trial is not None:
        published = _published(trial, runs)
        if published is not None:
            return replace(find_network(None, None, published, runs), name=trial)
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


def find_model(model: str | Path | None, arch: str | None, runs: Path) -> Named:
    """Return the network that one text names.

    Args:
        model: a weights file, the folder of a published report, or ``STUDY/LABEL`` as in ``find_network``; None is
            ``STUDENT``.
        arch: architecture of a weights file that does not state it.
        runs: folder of studies.

    Raises:
        DataError, InputError: as ``find_network``.
    """
    path = STUDENT if model is None else Path(model)
    if path.is_dir():
        path /= BEST
    if path.suffix or path.is_file():
        return find_network(None, arch, path, runs)
    if arch is not None:
        raise InputError(f"'{model}' names a network with its architecture: drop --arch")
    return find_network(str(model), None, None, runs)


def _published(trial: str, runs: Path) -> Path | None:
    """Return the weights in ``reports/`` of a study's best student, if ``runs`` does not hold the study."""
    study, _, label = trial.partition("/")
    path = REPORTS / study / BEST
    return path if label == "best" and not (runs / study).exists() and path.is_file() else None
