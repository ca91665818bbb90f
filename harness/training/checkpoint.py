"""Checkpoints: the complete training state in one file, written atomically and read without running pickled code."""

import io

import torch

from harness.core.files import write_atomically
from harness.errors import DataError, InputError
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
    path = setup.job.folder / CHECKPOINT
    if not path.exists():
        return
    try:
        state = torch.load(path, map_location=setup.device, weights_only=True)
        identity = state["identity"]
    except (RuntimeError, EOFError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path} is not a readable checkpoint ({error}); delete it to start again") from error
    wanted = setup.identity
    if identity != wanted:
        changed = ", ".join(sorted(key for key in wanted if identity.get(key) != wanted[key]))
        raise InputError(f"{path} was written by another training (it differs in {changed}); delete or move it")
    setup.student.load_state_dict(state["student"])
    if setup.distiller is not None:
        setup.distiller.load_state_dict(state["adapters"])
    setup.optimizer.load_state_dict(state["optimizer"])
    if setup.average is not None:
        setup.average.load_state_dict(state["average"])
    setup.best = state["best"]
    torch.set_rng_state(state["random"].cpu())
    setup.history = state["history"]
