"""Gradients by loss term against those of training, and the errors of networks with known outputs."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from harness.core.arch import ARCHS
from harness.core.data import DataConfig
from harness.core.evaluation import EvalConfig
from harness.core.training import DistillConfig, TrainConfig
from harness.data import load_split
from harness.data.batches import Batch, batches
from harness.detection.boxes import encode, encode_landmarks, make_priors
from harness.detection.matching import Targets, match
from harness.diagnosis.gradients import TRUTH, GradientMeter, term_gradients, term_weights
from harness.diagnosis.prior_errors import PriorErrors
from harness.diagnosis.student import NO_ADAPTERS, begin, diagnose
from harness.errors import DataError
from harness.models.builder import build
from harness.models.detector import Detector, RawOutput
from harness.models.weights import save_weights
from harness.training import setup as training
from harness.training.checkpoint import CHECKPOINT
from harness.training.distill import Distiller
from harness.training.job import WEIGHTS, Job
from harness.training.loop import train_epoch

pytestmark = pytest.mark.trains
DATA = DataConfig(size=64, train_images=8, search_images=4, val_images=4)
ONE_STEP = TrainConfig(epochs=1, batch=8, clip=1e9)
ALONE = DistillConfig(alpha=0.0)
TAUGHT = DistillConfig(alpha=0.7, feature_weight=0.5)
PRIORS = make_priors(64, 64)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    folder = tmp_path_factory.mktemp("diagnosis")
    torch.manual_seed(7)
    save_weights(build(ARCHS["v1"]), folder / "v1.safetensors")
    return Job(
        label="v2",
        arch=ARCHS["v2"],
        seed=3,
        train=ONE_STEP,
        data=DATA,
        evaluation=EvalConfig(max_detections=50),
        folder=folder / "v2",
        cache=folder / "cache",
        distill=TAUGHT,
        teacher=folder / "v1.safetensors",
        teacher_arch=ARCHS["v1"],
        init_backbone=folder / "v1.safetensors",
    )


def first_batch(job: Job, seed: int) -> Batch:
    return next(batches(load_split(DATA, "train", job.cache), DATA.size, job.train.batch, seed, epoch=1))


@pytest.mark.parametrize("distill", [TAUGHT, replace(TAUGHT, feature_weight=0.0), ALONE], ids=["λ", "α", "alone"])
def test_the_terms_add_up_to_the_gradient_of_training(
    job: Job, distill: DistillConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compared with training's first step, whose gradients are still there, unclipped, when the epoch has ended.

    In double precision, because seven backward passes round differently from one.
    """
    job = replace(job, distill=distill)
    batch = first_batch(job, job.seed)
    batch = batch._replace(images=batch.images.double())
    steps_of = "harness.training.loop.shown"
    monkeypatch.setattr(steps_of, lambda setup, *_: iter([(*batch, setup.taught(batch.images))]))
    setup = training.prepare(job)
    for module in (setup.student, setup.teacher, setup.distiller):
        if module is not None:
            module.double()
    train_epoch(setup, 1, None)
    steps = [torch.zeros_like(p) if p.grad is None else p.grad for p in setup.student.parameters()]
    wanted = torch.cat([gradient.flatten() for gradient in steps]).double()

    student, teacher, distiller = begin(job)
    for module in (student, teacher, distiller):
        module.double()
    with torch.no_grad():
        taught = teacher.raw(batch.images)
    terms = term_gradients(student.train(), taught, batch, PRIORS, job.train, distiller)
    assert {*terms} == {name for name, weight in term_weights(job.train, distill).items() if weight}
    found = torch.stack([*terms.values()]).sum(0)
    assert (found - wanted).norm() <= 1e-6 * wanted.norm()
    assert all(gradient.norm() > 0 for gradient in terms.values())


def test_a_student_that_is_its_teacher_has_nothing_to_imitate(job: Job) -> None:
    student = build(ARCHS["v2"]).eval()
    batch = first_batch(job, seed=0)
    with torch.no_grad():
        taught = student.raw(batch.images)
    terms = term_gradients(student, taught, batch, PRIORS, job.train, Distiller(student, student, TAUGHT))
    truth = torch.stack([terms[name] for name in TRUTH]).sum(0).norm()
    imitation = {name: gradient.norm() for name, gradient in terms.items() if name not in TRUTH}
    assert {*imitation} == {"distill_class", "distill_box", "distill_landmark", "feature"}
    assert all(norm <= 1e-6 * truth for norm in imitation.values())


