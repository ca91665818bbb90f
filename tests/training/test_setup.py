"""What a CUDA device does otherwise, tried on the CPU: images that lie on it, and bfloat16."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness.core.arch import ARCHS
from harness.core.protocol import DataConfig, DistillConfig, EvalConfig, TrainConfig
from harness.models.builder import build
from harness.models.weights import save_weights
from harness.training.job import Job
from harness.training.loop import train_epoch
from harness.training.setup import Setup, prepare
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


@pytest.mark.trains
def test_bfloat16_has_nearly_the_same_losses(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a CUDA device does, here on the CPU: networks and adapters in bfloat16, losses and weights in float32.

    One step, since from the second on, losses depend on how the first one was rounded.
    """
    with torch.random.fork_rng():
        torch.manual_seed(7)
        save_weights(build(ARCHS["v1"]), tmp_path / "v1.safetensors")
    distill, once = DistillConfig(feature_weight=0.5), replace(job.train, batch=12)
    job = replace(job, train=once, distill=distill, teacher=tmp_path / "v1.safetensors", teacher_arch=ARCHS["v1"])
    with images_of(tmp_path):
        exact, half = prepare(job), prepare(replace(job, folder=tmp_path / "half"))
        expected, _ = train_epoch(exact, 1, None)
        monkeypatch.setattr(Setup, "autocast", lambda _: torch.autocast("cpu", torch.bfloat16))
        found, _ = train_epoch(half, 1, None)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] != value
        assert found[name] == pytest.approx(value, rel=0.2), name
    assert {parameter.dtype for parameter in half.parameters} == {torch.float32}
