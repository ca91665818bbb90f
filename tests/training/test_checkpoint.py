"""Reading the network of a checkpoint; how trainings resume from checkpoints is tested in ``test_loop``."""

from pathlib import Path

import pytest

from harness.core.arch import ARCHS
from harness.core.protocol import DataConfig, EvalConfig, TrainConfig
from harness.errors import DataError
from harness.training.checkpoint import CHECKPOINT, load_network
from harness.training.job import Job


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job("v2", ARCHS["v2"], 0, TrainConfig(), DataConfig(), EvalConfig(), tmp_path, tmp_path)


def test_a_missing_checkpoint_is_named(job: Job) -> None:
    with pytest.raises(DataError, match=r"there is no checkpoint .*last\.pt"):
        load_network(job)


def test_an_unreadable_checkpoint_is_named(job: Job) -> None:
    (job.folder / CHECKPOINT).write_bytes(b"half a fi")
    with pytest.raises(DataError, match=r"last\.pt is not a readable checkpoint"):
        load_network(job)
