"""A training that another study has finished is read, not run again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.core.arch import ARCHS
from harness.core.data import DataConfig
from harness.core.evaluation import EvalConfig
from harness.core.record import TrialRecord
from harness.core.training import TrainConfig
from harness.models.weights import file_digest
from harness.training.checkpoint import CHECKPOINT, write_checkpoint
from harness.training.job import WEIGHTS, Job
from harness.training.loop import train
from harness.training.reuse import Finished, fingerprint
from tests.toy import SEED, THREADS

IMAGES = ("training images", "search split")


@pytest.fixture
def job(tmp_path: Path, cache: Path) -> Job:
    return Job(
        label="v2",
        arch=ARCHS["v2"],
        seed=SEED,
        train=TrainConfig(epochs=2, batch=8),
        data=DataConfig(size=64, train_images=16, search_images=8, val_images=8),
        evaluation=EvalConfig(),
        folder=tmp_path / "one" / "trials" / "0003",
        cache=cache,
        threads=THREADS,
    )


def record(job: Job, state: str = "complete") -> TrialRecord:
    made = TrialRecord(job.label, "candidate", state=state, training=fingerprint(job, IMAGES))
    made.provenance = [{"commit": "abc"}]
    made.save(job.folder)
    return made


def checkpoint(folder: Path) -> bytes:
    write_checkpoint(folder, {"identity": {}, "student": torch.arange(9.0)})
    return (folder / CHECKPOINT).read_bytes()


@pytest.mark.trains
def test_the_result_is_that_of_the_training_and_no_step_is_run(job: Job, tmp_path: Path) -> None:
    steps: list[int] = []

    def run(of: Job) -> list[dict[str, Any]]:
        return train(of, lambda _: True, lambda step, _: steps.append(step)).epochs

    epochs = run(job)
    assert steps
    steps.clear()
    record(job)
    other = replace(job, folder=tmp_path / "other" / "trials" / "v2")
    earlier = Finished(tmp_path).lend(fingerprint(other, IMAGES), other.folder)
    assert earlier is not None
    assert (earlier.name, earlier.provenance) == ("one/0003", [{"commit": "abc"}])
    assert run(other) == epochs
    assert steps == []
    assert file_digest(other.folder / WEIGHTS) == file_digest(job.folder / WEIGHTS)


def test_only_a_finished_training_with_a_checkpoint_is_lent(job: Job, tmp_path: Path) -> None:
    target = tmp_path / "other" / "trials" / "v2"
    training = record(job, "running").training
    assert Finished(tmp_path).lend(training, target) is None
    record(job)
    assert Finished(tmp_path).lend(training, target) is None
    theirs = checkpoint(job.folder)
    assert Finished(tmp_path).lend("another training", target) is None
    assert not target.exists()
    assert Finished(tmp_path).lend(training, target) is not None
    assert (target / CHECKPOINT).read_bytes() == theirs


def test_a_damaged_checkpoint_is_not_lent(job: Job, tmp_path: Path) -> None:
    training, target = record(job).training, tmp_path / "other" / "trials" / "v2"
    damaged = bytearray(checkpoint(job.folder))
    damaged[damaged.index(torch.arange(9.0).numpy().tobytes())] ^= 1
    (job.folder / CHECKPOINT).write_bytes(damaged)
    assert Finished(tmp_path).lend(training, target) is None
    assert not target.exists()


def test_a_training_that_has_begun_goes_on_from_its_own_checkpoint(job: Job, tmp_path: Path) -> None:
    training = record(job).training
    checkpoint(job.folder)
    target = tmp_path / "other" / "trials" / "v2"
    target.mkdir(parents=True)
    (target / CHECKPOINT).write_bytes(b"mine")
    assert Finished(tmp_path).lend(training, target) is None
    assert (target / CHECKPOINT).read_bytes() == b"mine"


def test_a_damaged_record_of_another_study_is_left_alone(job: Job, tmp_path: Path) -> None:
    training = record(job).training
    checkpoint(job.folder)
    broken = tmp_path / "broken" / "trials" / "0000"
    broken.mkdir(parents=True)
    (broken / CHECKPOINT).write_bytes(b"")
    (broken / "record.json").write_text("{")
    assert Finished(tmp_path).lend(training, tmp_path / "other") is not None


@pytest.mark.parametrize(
    "change",
    [
        {"seed": SEED + 1},
        {"arch": ARCHS["v2_as_written"]},
        {"threads": THREADS + 1},
        {"train": TrainConfig(epochs=3, batch=8)},
        {"evaluation": EvalConfig(nms_iou=0.5)},
    ],
)
def test_whatever_decides_the_result_is_in_the_fingerprint(job: Job, change: dict[str, Any]) -> None:
    assert fingerprint(replace(job, **change), IMAGES) != fingerprint(job, IMAGES)


def test_names_and_places_are_not(job: Job, tmp_path: Path) -> None:
    moved = replace(job, label="other", folder=tmp_path / "elsewhere", data=replace(job.data, source="moved"))
    assert fingerprint(moved, IMAGES) == fingerprint(job, IMAGES)
    assert fingerprint(job, ("other images", "search split")) != fingerprint(job, IMAGES)
