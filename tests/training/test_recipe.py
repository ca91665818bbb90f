"""What a schedule may ask for: frozen stages, a slower backbone, late crops, skipped evaluations, ignored faces."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.core.arch import ARCHS
from harness.core.data import DataConfig
from harness.core.evaluation import EvalConfig
from harness.core.training import CROPS, TrainConfig
from harness.errors import InputError
from harness.models.builder import build
from harness.models.detector import Detector, RawOutput
from harness.models.initial import initialise
from harness.models.weights import read_tensors, save_weights
from harness.training.checkpoint import CHECKPOINT
from harness.training.job import WEIGHTS, Job
from harness.training.loop import train
from harness.training.setup import augmentation, parameter_groups, prepare
from tests.toy import SEED, THREADS

pytestmark = pytest.mark.trains

TRAIN = TrainConfig(epochs=2, batch=8, lr=2e-3)


def go_on(_: dict[str, Any]) -> bool:
    return True


@pytest.fixture
def job(tmp_path: Path, cache: Path) -> Job:
    start = tmp_path / "start.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(11)
        save_weights(build(ARCHS["v2"]), start)
    return Job(
        label="v2",
        arch=ARCHS["v2"],
        seed=SEED + 5,
        train=TRAIN,
        data=DataConfig(size=64, train_images=16, search_images=8, val_images=8),
        evaluation=EvalConfig(max_detections=50),
        folder=tmp_path / "v2",
        cache=cache,
        init_backbone=start,
        threads=THREADS,
    )


@pytest.mark.parametrize("stages", [1, 3])
def test_frozen_stages_stay_bit_by_bit_and_all_else_is_trained(job: Job, stages: int) -> None:
    train(replace(job, train=replace(TRAIN, frozen_stages=stages)), go_on)
    before, after = read_tensors(job.init_backbone or Path()), read_tensors(job.folder / WEIGHTS)
    frozen = tuple(f"backbone.stage{number}." for number in range(1, stages + 1))
    trained = tuple(f"backbone.stage{number}." for number in range(stages + 1, 4))
    for name, value in after.items():
        if name.startswith(frozen):
            assert torch.equal(value, before[name]), name
    moved = [name for name in after if name.startswith(trained) and not torch.equal(after[name], before[name])]
    assert len(moved) == len([name for name in after if name.startswith(trained)])


def test_a_backbone_without_the_stages_is_refused(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    student = build(job.arch)
    del student.backbone.stage2
    monkeypatch.setattr("harness.training.setup.build", lambda _: student)
    with pytest.raises(InputError, match="frozen_stages is 2, and the backbone has no stage2; give 0"):
        prepare(replace(job, init_backbone=None, train=replace(TRAIN, frozen_stages=2)))


def test_every_parameter_is_trained_at_one_rate_and_the_backbone_at_its_own() -> None:
    student = build(ARCHS["v2"])
    groups = parameter_groups(student, None, replace(TRAIN, backbone_lr=0.1, weight_decay=0.5))
    rates = {id(p): (group["factor"], group["weight_decay"]) for group in groups for p in group["params"]}
    assert len(rates) == sum(len(group["params"]) for group in groups) == len(list(student.parameters()))
    for name, parameter in student.named_parameters():
        factor, decay = rates[id(parameter)]
        assert factor == (0.1 if name.startswith("backbone.") else 1.0)
        assert decay == (0.5 if parameter.ndim > 1 else 0.0)


def test_the_backbone_moves_by_its_share_of_the_rate(job: Job) -> None:
    """Adam's first step is the learning rate, whatever the gradient: so the step shows the rate."""
    once = TrainConfig(epochs=1, batch=16, lr=1e-3, warmup=0.0, weight_decay=0.0, backbone_lr=0.25)
    train(replace(job, train=once), go_on)
    fresh = build(job.arch)
    initialise(fresh, job.seed)
    head = dict(fresh.named_parameters())
    before, after = read_tensors(job.init_backbone or Path()), read_tensors(job.folder / WEIGHTS)
    step = {name: (after[name] - value).abs() for name, value in before.items() if name.startswith("backbone.stage2.")}
    weights = torch.cat([moved.flatten() for name, moved in step.items() if name.endswith("0.0.weight")])
    assert weights.median().item() == pytest.approx(0.25e-3, rel=0.02)
    name = next(n for n, value in head.items() if n.startswith("head.") and value.ndim > 1)
    assert (after[name] - head[name].detach()).abs().median().item() == pytest.approx(1e-3, rel=0.02)


