"""The imitation terms: zero between identical networks, over the right priors, through adapters that learn."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from harness.core.arch import ARCHS
from harness.core.training import DistillConfig
from harness.detection.losses import MultiboxResult
from harness.models.builder import build
from harness.models.detector import RawOutput
from harness.models.fold import freeze
from harness.training.distill import Distiller


class Width(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.feature_channels = channels


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def output(batch: int = 2, priors: int = 6, channels: int = 4) -> RawOutput:
    return RawOutput(
        torch.randn(batch, priors, 4),
        torch.randn(batch, priors, 2),
        torch.randn(batch, priors, 10),
        (torch.randn(batch, channels, 4, 4), torch.randn(batch, channels, 2, 2), torch.randn(batch, channels, 1, 1)),
    )


def scaled(given: RawOutput, factor: float) -> RawOutput:
    p3, p4, p5 = given.features
    return given._replace(features=(factor * p3, factor * p4, factor * p5))


def truth(positive: Tensor, mined: Tensor, total: float = 2.0) -> MultiboxResult:
    parts = torch.zeros(positive.shape)
    return MultiboxResult(torch.tensor(total), {"box": torch.tensor(total)}, parts, positive, mined)


def none(batch: int = 2, priors: int = 6) -> Tensor:
    return torch.zeros(batch, priors, dtype=torch.bool)


def background(given: RawOutput) -> RawOutput:
    """The same output, certain that no prior holds a face."""
    return given._replace(classes=torch.tensor([20.0, -20.0]).expand(given.classes.shape))


@pytest.mark.parametrize("name", ["v1", "v2"])
def test_identical_networks_have_exactly_nothing_to_imitate(name: str) -> None:
    teacher = build(ARCHS[name]).eval()
    student = build(ARCHS[name]).eval()
    student.load_state_dict(teacher.state_dict())
    images = torch.randn(2, 3, 64, 64) * 50
    ours, theirs = student.raw(images), teacher.raw(images)
    everywhere = torch.ones(ours.classes.shape[:2], dtype=torch.bool)
    distiller = Distiller(teacher, student, DistillConfig(alpha=0.7, feature_weight=1.0, score_threshold=0.0))
    total, terms = distiller.loss(ours, theirs, truth(everywhere, ~everywhere, total=0.0))
    assert {key: value.item() for key, value in terms.items()} == {
        "distill_class": 0.0,
        "distill_box": 0.0,
        "distill_landmark": 0.0,
        "feature": 0.0,
    }
    assert total.item() == 0.0


def test_the_class_term_is_t_squared_times_the_divergence_over_its_priors() -> None:
    ours, theirs = output(), background(output())
    positive, mined = none(), none()
    positive[0, 1] = True
    mined[0, 2] = mined[1, 3] = True
    config = DistillConfig(temperature=3.0, alpha=0.5)
    _, terms = Distiller(Width(4), Width(4), config).loss(ours, theirs, truth(positive, mined))
    expected = 0.0
    for image, prior in ((0, 1), (0, 2), (1, 3)):
        p = (theirs.classes[image, prior] / 3).softmax(0)
        q = (ours.classes[image, prior] / 3).softmax(0)
        expected += 9 * float((p * (p / q).log()).sum())
    assert terms["distill_class"].item() == pytest.approx(expected, rel=1e-5)


def test_boxes_and_landmarks_are_imitated_where_there_are_faces_and_nowhere_else() -> None:
    ours, theirs = output(), background(output())
    positive, mined = none(), none()
    positive[0, 1] = True
    mined[0, 2] = True
    distiller = Distiller(Width(4), Width(4), DistillConfig(score_threshold=0.4))
    _, terms = distiller.loss(ours, theirs, truth(positive, mined))
    one = nn.functional.smooth_l1_loss(ours.boxes[0, 1], theirs.boxes[0, 1], reduction="sum")
    assert terms["distill_box"].item() == pytest.approx(float(one), rel=1e-6)

    classes = theirs.classes.clone()
    classes[1, 4] = torch.tensor([0.0, 0.0])
    sure = theirs._replace(classes=classes)
    _, terms = distiller.loss(ours, sure, truth(positive, mined))
    other = nn.functional.smooth_l1_loss(ours.landmarks[1, 4], theirs.landmarks[1, 4], reduction="sum")
    first = nn.functional.smooth_l1_loss(ours.landmarks[0, 1], theirs.landmarks[0, 1], reduction="sum")
    assert terms["distill_landmark"].item() == pytest.approx(float(first + other) / 2, rel=1e-6)


def test_a_conditional_student_imitates_only_where_the_teacher_is_right() -> None:
    """Of five priors, the teacher finds a face, misses one, sees one where none is, and is right about the others."""
    ours, theirs = output(), background(output())
    positive, mined = none(), none()
    positive[0, 0] = positive[0, 1] = True
    mined[0, 2] = mined[0, 3] = True
    classes = theirs.classes.clone()
    classes[0, 0] = classes[0, 2] = classes[1, 4] = torch.tensor([-1.0, 2.0])
    theirs = theirs._replace(classes=classes)
    config = DistillConfig(temperature=2.0, alpha=0.7, conditional=True)
    parts = torch.rand(positive.shape) * (positive | mined)
    given = truth(positive, mined)._replace(class_parts=parts)
    total, terms = Distiller(Width(4), Width(4), config).loss(ours, theirs, given)
    faces = 4  # Two positives and two false alarms: the divisor is that of a student who imitates everything.
    box = nn.functional.smooth_l1_loss(ours.boxes[0, 0], theirs.boxes[0, 0], reduction="sum")
    assert terms["distill_box"].item() == pytest.approx(float(box) / faces, rel=1e-6)
    expected = 0.0
    for prior in (0, 3):
        p, q = ((of.classes[0, prior] / 2).softmax(0) for of in (theirs, ours))
        expected += 4 * float((p * (p / q).log()).sum()) / faces
    assert terms["distill_class"].item() == pytest.approx(expected, rel=1e-5)
    # Where the teacher is wrong, the ground truth of the class has weight 1: 0.3 of it is in the total already.
    mixed = 0.3 * 2.0 + 0.7 * float(sum(terms.values()) + parts[0, 1] + parts[0, 2])
    assert total.item() == pytest.approx(mixed, rel=1e-6)


def test_the_mix_is_the_documented_one() -> None:
    ours, theirs = output(), output()
    chosen = truth(~none(), none())
    config = DistillConfig(alpha=0.7, feature_weight=0.3)
    total, terms = Distiller(Width(4), Width(4), config).loss(ours, theirs, chosen)
    imitation = terms["distill_class"] + terms["distill_box"] + terms["distill_landmark"]
    expected = 0.3 * 2.0 + 0.7 * imitation.item() + 0.3 * terms["feature"].item()
    assert total.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("alpha", "weight", "terms"),
    [
        (0.0, 0.0, set()),
        (0.0, 1.0, {"feature"}),
        (1.0, 0.0, {"distill_class", "distill_box", "distill_landmark"}),
    ],
)
def test_terms_with_zero_weight_are_not_computed(alpha: float, weight: float, terms: set[str]) -> None:
    distiller = Distiller(Width(4), Width(4), DistillConfig(alpha=alpha, feature_weight=weight))
    total, found = distiller.loss(output(), output(), truth(~none(), none()))
    assert set(found) == terms
    if not terms:
        assert total.item() == 2.0
        assert not list(distiller.parameters())


def test_no_face_anywhere_is_no_division_by_zero() -> None:
    distiller = Distiller(Width(4), Width(4), DistillConfig())
    total, terms = distiller.loss(output(), background(output()), truth(none(), none()))
    assert all(value.item() == 0.0 for value in terms.values())
    assert bool(torch.isfinite(total))


def test_adapters_start_as_identity_where_widths_match() -> None:
    distiller = Distiller(Width(5), Width(5), DistillConfig(feature_weight=1.0))
    features = torch.randn(1, 5, 3, 3)
    for adapter in distiller.adapters:
        assert torch.equal(adapter(features), features)


@pytest.mark.trains
def test_adapters_of_other_widths_are_trained() -> None:
    distiller = Distiller(Width(7), Width(4), DistillConfig(alpha=0.0, feature_weight=1.0))
    ours, theirs = output(channels=4), output(channels=7)
    chosen = truth(~none(), none(), total=0.0)
    optimizer = torch.optim.SGD(distiller.parameters(), lr=0.1)
    first = distiller.loss(ours, theirs, chosen)[0]
    torch.autograd.backward(first)
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in distiller.parameters())
    for _ in range(20):
        optimizer.zero_grad()
        torch.autograd.backward(distiller.loss(ours, theirs, chosen)[0])
        optimizer.step()
    assert distiller.loss(ours, theirs, chosen)[0].item() < 0.9 * first.item()


def test_the_feature_term_does_not_know_the_teachers_scale() -> None:
    distiller = Distiller(Width(4), Width(4), DistillConfig(alpha=0.0, feature_weight=1.0))
    ours, theirs = output(), output()
    chosen = truth(none(), none())
    _, small = distiller.loss(ours, theirs, chosen)
    _, large = distiller.loss(scaled(ours, 100), scaled(theirs, 100), chosen)
    assert large["feature"].item() == pytest.approx(small["feature"].item(), rel=1e-4)


def test_a_teacher_that_answers_the_same_everywhere_is_finite() -> None:
    distiller = Distiller(Width(4), Width(4), DistillConfig(alpha=0.0, feature_weight=1.0))
    total, _ = distiller.loss(output(), scaled(output(), 0), truth(none(), none()))
    assert bool(torch.isfinite(total))


@pytest.mark.parametrize("name", ["v1", "v2", "featherface"])
def test_a_frozen_teacher_answers_the_same_with_fewer_layers(name: str) -> None:
    teacher, frozen = build(ARCHS[name]), build(ARCHS[name])
    with torch.no_grad():
        teacher.train().raw(torch.randn(4, 3, 64, 64) * 50)
    frozen.load_state_dict(teacher.eval().state_dict())
    freeze(frozen)
    images = torch.randn(2, 3, 64, 64) * 50
    ours, theirs = frozen.raw(images), teacher.raw(images)
    for mine, wanted in zip((*ours[:3], *ours.features), (*theirs[:3], *theirs.features), strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-4, atol=1e-4)
    norms = [sum(isinstance(module, nn.BatchNorm2d) for module in d.modules()) for d in (frozen, teacher)]
    assert norms[0] < norms[1] / 4
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    assert not any(module.training for module in frozen.modules())


def test_each_imitation_term_has_its_weight() -> None:
    teacher, student = output(), output()
    faces = none()
    faces[0, 1] = True
    given = truth(faces, none())
    weights = DistillConfig(alpha=0.5, class_weight=2.0, box_weight=3.0, landmark_weight=0.25)
    total, terms = Distiller(Width(4), Width(4), weights).loss(student, teacher, given)
    plain = Distiller(Width(4), Width(4), DistillConfig(alpha=0.5)).loss(student, teacher, given)[1]
    assert terms == plain, "terms are told before their weights"
    wanted = 2 * terms["distill_class"] + 3 * terms["distill_box"] + 0.25 * terms["distill_landmark"]
    assert total.item() == pytest.approx(0.5 * 2.0 + 0.5 * wanted.item(), rel=1e-6)
