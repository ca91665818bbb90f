"""Scores from one set of shared weights, as a study with ``sharing`` computes them."""

from collections.abc import Callable
from dataclasses import replace

from harness.core.names import load_study
from harness.core.protocol import StudyConfig
from harness.core.scores import SHARED
from harness.core.training import SharingConfig, TrainConfig
from harness.errors import InputError
from harness.search.plan import Plan
from harness.search.pool import Pool
from harness.search.progress import Progress
from harness.search.shared import SharedTraining, ended
from harness.training.job import WEIGHTS
from harness.training.score import Scorer

_QUICK = {"candidates": 2, "calibration": 2, "tuning": 2, "images": 0}


def sharing(name: str, config: StudyConfig, *, quick: bool) -> SharingConfig:
    """Return how the candidates of a protocol share weights: as those of the study called ``name``.

    The schedule is that of the protocol's teacher at the students' learning rate, with the epochs and the backbone's
    rate that the study has, and without what shared weights cannot have.

    Raises:
        InputError: there is no such study, or its candidates share no weights.
    """
    usual = load_study(name).sharing
    if usual is None:
        raise InputError(f"--sharing: the candidates of study '{name}' share no weights")
    train = replace(
        config.teacher,
        epochs=1 if quick else usual.train.epochs,
        lr=config.train.lr,
        backbone_lr=usual.train.backbone_lr,
        frozen_stages=TrainConfig.frozen_stages,
        ema=TrainConfig.ema,
        patience=TrainConfig.patience,
    )
    return replace(usual, train=train, **(_QUICK if quick else {}))


def train_shared_weights(plan: Plan, pool: Callable[[], Pool], progress: Progress) -> None:
    """Train the shared weights of a plan, unless an earlier run has done so.

    Raises:
        HarnessError: the training diverged, or its worker was killed twice.
    """
    if ended(plan):
        return
    workers = pool()
    training = SharedTraining(plan, workers, progress)
    training.start()
    while training.running:
        for event in workers.wait():
            training.handle(event)


def scorer(plan: Plan, tuning: int) -> Scorer:
    """Return what scores candidates with the plan's shared weights, after ``tuning`` steps of their slices."""
    shared = plan.shared
    return Scorer(replace(shared, config=replace(shared.config, tuning=tuning)), plan.folder / SHARED / WEIGHTS)
