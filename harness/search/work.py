"""``work``: what a worker does with a job: train a network or shared weights, score a candidate, or look at it."""

from typing import Any

from harness.training.job import Job, TrainResult
from harness.training.look import LookJob, look
from harness.training.loop import OnEpoch, train
from harness.training.score import Score, ScoreJob, score
from harness.training.sharing import SharedJob, train_shared


def work(job: Job | SharedJob | ScoreJob | LookJob, on_epoch: OnEpoch) -> TrainResult | Score | list[dict[str, Any]]:
    """Run a job and return its result; ``on_epoch`` is called after every epoch of a training."""
    if isinstance(job, ScoreJob):
        return score(job)
    if isinstance(job, LookJob):
        return look(job)
    if isinstance(job, SharedJob):
        return train_shared(job, on_epoch)
    return train(job, on_epoch)
