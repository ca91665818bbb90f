"""The study's command with trainings that kill it: ``KILLS`` says which signal is sent when to which process.

``0001@2 SIGKILL study``: after the second epoch of trial 1 all processes of the study are killed. The signal is sent
from inside, because a watcher outside is too late on a busy machine. The trainings themselves are real.
"""

import os
import signal
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from harness import cli, study
from harness.training import loop
from harness.training.job import Job, TrainResult

KILLS = "HARNESS_TEST_KILLS"


def train(job: Job, on_epoch: Callable[[dict[str, Any]], bool]) -> TrainResult:
    """Train as ``harness.training.loop.train`` does, and do what ``KILLS`` plants after an epoch's checkpoint."""

    def killing(info: dict[str, Any]) -> bool:
        where, name, whom = os.environ.get(KILLS, "@ SIGKILL nobody").split()
        done = job.folder / f"{name}.done"
        if where == f"{job.label}@{info['epoch']}" and not done.exists():
            done.touch()
            number = signal.Signals[name]
            if whom == "study":
                os.killpg(0, number)
            elif whom == "parent":  # On a cluster: the actor.
                os.kill(os.getppid(), number)
                time.sleep(60)
            else:
                os.kill(os.getpid(), number)
        return on_epoch(info)

    return loop.train(job, killing)


if __name__ == "__main__":
    from tests.search import interrupted  # By its real name, so that the workers find it.

    with patch("harness.search.run.work", interrupted.train):
        cli.run(study.main)
