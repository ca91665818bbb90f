"""Trainings that see the same steps compute them once, and end with the same weights as alone."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import harness.data.batches
from harness.core.arch import ARCHS
from harness.core.data import DataConfig
from harness.core.evaluation import EvalConfig
from harness.core.training import DistillConfig, TrainConfig
from harness.models.builder import build
from harness.models.weights import file_digest, save_weights
from harness.training.job import WEIGHTS, Job
from harness.training.loop import train
from harness.training.setup import Setup, prepare
from harness.training.shown import FOLDER, shown
from tests.toy import SEED, THREADS

pytestmark = pytest.mark.trains


@pytest.fixture
def job(tmp_path: Path) -> Job:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        save_weights(build(ARCHS["v1"]), tmp_path / "v1.safetensors")
    return Job(
        label="v2",
        arch=ARCHS["v2"],
        seed=SEED,
        train=TrainConfig(epochs=2, batch=8),
        data=DataConfig(size=64, train_images=16, search_images=8, val_images=8),
        evaluation=EvalConfig(),
        folder=tmp_path / "first",
        cache=tmp_path / "cache",
        distill=DistillConfig(feature_weight=0.5),
        teacher=tmp_path / "v1.safetensors",
        teacher_arch=ARCHS["v1"],
        threads=THREADS,
    )


def test_what_is_read_is_what_was_computed(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    train(job, lambda _: True)
    steps = {path.name.partition("-")[0] for path in (job.cache / FOLDER).iterdir()}
    assert steps == {"batches", "taught"}

    def refuse(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(harness.data.batches, "augment", refuse)
    monkeypatch.setattr(Setup, "taught", refuse)
    second = replace(job, folder=job.folder.with_name("second"))
    train(second, lambda _: True)
    assert file_digest(second.folder / WEIGHTS) == file_digest(job.folder / WEIGHTS)


def test_kept_steps_are_those_of_the_batches_and_the_teacher(job: Job) -> None:
    setup = prepare(job)
    for _ in range(2):
        seen = list(shown(setup, 2))
        for (images, targets, taught), (wanted, faces) in zip(seen, setup.batches(2), strict=True):
            assert torch.equal(images, wanted)
            assert images.stride() == wanted.stride()
            assert torch.equal(targets.boxes, faces.boxes)
            assert torch.equal(targets.landmarks.nan_to_num(-1), faces.landmarks.nan_to_num(-1))
            assert targets.counts == faces.counts
            answer = setup.taught(wanted)
            assert taught is not None
            assert answer is not None
            for kept, direct in zip((*taught[:3], *taught[3]), (*answer[:3], *answer[3]), strict=True):
                torch.testing.assert_close(kept, direct, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": SEED + 1},
        {"train": TrainConfig(epochs=2, batch=4)},
        {"train": TrainConfig(epochs=2, batch=8, crops="scrfd")},
        {"data": DataConfig(size=96, train_images=16, search_images=8, val_images=8)},
    ],
)
def test_trainings_that_see_something_else_have_steps_of_their_own(job: Job, change: dict[str, object]) -> None:
    for which in (job, replace(job, **change)):  # type: ignore[arg-type]
        list(shown(prepare(which), 1))
    assert len(list((job.cache / FOLDER).glob("batches-*"))) == 2


def test_trainings_with_and_without_a_teacher_share_their_batches(job: Job) -> None:
    for which in (job, replace(job, distill=None), replace(job, distill=DistillConfig())):
        list(shown(prepare(which), 1))
    assert len(list((job.cache / FOLDER).glob("batches-*"))) == 1
    assert len(list((job.cache / FOLDER).glob("taught-*"))) == 2, "with and without the teacher's maps"