def test_norms_shares_and_cosines_of_known_gradients() -> None:
    student = torch.nn.Module()
    student.add_module("first", torch.nn.Linear(1, 1))
    student.add_module("none", torch.nn.Identity())
    student.add_module("last", torch.nn.Linear(1, 1, bias=False))
    box, landmark = torch.tensor([3.0, 0.0, 4.0]).double(), torch.zeros(3).double()
    meter = GradientMeter(student)
    meter.add({"box": box, "class": landmark, "landmark": landmark, "distill_box": -box, "feature": 2 * box})
    rows = meter.result()
    assert rows["box"]["norm"] == 5.0
    assert rows["box"]["parts"] == {"first": 3.0, "last": 4.0}
    assert [rows[name]["share"] for name in ("box", "distill_box", "feature")] == [0.25, 0.25, 0.5]
    assert [rows[name]["share"] for name in ("truth", "teacher", "total")] == [0.25, 0.75, 1.0]
    assert [rows[name]["cosine"] for name in ("distill_box", "feature", "teacher")] == pytest.approx([-1, 1, 1])
    assert rows["class"]["cosine"] is None
    assert rows["total"]["norm"] == 10.0


def test_gradients_that_are_all_zero_have_no_share() -> None:
    student = torch.nn.Module()
    student.add_module("only", torch.nn.Linear(1, 1))
    meter = GradientMeter(student)
    meter.add({name: torch.zeros(2).double() for name in TRUTH})
    rows = meter.result()
    assert {(row["norm"], row["share"], row["cosine"]) for row in rows.values()} == {(0.0, None, None)}


def scene() -> Targets:
    """Two images; the second face has no landmarks."""
    boxes = torch.tensor([[8.0, 8, 40, 40], [20.0, 16, 52, 48], [2, 2, 18, 18]])
    landmarks = torch.rand(3, 10, generator=torch.Generator().manual_seed(0)) * 64
    landmarks[1] = torch.nan
    return Targets(boxes, landmarks, (1, 2))


def answer(face_logits: Tensor, targets: Targets) -> RawOutput:
    """Right boxes and landmarks everywhere a prior is positive, and zeros, the prior itself, elsewhere."""
    matched = match(targets, PRIORS).face
    boxes, landmarks = torch.zeros(*matched.shape, 4), torch.zeros(*matched.shape, 10)
    image, prior = (matched >= 0).nonzero(as_tuple=True)
    boxes[image, prior] = encode(targets.boxes[matched[image, prior]], PRIORS[prior])
    points = encode_landmarks(targets.landmarks[matched[image, prior]], PRIORS[prior])
    landmarks[image, prior] = points.nan_to_num()
    unused = torch.zeros(0)
    classes = torch.stack((torch.zeros_like(face_logits), face_logits), -1)
    return RawOutput(boxes, classes, landmarks, (unused, unused, unused))


def test_a_teacher_that_sees_background_everywhere_has_no_share_of_false_alarms() -> None:
    targets = scene()
    positive = match(targets, PRIORS).face >= 0
    meter = PriorErrors(DistillConfig())
    meter.add(answer(torch.full(positive.shape, -20.0), targets), targets, PRIORS, ~positive)
    found = meter.result()
    assert found["positives"] == int(positive.sum()) > 0
    assert found["score"] == pytest.approx(0.0, abs=1e-6)
    assert found["missed_share"] == 1.0
    assert (found["confident"], found["unmatched_share"], found["false_alarm_share"]) == (0, None, None)
    chance = 1 / (1 + math.exp(5))
    bits = -chance * math.log2(chance) - (1 - chance) * math.log2(1 - chance)
    assert found["entropy_positive"] == pytest.approx(bits, rel=1e-4)
    assert (found["spread_positive"], found["spread_negative"]) == pytest.approx((0.0, 0.0), abs=1e-6)


