"""Training end to end on a few scenes: resumption, pruning, distillation, grading, refusals."""

import itertools
import json
import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pytest
import torch

from harness.core.arch import ARCHS
from harness.core.data import DataConfig
from harness.core.evaluation import EvalConfig
from harness.core.training import DistillConfig, TrainConfig
from harness.data import load_split
from harness.data.batches import batches
from harness.data.truth import GroundTruth
from harness.errors import DataError, InputError, NonFiniteLossError
from harness.evaluation.ap import APResult, evaluate_ap
from harness.models.builder import build
from harness.models.initial import initialise
from harness.models.weights import file_digest, init_backbone, load_weights, read_tensors, save_weights
from harness.training import loop, partway
from harness.training.checkpoint import CHECKPOINT, EARLIER
from harness.training.grade import search_ap
from harness.training.job import PREDICTIONS, WEIGHTS, Job, TrainResult
from harness.training.loop import train
from harness.training.schedule import MovingAverage, learning_rate
from harness.training.setup import prepare
from tests.toy import SEED, THREADS

pytestmark = pytest.mark.trains

DATA = DataConfig(size=64, train_images=16, search_images=8, val_images=8)
TRAIN = TrainConfig(epochs=3, batch=8, lr=2e-3)
DISTILL = DistillConfig(alpha=0.7, feature_weight=0.5)


def go_on(_: dict[str, Any]) -> bool:
    return True


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("teacher") / "v1.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(1_007)
        save_weights(build(ARCHS["v1"]), path)
    return path


@pytest.fixture
def job(tmp_path: Path, cache: Path, teacher: Path) -> Job:
    return Job(
        label="v2",
        arch=ARCHS["v2"],
        seed=SEED + 3,
        train=TRAIN,
        data=DATA,
        evaluation=EvalConfig(max_detections=50),
        folder=tmp_path / "v2",
        cache=cache,
        distill=DISTILL,
        teacher=teacher,
        teacher_arch=ARCHS["v1"],
        init_backbone=teacher,
        grade=True,
        threads=THREADS,
    )


class End(NamedTuple):
    """How a training ends early in its second epoch, whose steps are 3 and 4.

    Attributes:
        number: the signal that it gets.
        step: the step at whose end it gets it; 0: in the evaluation.
        every: seconds between two checkpoints within an epoch.
        resumes: the first step after that.
    """

    number: signal.Signals
    step: int
    every: float
    resumes: int


ENDS = {
    "killed": End(signal.SIGKILL, 3, 300.0, resumes=3),
    "killed after a checkpoint within the epoch": End(signal.SIGKILL, 4, -1.0, resumes=4),
    "preempted in a step": End(signal.SIGTERM, 3, 300.0, resumes=4),
    "preempted in the last step": End(signal.SIGTERM, 4, 300.0, resumes=5),
    "preempted in the evaluation": End(signal.SIGTERM, 0, 300.0, resumes=5),
}


def end_early(job: Job, end: End) -> None:
    partway.EVERY = end.every
    evaluations = itertools.count(1)

    def on_batch(step: int, _: int) -> None:
        if step == end.step:
            os.kill(os.getpid(), end.number)

    def evaluate(*of: Any) -> dict[str, float | None]:
        if next(evaluations) == 2 and not end.step:
            os.kill(os.getpid(), end.number)
        return search_ap(*of)

    with patch.object(loop, "search_ap", evaluate):
        train(job, go_on, on_batch)


def without_times(result: TrainResult) -> list[dict[str, Any]]:
    return [{k: v for k, v in info.items() if not k.endswith("seconds")} for info in result.epochs]


@pytest.mark.parametrize("schedule", [TRAIN, replace(TRAIN, ema=0.5, patience=3)], ids=["plain", "averaged"])
@pytest.mark.parametrize("how", ENDS)
def test_a_killed_and_resumed_training_gives_the_same_result(
    job: Job, how: str, schedule: TrainConfig, tmp_path: Path
) -> None:
    job, end = replace(job, train=schedule), ENDS[how]
    whole = train(job, go_on)
    killed = replace(job, folder=tmp_path / "killed")
    process = multiprocessing.get_context("spawn").Process(target=end_early, args=(killed, end))
    process.start()
    process.join(120)
    assert process.exitcode == -end.number
    assert (killed.folder / CHECKPOINT).exists()
    assert not (killed.folder / WEIGHTS).exists()

    heard: list[int] = []
    steps: list[int] = []

    def on_epoch(info: dict[str, Any]) -> bool:
        heard.append(info["epoch"])
        return True

    resumed = train(killed, on_epoch, lambda step, _: steps.append(step))
    assert heard == [1, 2, 3]
    assert steps == list(range(end.resumes, 7))
    assert without_times(resumed) == without_times(whole)
    assert (resumed.search_ap, resumed.ap, resumed.curves) == (whole.search_ap, whole.ap, whole.curves)
    ours, theirs = read_tensors(job.folder / WEIGHTS), read_tensors(killed.folder / WEIGHTS)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert (job.folder / PREDICTIONS).read_bytes() == (killed.folder / PREDICTIONS).read_bytes()


