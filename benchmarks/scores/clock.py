"""``Clock``: times what a score costs, in steps of the same candidate's full training.

Both are timed alternately in one process on one thread, so that other load on the machine affects both. Whole trainings
are not timed: a training is its number of steps, each as long as those that were timed, and one evaluation.
"""

from collections.abc import Callable
from dataclasses import replace

from benchmarks.timing import Case, Variant, measure
from harness.data import load_split
from harness.data.batches import steps_per_epoch
from harness.models.builder import build
from harness.models.device import place, resolve_device
from harness.models.weights import load_weights
from harness.search.progress import Progress
from harness.training.grade import search_ap
from harness.training.job import WEIGHTS, Job
from harness.training.loop import train_epoch
from harness.training.setup import prepare
from harness.training.sharing import SharedJob, prepare_shared, train_shared_epoch

ROUNDS = 3
STEPS = 8
"""Steps that are timed at once. They read batches and teacher's outputs from disk, as all but a first training do."""


class Clock:
    """Times work on one candidate.

    Args:
        full: its full training, which has ended.
        quick: whether to time as little as possible.
        progress: shows what is timed.

    Attributes:
        steps: steps of the full training.
        evaluation: what one evaluation on the search split takes.
        full: what the full training takes; all in steps of the full training.
    """

    def __init__(self, full: Job, *, quick: bool, progress: Progress) -> None:
        self._job, self._quick, self._progress = full, quick, progress
        setup = prepare(_few(full))
        self._step = Variant("a step of the full training", lambda: train_epoch(setup, 1, None), setup.steps)
        self._evaluations: dict[int, float] = {}
        self.steps = _steps(full)
        self.evaluation = self._evaluated(full)
        self.full = self.steps + self.evaluation

    def time(self, what: str, run: Callable[[], object], amount: float = 1.0) -> float:
        """Return the time of a run, divided by ``amount``, in steps of the full training."""
        case = Case(what, Variant(what, run, amount), self._step, ROUNDS, self._job.threads)
        found = measure(case, self._quick, lambda done, total: self._progress.stage(f"timing {what}", done, total))
        return float(found["median"])

    def training(self, what: str, job: Job) -> float:
        """Return the time of a training of this candidate that has ended, with its evaluation."""
        return _steps(job) * self._ratio(what, job) + self._evaluated(job)

    def _ratio(self, what: str, job: Job) -> float:
        """Return the time of one step of a training; 1 if it is a step of the full training."""
        full = self._job
        schedule = replace(job.train, epochs=full.train.epochs, evaluate_every=full.train.evaluate_every)
        if schedule == full.train and job.data.size == full.data.size:
            return 1.0
        setup = prepare(_few(job))
        return self.time(f"a step with {what}", lambda: train_epoch(setup, 1, None), setup.steps)

    def _evaluated(self, job: Job) -> float:
        """Return the time of an evaluation of the trained network; measured once for each size of the images."""
        side = job.data.eval_side
        if side not in self._evaluations:
            network = build(job.arch)
            load_weights(network, job.folder / WEIGHTS)
            place(network, resolve_device(job.device))
            self._evaluations[side] = self.time("an evaluation", lambda: search_ap(job, network))
        return self._evaluations[side]

    def shared(self, shared: SharedJob) -> float:
        """Return the time of a training of shared weights."""
        setup = prepare_shared(replace(shared, job=_few(shared.job)))
        step = self.time("a step of the shared weights", lambda: train_shared_epoch(setup, 1, None), setup.feed.steps)
        return _steps(shared.job) * step


def _few(job: Job) -> Job:
    """Return a training whose epochs have at most ``STEPS`` steps."""
    wanted = STEPS * (job.train.batch - 3 * job.train.large_crops)
    there = len(load_split(job.data, "train", job.cache))
    return replace(job, data=replace(job.data, train_images=min(wanted, there)))


def _steps(job: Job) -> int:
    faces = load_split(job.data, "train", job.cache)
    return job.train.epochs * steps_per_epoch(faces, job.train.batch, job.train.large_crops)
