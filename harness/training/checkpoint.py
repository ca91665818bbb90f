"""Checkpoints: the complete training state in one file, written atomically and read without running pickled code.

One is written after every epoch and, within an epoch, every few minutes (``partway``). A folder keeps the last two. One
that is damaged, or that another training wrote, is set aside, and the one before it is used: what happens to a file
from outside costs some minutes, or the training's time so far, but never the training.
"""

import io
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from harness.core.files import sync_folder, write_atomically
from harness.errors import DataError, first_line
from harness.models.archive import load_archive
from harness.models.builder import build
from harness.models.detector import Detector
from harness.models.device import place, resolve_device
from harness.training.job import Job
from harness.training.setup import Setup

CHECKPOINT = "last.pt"
"""The last state that was written."""

EARLIER = "before.pt"
"""The state before it, until the training ends."""

UNUSABLE = ".unusable"
"""Suffix of a checkpoint that was set aside."""

log = logging.getLogger(__name__)


def save_checkpoint(setup: Setup) -> None:
    """Write the checkpoint.

    Raises:
        OSError: the disk is full or not writable; the previous checkpoint is unchanged.
    """
    distiller, average = setup.distiller, setup.average
    state = {
        "identity": setup.identity,
        "history": setup.history,
        "student": setup.student.state_dict(),
        "adapters": distiller.state_dict() if distiller is not None else {},
        "optimizer": setup.optimizer.state_dict(),
        "average": average.state_dict() if average is not None else {},
        "best": setup.best,
        "random": torch.get_rng_state(),
        "partway": setup.partway.state_dict(),
    }
    write_checkpoint(setup.job.folder, state)


def write_checkpoint(folder: Path, state: Mapping[str, Any]) -> None:
    """Write a state as the folder's checkpoint, atomically; the one so far becomes the one before it.

    Raises:
        OSError: the disk is full or not writable; the previous checkpoint is unchanged.
    """
    content = io.BytesIO()
    torch.save(state, content)
    folder.mkdir(parents=True, exist_ok=True)
    path, following = folder / CHECKPOINT, folder / f"next-{CHECKPOINT}"
    for leftover in folder.glob(f"{following.name}.*.partial"):  # Of processes that were killed.
        leftover.unlink(missing_ok=True)
    write_atomically(following, content.getvalue())
    if path.exists():
        path.replace(folder / EARLIER)
    following.replace(path)
    sync_folder(folder)


def forget_earlier(folder: Path) -> None:
    """Remove the checkpoint before the last one: the training has ended."""
    (folder / EARLIER).unlink(missing_ok=True)


def load_checkpoint(setup: Setup) -> None:
    """Restore the state from the folder's newest checkpoint that can be used, if there is one.

    Raises:
        DataError: it has this training's identity and checksums that match, but not its state.
    """
    state = read_checkpoint(setup.job.folder, setup.identity, setup.device)
    if state is None:
        return
    try:
        _restore(setup, state)
    except Exception as error:  # A state of other types and shapes makes PyTorch raise many kinds of errors.
        raise DataError(
            f"{setup.job.folder / CHECKPOINT} does not hold the state of this training ({first_line(error)}): remove it"
        ) from error


def _restore(setup: Setup, state: Mapping[str, Any]) -> None:
    setup.student.load_state_dict(state["student"])
    if setup.distiller is not None:
        setup.distiller.load_state_dict(state["adapters"])
    setup.optimizer.load_state_dict(state["optimizer"])
    if setup.average is not None:
        setup.average.load_state_dict(state["average"])
    setup.best = state["best"]
    torch.set_rng_state(state["random"].cpu())
    setup.history = state["history"]
    setup.partway.load_state_dict(state.get("partway", {}))


def read_checkpoint(folder: Path, wanted: Mapping[str, Any], device: torch.device) -> dict[str, Any] | None:
    """Return the state in a folder's newest checkpoint that can be used, or None if there is none.

    One that cannot be used is renamed, and a warning says why.

    Args:
        folder: the training's folder.
        wanted: the training's identity, which the checkpoint must have.
        device: where its tensors are put.
    """
    for path in (folder / CHECKPOINT, folder / EARLIER):
        if not path.exists():
            continue
        try:
            state = read_state(path, device)
            _require_same(path, state["identity"], wanted)
            return state
        except DataError as error:
            aside = path.with_name(f"{path.name}{UNUSABLE}")
            path.replace(aside)
            log.warning("%s; it was renamed to %s, and the training goes on without it", error, aside.name)
    return None


def _require_same(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    if found != wanted:
        changed = ", ".join(sorted(key for key in {*wanted, *found} if found.get(key) != wanted.get(key)))
        raise DataError(f"{path} was written by another training (it differs in {changed})")


def load_network(job: Job) -> tuple[Detector, int]:
    """Return the network of the job's checkpoint, on the job's device, and the number of epochs that it was trained.

    It is the network that is evaluated after that epoch: the student, or the moving average of its weights.

    Raises:
        DataError: there is no checkpoint, it is not readable, or it was written within an epoch.
    """
    path, device = job.folder / CHECKPOINT, resolve_device(job.device)
    if not path.exists():
        raise DataError(f"there is no checkpoint {path}")
    state = read_state(path, device)
    if state.get("partway"):
        raise DataError(f"{path} was written within an epoch: continue the training")
    with torch.random.fork_rng():  # A training that goes on must not notice.
        network = build(job.arch)
    network.load_state_dict(state["average"]["network"] if state["average"] else state["student"])
    place(network, device)
    return network, len(state["history"])


def read_state(path: Path, device: torch.device) -> dict[str, Any]:
    """Return the content of a checkpoint.

    Raises:
        DataError: it is missing, damaged, or no checkpoint.
    """
    state = load_archive(path, "checkpoint", device)
    if not isinstance(state, dict) or not isinstance(state.get("identity"), dict):
        raise DataError(f"{path} is no checkpoint of a training")
    return state
