"""Checkpoints: the complete training state in one file, written atomically and read without running pickled code."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from harness.core.files import write_atomically
from harness.errors import DataError, InputError
from harness.models.builder import build
from harness.models.detector import Detector
from harness.models.device import place, resolve_device
from harness.training.job import Job
from harness.training.setup import Setup

CHECKPOINT = "last.pt"


def save_checkpoint(setup: Setup) -> None:
    """Write the checkpoint atomically.

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
    }
    content = io.BytesIO()
    torch.save(state, content)
    setup.job.folder.mkdir(parents=True, exist_ok=True)
    write_atomically(setup.job.folder / CHECKPOINT, content.getvalue())


def load_checkpoint(setup: Setup) -> None:
    """Restore the state from the folder's checkpoint, if there is one.

    Raises:
        DataError: the checkpoint is not readable.
        InputError: another job wrote it; the message names what differs.
    """
    state = read_checkpoint(setup.job.folder, setup.identity, setup.device)
    if state is None:
        return
    setup.student.load_state_dict(state["student"])
    if setup.distiller is not None:
        setup.distiller.load_state_dict(state["adapters"])
    setup.optimizer.load_state_dict(state["optimizer"])
    if setup.average is not None:
        setup.average.load_state_dict(state["average"])
    setup.best = state["best"]
    torch.set_rng_state(state["random"].cpu())
    setup.history = state["history"]


def read_checkpoint(folder: Path, wanted: Mapping[str, Any], device: torch.device) -> dict[str, Any] | None:
    """Return the state in a folder's checkpoint, or None if there is none.

    Args:
        folder: the training's folder.
        wanted: the training's identity, which the checkpoint must have.
        device: where its tensors are put.

    Raises:
        DataError: the checkpoint is not readable.
        InputError: another training wrote it; the message names what differs.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    state = _read(path, device)
    identity = state["identity"]
    if identity != wanted:
        changed = ", ".join(sorted(key for key in wanted if identity.get(key) != wanted[key]))
        raise InputError(f"{path} was written by another training (it differs in {changed}); delete or move it")
    return state


def load_network(job: Job) -> tuple[Detector, int]:
    """Return the network of the job's checkpoint, on the job's device, and the number of epochs that it was trained.

    It is the network that is evaluated after that epoch: the student, or the moving average of its weights.

    Raises:
        DataError: there is no checkpoint, or it is not readable.
    """
    path, device = job.folder / CHECKPOINT, resolve_device(job.device)
    if not path.exists():
        raise DataError(f"there is no checkpoint {path}")
    state = _read(path, device)
    with torch.random.fork_rng():  # A training that goes on must not notice.
        network = build(job.arch)
    network.load_state_dict(state["average"]["network"] if state["average"] else state["student"])
    place(network, device)
    return network, len(state["history"])


def _read(path: Path, device: torch.device) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        state["identity"]
    except Exception as error:  # What a damaged file makes PyTorch raise is not documented.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(f"{path} is not a readable checkpoint ({reason}); delete it to start again") from error
    return state