def test_evaluations_are_skipped_but_not_the_last(job: Job) -> None:
    result = train(replace(job, train=replace(TRAIN, epochs=3, evaluate_every=2)), go_on)
    assert [bool(info["ap"]) for info in result.epochs] == [False, True, True]
    assert result.search_ap == result.epochs[-1]["ap"]
    assert result.epochs[0]["evaluate_seconds"] < result.epochs[1]["evaluate_seconds"]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Return a list that receives the shape of every batch that a network is trained on."""
    shapes: list[tuple[int, ...]] = []
    raw = Detector.raw

    def watched(self: Detector, images: torch.Tensor) -> RawOutput:
        if self.training:
            shapes.append(tuple(images.shape))
        return raw(self, images)

    monkeypatch.setattr(Detector, "raw", watched)
    return shapes


def test_a_step_with_large_crops_has_as_many_pixels_in_images_of_twice_the_side(
    job: Job, seen: list[tuple[int, ...]]
) -> None:
    train(replace(job, train=replace(TRAIN, epochs=1, large_crops=1)), go_on)
    assert seen == [(2, 3, 128, 128)] * 3, "five of the 16 images in a step"


@pytest.mark.parametrize(("clip", "clipped"), [(1e-6, 1.0), (1e6, 0.0)])
def test_the_share_of_clipped_steps_is_told(job: Job, clip: float, clipped: float) -> None:
    result = train(replace(job, train=replace(TRAIN, clip=clip)), go_on)
    assert [info["clipped"] for info in result.epochs] == [clipped] * 2
    assert all(1e-6 < info["gradient_norm"] < 1e6 for info in result.epochs)


def test_a_schedule_with_everything_resumes_as_if_never_interrupted(job: Job, tmp_path: Path) -> None:
    everything = TrainConfig(
        epochs=3, batch=8, lr=2e-3, backbone_lr=0.1, frozen_stages=1, ignore_unmatched=True, crops="scrfd",
        large_crops=1, ema=0.9, evaluate_every=2,
    )  # fmt: skip
    whole = replace(job, train=everything)
    train(whole, go_on)
    cut = replace(whole, folder=tmp_path / "cut")
    train(cut, lambda info: info["epoch"] < 2)
    assert (cut.folder / CHECKPOINT).exists()
    train(cut, go_on)
    ours, theirs = read_tensors(whole.folder / WEIGHTS), read_tensors(cut.folder / WEIGHTS)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_ignored_faces_stay_in_the_sample() -> None:
    assert augmentation(TRAIN).least == 4.0
    assert augmentation(replace(TRAIN, ignore_unmatched=True)).least == 1.0
    assert augmentation(replace(TRAIN, crops="scrfd")).scales == CROPS["scrfd"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone_lr": 0.0}, r"backbone_lr is a factor in \(0, 1\], got 0.0"),
        ({"frozen_stages": 4}, "frozen_stages lies in 0 … 3, got 4"),
        ({"crops": "yolo"}, r"unknown crops 'yolo' \(known: retinaface, scrfd\)"),
        ({"large_crops": -1}, "large_crops takes the place of 4 crops each and must leave some of 32, got -1"),
        ({"large_crops": 8}, "large_crops takes the place of 4 crops each and must leave some of 32, got 8"),
        ({"large_crops": 1, "batch": 18}, "batch must be a multiple of 4 with large_crops, got 18"),
        ({"evaluate_every": 0}, "evaluate_every must be positive, got 0"),
        ({"evaluate_every": 2, "patience": 1}, "patience compares every epoch: evaluate_every must be 1, got 2"),
        ({"box_weight": -1.0}, "loss weights are not negative and not all 0"),
        ({"box_weight": 0.0, "class_weight": 0.0, "landmark_weight": 0.0}, "not all 0"),
    ],
)
def test_schedules_that_cannot_be_run_cannot_be_made(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainConfig(**change)


def test_evaluations_and_sides_follow_from_the_schedule() -> None:
    config = TrainConfig(epochs=7, evaluate_every=3)
    assert [epoch for epoch in range(1, 8) if config.evaluates(epoch)] == [3, 6, 7]
    assert config.side(320) == 320
    assert replace(config, large_crops=2).side(320) == 640
