"""The two ways in which a training gets its images."""

from pathlib import Path

import pytest
import torch

from harness.core.arch import ARCHS
from harness.core.protocol import DataConfig, EvalConfig, TrainConfig
from harness.training.job import Job
from harness.training.setup import prepare
from tests.training.golden import images_of


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(
        label="v2",
        arch=ARCHS["v2"],
        seed=5,
        train=TrainConfig(epochs=1, batch=5, crops="scrfd"),
        data=DataConfig(size=64, train_images=12, search_images=3),
        evaluation=EvalConfig(),
        folder=tmp_path / "job",
        cache=tmp_path,
        threads=torch.get_num_threads(),
    )


def test_images_on_the_device_are_those_of_the_loaders(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with images_of(tmp_path):
        usual, other = prepare(job), prepare(job)
    expected = list(usual.batches(1))
    assert usual.pixels is None, "a CPU has no use for a copy of them"
    monkeypatch.setattr("harness.training.setup.room_for_images", lambda _: 2**30)
    found = list(other.batches(1))
    assert other.pixels is not None
    assert len(found) == len(expected) == 2
    for (images, targets), (their_images, their_targets) in zip(found, expected, strict=True):
        difference = (images - their_images).abs()
        assert difference.max() <= 6
        assert difference.mean() < 0.2
        assert targets.counts == their_targets.counts
        assert torch.equal(targets.boxes, their_targets.boxes)
        assert torch.equal(targets.landmarks.nan_to_num(-7), their_targets.landmarks.nan_to_num(-7))