def test_errors_and_false_alarms_are_counted_where_they_are() -> None:
    targets = scene()
    positive = match(targets, PRIORS).face >= 0
    right = answer(torch.where(positive, 20.0, -20.0), targets)
    shift = torch.zeros_like(right.boxes)
    shift[..., 0] = 3.0
    loud = right._replace(boxes=right.boxes + shift, landmarks=right.landmarks + 0.5)
    loud.classes[0, :, 1] = 20.0
    meters = {"right": PriorErrors(DistillConfig()), "loud": PriorErrors(DistillConfig())}
    meters["right"].add(right._replace(classes=right.classes.clone()), targets, PRIORS, ~positive)
    meters["loud"].add(loud, targets, PRIORS, ~positive)
    exact, wrong = meters["right"].result(), meters["loud"].result()
    assert exact["box_error"] == pytest.approx(0.0, abs=1e-5)
    assert exact["landmark_error"] == pytest.approx(0.0, abs=1e-5)
    assert wrong["box_error"] == pytest.approx(2.5, rel=1e-5)
    assert wrong["landmark_error"] == pytest.approx(10 * 0.125, rel=1e-4)
    confident = int(positive[1].sum()) + positive.shape[1]
    assert wrong["confident"] == confident
    assert wrong["unmatched_share"] == pytest.approx(int((~positive[0]).sum()) / confident)
    assert wrong["missed_share"] == 0.0


def test_a_confident_prior_beside_a_face_whose_box_is_right_is_no_false_alarm() -> None:
    targets = scene()
    matched = match(targets, PRIORS).face
    output = answer(torch.full(matched.shape, -20.0), targets)
    beside, empty = (matched[0] < 0).nonzero()[:2, 0].tolist()
    output.classes[0, [beside, empty], 1] = 20.0
    output.boxes[0, beside] = encode(targets.boxes[0], PRIORS[beside])
    output.boxes[0, empty] = encode(torch.tensor([50.0, 50, 60, 60]), PRIORS[empty])
    meter = PriorErrors(DistillConfig())
    meter.add(output, targets, PRIORS, matched < 0)
    found = meter.result()
    assert (found["confident"], found["unmatched_share"], found["false_alarm_share"]) == (2, 1.0, 0.5)


def kept(job: Job, folder: Path) -> Job:
    """A job whose training left a student in ``folder``."""
    folder.mkdir()
    torch.manual_seed(5)
    save_weights(build(job.arch), folder / WEIGHTS)
    return replace(job, folder=folder)


def test_start_and_end_are_measured_on_the_same_batches_and_answers_in_eval_mode(job: Job, tmp_path: Path) -> None:
    job = kept(
        replace(job, distill=replace(TAUGHT, feature_weight=0.0), train=replace(ONE_STEP, batch=4)), tmp_path / "v2"
    )
    heard: list[tuple[int, int]] = []
    found = diagnose(job, 9, start=True, on_batch=lambda done, total: heard.append((done, total)))
    assert heard == [(1, 2), (2, 2)]
    assert (found["batches"], found["images"], found["notes"]) == (2, 8, [])
    assert found["start"] != found["end"]
    assert found["start"].keys() == found["end"].keys()
    again = diagnose(job, 9, start=False, on_batch=lambda *_: None)
    assert again == found | {"start": None}
    alone = diagnose(replace(job, distill=ALONE), 9, start=False, on_batch=lambda *_: None)
    assert alone["student"] == found["student"], "train mode on the way left the statistics alone"
    assert alone["teacher"] == found["teacher"]
    assert set(alone["end"]) == {*TRUTH, "truth", "total"}
    assert alone["end"]["box"]["norm"] == pytest.approx(found["end"]["box"]["norm"] / 0.3, rel=1e-6)


def test_the_feature_term_at_the_end_needs_the_adapters_of_the_checkpoint(job: Job, tmp_path: Path) -> None:
    job = kept(job, tmp_path / "v2")
    without = diagnose(job, 1, start=True, on_batch=lambda *_: None)
    assert "feature" in without["start"]
    assert "feature" not in without["end"]
    assert without["notes"] == [NO_ADAPTERS.format("v2")]

    student: Detector = build(job.arch)
    adapters = Distiller(build(ARCHS["v1"]), student, TAUGHT).state_dict()
    torch.save({"adapters": adapters}, job.folder / CHECKPOINT)
    found = diagnose(job, 1, start=False, on_batch=lambda *_: None)
    assert found["end"]["feature"]["norm"] > 0
    assert found["notes"] == []

    torch.save({"student": {}}, job.folder / CHECKPOINT)
    with pytest.raises(DataError, match=r"last\.pt is not a readable checkpoint"):
        diagnose(job, 1, start=False, on_batch=lambda *_: None)