def test_on_epoch_receives_every_term_of_every_epoch(job: Job) -> None:
    heard: list[dict[str, Any]] = []
    steps: list[tuple[int, int]] = []

    def on_epoch(info: dict[str, Any]) -> bool:
        heard.append(info)
        return True

    result = train(job, on_epoch, lambda step, of: steps.append((step, of)))
    assert heard == result.epochs
    assert [info["epoch"] for info in heard] == [1, 2, 3]
    assert steps == [(step, 6) for step in range(1, 7)]
    names = {"box", "class", "landmark", "distill_class", "distill_box", "distill_landmark", "feature", "total"}
    for info in heard:
        assert set(info["losses"]) == names
        assert set(info["ap"]) == {"easy", "medium", "hard", "mean"}
        losses = info["losses"]
        truth = 2 * losses["box"] + losses["class"] + losses["landmark"]
        taught = losses["distill_class"] + losses["distill_box"] + losses["distill_landmark"]
        assert losses["total"] == pytest.approx(0.3 * truth + 0.7 * taught + 0.5 * losses["feature"], rel=1e-4)
    assert result.state == "complete"
    assert result.search_ap == heard[-1]["ap"]
    assert result.seconds["train"] == sum(info["seconds"] for info in heard) > 0
    assert result.seconds["evaluate"] > sum(info["evaluate_seconds"] for info in heard) > 0, "grading takes time too"
    json.dumps(result.epochs, allow_nan=False)
    json.dumps([result.curves, result.landmark], allow_nan=False)


def test_the_predictions_of_every_validation_image_are_kept(job: Job) -> None:
    train(replace(job, train=replace(TRAIN, epochs=1)), go_on)
    with np.load(job.folder / PREDICTIONS, allow_pickle=False) as stored:
        assert len(stored["ids"]) == DATA.val_images
        assert stored["offsets"].shape == (DATA.val_images + 1,)
        assert stored["detections"].shape == (stored["offsets"][-1], 15)


def test_training_starts_from_the_backbone_it_is_given_and_from_the_seed(job: Job, teacher: Path) -> None:
    """At a rate of almost zero the weights that are kept are those that training started from."""
    train(replace(job, train=TrainConfig(epochs=1, batch=8, lr=1e-12)), go_on)
    kept, given = read_tensors(job.folder / WEIGHTS), read_tensors(teacher)
    fresh = build(job.arch)
    initialise(fresh, job.seed)
    drawn = dict(fresh.named_parameters())
    for name, value in drawn.items():
        start = given[name] if name.startswith("backbone.") else value.detach()
        torch.testing.assert_close(kept[name], start, rtol=0, atol=1e-9)
    assert any(not torch.equal(given[name], value) for name, value in drawn.items() if name.startswith("backbone."))


def test_the_network_that_is_left_is_the_one_that_was_evaluated(job: Job) -> None:
    result = train(job, go_on)
    student = build(ARCHS["v2"]).eval()
    load_weights(student, job.folder / WEIGHTS)
    assert search_ap(job, student) == result.search_ap


def test_a_pruned_training_stops_and_says_so(job: Job) -> None:
    result = train(job, lambda info: info["epoch"] < 2)
    assert result.state == "pruned"
    assert len(result.epochs) == 2
    assert (result.search_ap, result.ap) == (result.epochs[-1]["ap"], {})
    assert not (job.folder / WEIGHTS).exists()


