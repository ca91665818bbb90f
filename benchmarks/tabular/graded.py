"""``train_graded``: a training whose network is also evaluated on the validation images after every epoch.

The table records both APs, so that later studies can compare them. The training does not depend on it: nothing is
chosen by the AP on the validation images, and the training's random numbers are the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.errors import DataError
from harness.training.checkpoint import load_network
from harness.training.grade import val_ap
from harness.training.job import Job, TrainResult
from harness.training.loop import train

VAL = "val"
"""Key of an epoch's dict: its AP on the validation images."""


@dataclass(frozen=True)
class Graded:
    """A training, and the APs on the validation images after its first epochs, where it is resumed."""

    job: Job
    known: tuple[dict[str, float | None], ...] = ()


def train_graded(graded: Graded, on_epoch: Callable[[dict[str, Any]], bool]) -> TrainResult:
    """Train as ``training.loop.train`` does; each epoch's dict also has ``val``, its AP on the validation images.

    It is empty after an epoch without an evaluation, as is the AP on the search split.

    Raises:
        DataError: an earlier epoch's AP is missing, and its network is gone.
    """

    def with_val(info: dict[str, Any]) -> bool:
        epoch = info["epoch"]
        if epoch <= len(graded.known):
            ap = graded.known[epoch - 1]
        else:
            ap = _evaluated(graded.job, epoch) if graded.job.train.evaluates(epoch) else {}
        return on_epoch({**info, VAL: ap})

    return train(graded.job, with_val)


def _evaluated(job: Job, epoch: int) -> dict[str, float | None]:
    network, trained = load_network(job)
    if trained != epoch:
        raise DataError(
            f"{job.folder} has a network after {trained} epochs, but no AP after {epoch}: remove that folder"
        )
    return val_ap(job, network)
