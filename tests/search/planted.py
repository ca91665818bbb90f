"""Work for real workers: the APs of ``stub.Plan``, with checkpoints and with kills that a test plants.

A file ``kill`` in the study's folder has lines such as ``0001@2``: after the checkpoint of that epoch, the process that
started the worker process is killed, once; in an actor's worker that is the actor.
"""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from harness.data.faces import FaceSet
from harness.training.job import Job, TrainResult
from tests.search.stub import Plan

TRAINED = "trained.txt"
"""In a training's folder: one line per epoch that was trained, with the epoch and the process of the node."""


def work(job: Job, on_epoch: Callable[[dict[str, Any]], bool]) -> TrainResult:
    """Train as ``stub.Plan`` does; what the checkpoint has is reported and not trained again."""
    job.folder.mkdir(parents=True, exist_ok=True)
    node = os.environ.get("RAY_RAYLET_PID", "here")
    with patch("harness.training.grade.predict", _nothing):
        steps = Plan().train(job)
        answer = None
        while True:
            try:
                info = next(steps) if answer is None else steps.send(answer)
            except StopIteration as ended:
                result: TrainResult = ended.value
                return result
            if info["epoch"] > len(trained(job.folder)):
                with (job.folder / TRAINED).open("a", encoding="utf-8") as checkpoint:
                    checkpoint.write(f"{info['epoch']} {node}\n")
                _die(job, f"{job.label}@{info['epoch']}")
            answer = on_epoch(info)


def _nothing(_: Any, faces: FaceSet, *__: Any, **___: Any) -> list[NDArray[np.float32]]:
    return [np.zeros((0, 15), np.float32)] * len(faces)


def trained(folder: Path) -> list[tuple[int, str]]:
    """Return the epochs that were trained, and the node of each."""
    path = folder / TRAINED
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [(int(epoch), node) for epoch, node in map(str.split, lines)]


def _die(job: Job, here: str) -> None:
    kills = job.folder.parents[1] / "kill"
    if kills.exists() and here in kills.read_text(encoding="utf-8").split():
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)  # The end of the actor ends this process too.