@pytest.mark.parametrize("graded", [True, False])
def test_epochs_read_the_search_split_and_the_validation_images_only_grade(
    job: Job, graded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[list[str]] = []

    def watched(detections: Any, truth: GroundTruth) -> APResult:
        read.append(truth.ids)
        return evaluate_ap(detections, truth)

    monkeypatch.setattr("harness.training.grade.evaluate_ap", watched)
    result = train(replace(job, grade=graded, train=replace(TRAIN, epochs=2)), go_on)
    search, val = (load_split(job.data, split, job.cache) for split in ("search", "val"))
    assert read == [search.ids, search.ids, *([val.ids] if graded else [])]
    assert bool(result.ap) == bool(result.curves) == graded
    assert (job.folder / PREDICTIONS).exists() == graded


def test_a_trained_network_is_graded_without_being_trained_again(job: Job, tmp_path: Path) -> None:
    train(replace(job, grade=False), go_on)
    weights = (job.folder / WEIGHTS).read_bytes()
    steps: list[int] = []
    later = train(job, go_on, lambda step, _: steps.append(step))
    assert steps == []
    assert (job.folder / WEIGHTS).read_bytes() == weights
    at_once = train(replace(job, folder=tmp_path / "at once"), go_on)
    assert (later.ap, later.search_ap) == (at_once.ap, at_once.search_ap)


def test_training_without_a_teacher_needs_none(job: Job) -> None:
    alone = replace(job, distill=DistillConfig(alpha=0.0), teacher=None, teacher_arch=None, init_backbone=None)
    result = train(replace(alone, train=replace(TRAIN, epochs=1)), go_on)
    assert set(result.epochs[0]["losses"]) == {"box", "class", "landmark", "total"}


def test_a_batch_that_is_seen_again_and_again_is_learned(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = next(iter(batches(load_split(job.data, "train", job.cache), job.data.size, 8, 0, 1)))
    monkeypatch.setattr("harness.training.loop.shown", lambda *_: iter([(*batch, None)]))
    monkeypatch.setattr("harness.training.loop.search_ap", lambda *_: {"mean": 0.0})
    schedule = TrainConfig(epochs=20, batch=16, lr=4e-3)
    result = train(replace(job, grade=False, distill=None, train=schedule), go_on)
    losses = [info["losses"]["total"] for info in result.epochs]
    assert losses[-1] < 0.8 * losses[0]


def test_another_seed_is_another_training(job: Job, tmp_path: Path) -> None:
    short = replace(job, train=replace(TRAIN, epochs=1))
    first = train(short, go_on).epochs[0]["losses"]["total"]
    again = train(replace(short, folder=tmp_path / "again"), go_on).epochs[0]["losses"]["total"]
    other = train(replace(short, folder=tmp_path / "other", seed=job.seed + 1), go_on).epochs[0]["losses"]["total"]
    assert first == again
    assert first != other


def test_divergence_ends_with_every_term_named(job: Job, tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    detector = build(ARCHS["v1"])
    with torch.no_grad():
        next(detector.backbone.parameters()).fill_(float("inf"))
    save_weights(detector, broken)
    with pytest.raises(NonFiniteLossError, match=r"v2: the loss is not finite in epoch 1, step 0: box .*total nan"):
        train(replace(job, init_backbone=broken), go_on)


def test_a_checkpoint_of_another_training_is_set_aside(job: Job) -> None:
    one_epoch = replace(job, train=replace(TRAIN, epochs=1))
    other = replace(one_epoch, seed=job.seed + 1)
    train(other, go_on)
    digest = file_digest(other.folder / WEIGHTS)
    train(one_epoch, go_on)
    assert file_digest(job.folder / WEIGHTS) != digest
    assert (job.folder / f"{CHECKPOINT}.unusable").exists()


def test_a_damaged_checkpoint_costs_one_epoch_and_changes_nothing(job: Job, tmp_path: Path) -> None:
    whole = train(replace(job, folder=tmp_path / "whole"), go_on)

    def stop(info: dict[str, Any]) -> bool:
        if info["epoch"] == 2:
            raise KeyboardInterrupt
        return True

    with pytest.raises(KeyboardInterrupt):
        train(job, stop)
    (job.folder / CHECKPOINT).write_bytes(b"half of it")
    steps: list[int] = []
    found = train(job, go_on, lambda step, _: steps.append(step))
    assert [info["losses"] for info in found.epochs] == [info["losses"] for info in whole.epochs]
    assert file_digest(job.folder / WEIGHTS) == file_digest(tmp_path / "whole" / WEIGHTS)
    assert len(steps) == steps[-1] * (TRAIN.epochs - 1) // TRAIN.epochs, "the first epoch is read"
    assert not (job.folder / EARLIER).exists(), "a training that has ended keeps one"


def test_a_full_disk_is_an_os_error_and_the_last_checkpoint_stays(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    train(replace(job), lambda _: False)
    before = (job.folder / CHECKPOINT).read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        train(job, go_on)
    assert (job.folder / CHECKPOINT).read_bytes() == before
    assert [path.name for path in job.folder.iterdir()] == [CHECKPOINT]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"device": "tpu"}, "device 'tpu'"),
        ({"device": "cuda:99"}, "device 'cuda:99' is not there: PyTorch sees"),
        ({"device": "meta"}, "device 'meta' is not supported"),
        ({"teacher": None}, "distillation needs a teacher"),
    ],
)
def test_jobs_that_cannot_run_are_refused(job: Job, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        train(replace(job, **change), go_on)


def test_a_search_split_that_has_no_ap_is_refused(job: Job) -> None:
    with pytest.raises(DataError, match="search holds no face of the list 'easy', so it has no AP: use more search_im"):
        train(replace(job, data=replace(DATA, search_images=1)), go_on)


def test_a_teacher_of_another_architecture_is_refused(job: Job) -> None:
    with pytest.raises(InputError, match=r"v1.safetensors does not fit this architecture"):
        train(replace(job, teacher_arch=ARCHS["v2"]), go_on)


def test_the_learning_rate_rises_and_falls() -> None:
    config = TrainConfig(lr=0.01, warmup=0.1)
    rates = [learning_rate(config, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.001)
    assert rates[9] == rates[10] == 0.01
    assert max(rates) == 0.01
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))
    assert 0 < rates[-1] < 1e-5
    assert learning_rate(replace(config, warmup=0.0), 0, 100) == 0.01


