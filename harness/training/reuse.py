"""Finished trainings in ``runs/``, found by what decides their result, so that no study trains them again."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from harness.core.digest import digest
from harness.core.files import write_atomically
from harness.core.record import TrialRecord
from harness.errors import DataError
from harness.models.device import device_name, precision, resolve_device
from harness.training.checkpoint import CHECKPOINT, read_state
from harness.training.job import Job


def fingerprint(job: Job, images: Sequence[str]) -> str:
    """Return a digest of everything that decides a training's result, rounding included.

    Args:
        job: the training.
        images: digests of the training images and of the search split.
    """
    device = resolve_device(job.device)
    computes: dict[str, Any] = {
        "device": device_name(device),
        "precision": precision(device, job.train.side(job.data.size)),
        "threads": job.threads if device.type == "cpu" else None,
    }
    return digest({**job.identity(), "images": list(images), **computes})


@dataclass(frozen=True)
class Earlier:
    """A finished training: its name, ``STUDY/LABEL``, and the provenance on its record."""

    name: str
    provenance: list[dict[str, Any]]


class Finished:
    """The finished trainings of all studies below ``runs``, as they were when this object was made."""

    def __init__(self, runs: Path) -> None:
        self._folders: dict[str, tuple[Path, TrialRecord]] = {}
        for path in sorted(runs.glob(f"*/trials/*/{CHECKPOINT}")):
            try:
                record = TrialRecord.load(path.parent)
            except DataError:
                continue  # Another study's damage is not this one's concern.
            if record.state == "complete" and record.training:
                self._folders.setdefault(record.training, (path.parent, record))

    def __contains__(self, training: object) -> bool:
        """Say whether the training with this ``fingerprint`` is finished."""
        return training in self._folders

    def lend(self, training: str, folder: Path) -> Earlier | None:
        """Copy a finished training's checkpoint to ``folder``, from where the same training goes on at its end.

        Args:
            training: its ``fingerprint``.
            folder: folder of the training that is about to start.

        Returns:
            whose checkpoint it is; None if ``folder`` has a checkpoint of its own, or if there is no such training, or
            only one whose checkpoint is damaged.

        Raises:
            OSError: the checkpoint cannot be copied.
        """
        if training not in self._folders or (folder / CHECKPOINT).exists():
            return None
        source, record = self._folders[training]
        try:
            read_state(source / CHECKPOINT, torch.device("cpu"))
        except DataError:
            return None
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / CHECKPOINT, (source / CHECKPOINT).read_bytes())
        return Earlier(f"{source.parent.parent.name}/{source.name}", record.provenance)
