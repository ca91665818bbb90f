"""Training on a CUDA device, against the CPU; skipped where there is none."""

import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from harness.core.arch import ARCHS
from harness.core.data import DataConfig
from harness.core.evaluation import EvalConfig
from harness.core.training import DistillConfig, TrainConfig
from harness.models.builder import build
from harness.models.weights import save_weights
from harness.training.job import Job
from harness.training.loop import train, train_epoch
from harness.training.setup import prepare
from tests.training.golden import images_of

pytestmark = [
    pytest.mark.trains,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        save_weights(build(ARCHS["v1"]), tmp_path / "v1.safetensors")
    return Job(
        label="v2",
        arch=ARCHS["v2"],
        seed=5,
        train=TrainConfig(epochs=2, batch=12, ema=0.9, ignore_unmatched=True, landmark_weight=0.1),
        data=DataConfig(size=64, train_images=12, search_images=3),
        evaluation=EvalConfig(),
        folder=tmp_path / "job",
        cache=tmp_path,
        distill=DistillConfig(feature_weight=0.5),
        teacher=tmp_path / "v1.safetensors",
        teacher_arch=ARCHS["v1"],
        device="cuda",
    )


def test_a_step_has_the_losses_of_the_cpu(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.models.device.has_bfloat16", lambda _: False)
    with images_of(tmp_path):
        ours, _ = train_epoch(prepare(job), 1, None)
        theirs, _ = train_epoch(prepare(replace(job, device="cpu")), 1, None)
    assert ours == pytest.approx(theirs, rel=0.03, abs=3e-3)  # The pixels differ by rounding.


def test_no_step_waits_for_the_device(job: Job, tmp_path: Path) -> None:
    counts = []
    for batch in (12, 3):  # One step in an epoch, and four.
        once = replace(job, train=replace(job.train, batch=batch), folder=tmp_path / str(batch))
        with images_of(tmp_path):
            setup = prepare(once)
            train_epoch(setup, 1, None)
            torch.cuda.set_sync_debug_mode("warn")
            with warnings.catch_warnings(record=True) as waits:
                warnings.simplefilter("always")
                train_epoch(setup, 2, None)
            torch.cuda.set_sync_debug_mode("default")
        counts.append(len([wait for wait in waits if "synchronizing" in str(wait.message)]))
    assert counts[0] == counts[1] > 0


def test_a_training_ends_and_resumes(job: Job, tmp_path: Path) -> None:
    with images_of(tmp_path):
        whole = train(job, lambda _: True)
        other = replace(job, folder=tmp_path / "other")
        assert train(other, lambda info: info["epoch"] < 1).state == "pruned"
        resumed = train(other, lambda _: True)
    assert resumed.search_ap == pytest.approx(whole.search_ap, abs=0.05)
    assert [info["losses"]["total"] for info in resumed.epochs] == pytest.approx(
        [info["losses"]["total"] for info in whole.epochs], rel=1e-2
    )