def test_the_statistics_of_a_short_epoch_are_those_of_its_batches(job: Job) -> None:
    one_step = replace(job, distill=None, train=TrainConfig(epochs=1, batch=16, lr=5e-3))
    train(one_step, go_on)
    trained = build(job.arch)
    load_weights(trained, job.folder / WEIGHTS)
    untrained = build(job.arch)
    initialise(untrained, job.seed)
    init_backbone(untrained, job.init_backbone or Path())
    for module in untrained.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    faces = load_split(job.data, "train", job.cache)
    with torch.no_grad(), prepare(one_step).autocast():
        untrained.train().raw(next(iter(batches(faces, job.data.size, 16, job.seed, 1))).images)
    for found, wanted in zip(trained.buffers(), untrained.buffers(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_a_moving_average_follows_the_weights_and_forgets_the_first_ones() -> None:
    module: Any = torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False), torch.nn.BatchNorm1d(1))
    average = MovingAverage(module, 0.6)
    wanted, values = 0.0, [3.0, 1.0, -2.0, 5.0, 4.0, 4.5, -1.0, 0.0, 2.0, 7.0]
    for step, value in enumerate(values):
        torch.nn.init.constant_(module[0].weight, value)
        torch.nn.init.constant_(module[1].running_mean, value)
        average.update()
        decay = min(0.6, (1 + step) / (10 + step))
        wanted = value if step == 0 else decay * wanted + (1 - decay) * value
        assert average.network.get_parameter("0.weight").item() == pytest.approx(wanted, rel=1e-6)
        assert average.network.get_buffer("1.running_mean").item() == value


def test_what_is_kept_is_the_average_with_the_statistics_of_the_network(job: Job, tmp_path: Path) -> None:
    short = replace(job, train=replace(TRAIN, epochs=1))
    train(short, go_on)
    averaged = replace(short, train=replace(short.train, ema=0.9), folder=tmp_path / "averaged")
    train(averaged, go_on)
    plain, kept = read_tensors(short.folder / WEIGHTS), read_tensors(averaged.folder / WEIGHTS)
    assert plain.keys() == kept.keys()
    statistics = {name for name in plain if "running" in name or "num_batches" in name}
    assert all(torch.equal(plain[name], kept[name]) for name in statistics)
    assert not any(torch.equal(plain[name], kept[name]) for name in plain if name.endswith("0.weight"))


def test_training_stops_early_and_keeps_the_best_epoch(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_two = replace(job, train=replace(TRAIN, epochs=6))
    train(at_two, lambda info: info["epoch"] < 2)
    best = torch.load(at_two.folder / CHECKPOINT, weights_only=True)["student"]

    means = iter([0.1, 0.3, 0.3, 0.2, 0.9])
    planted = lambda *of: replace(evaluate_ap(*of), mean=next(means))  # noqa: E731
    monkeypatch.setattr("harness.training.grade.evaluate_ap", planted)
    patient = replace(job, grade=False, train=replace(TRAIN, epochs=6, patience=2), folder=tmp_path / "patient")
    result = train(patient, go_on)
    assert [info["ap"]["mean"] for info in result.epochs] == [0.1, 0.3, 0.3, 0.2]
    assert result.search_ap["mean"] == 0.3
    kept = read_tensors(patient.folder / WEIGHTS)
    assert all(torch.equal(best[name], kept[name]) for name in best)
