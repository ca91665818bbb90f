"""The vectorised multibox loss against the published algorithm written out image by image and face by face."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.core.training import TrainConfig
from harness.detection.boxes import iou, make_priors
from harness.detection.losses import mine, multibox_loss
from harness.detection.matching import Targets, match
from harness.models.detector import RawOutput

CONFIG = TrainConfig()


def overlap(face: list[float], prior: list[float]) -> float:
    cx, cy, w, h = prior
    x1, y1, x2, y2 = face
    width = min(x2, cx + w / 2) - max(x1, cx - w / 2)
    height = min(y2, cy + h / 2) - max(y1, cy - h / 2)
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / ((x2 - x1) * (y2 - y1) + w * h - shared)


def smooth_l1(x: float) -> float:
    return 0.5 * x * x if abs(x) < 1 else abs(x) - 0.5


def oracle_match(faces: list[list[float]], priors: list[list[float]]) -> list[int]:
    table = [[overlap(face, prior) for prior in priors] for face in faces]
    matched = []
    for a in range(len(priors)):
        column = [row[a] for row in table]
        best = max(range(len(faces)), key=lambda f: column[f], default=-1)
        matched.append(best if best >= 0 and column[best] >= 0.35 else -1)
    for f, row in enumerate(table):
        best = max(range(len(priors)), key=lambda a: row[a])
        if row[best] >= 0.2:
            matched[best] = f
    return matched


def oracle(output: RawOutput, targets: Targets, priors: Tensor) -> dict[str, Any]:
    prior_list = priors.double().tolist()
    box_sum = class_sum = landmark_sum = 0.0
    positives = with_landmarks = 0
    chosen: list[tuple[set[int], set[int]]] = []
    for image, rows in enumerate(targets.slices()):
        faces, points = targets.boxes[rows].tolist(), targets.landmarks[rows].tolist()
        matched = oracle_match(faces, prior_list)
        logits = output.classes[image].double().tolist()
        costs = []
        for a, (background, face) in enumerate(logits):
            top = max(background, face)
            total = top + math.log(math.exp(background - top) + math.exp(face - top))
            costs.append(total - (face if matched[a] >= 0 else background))
        positive = {a for a, f in enumerate(matched) if f >= 0}
        ranked = sorted((a for a in range(len(prior_list)) if a not in positive), key=lambda a: -costs[a])
        negative = set(ranked[: 7 * len(positive)])
        chosen.append((positive, negative))
        class_sum += sum(costs[a] for a in positive | negative)
        for a in sorted(positive):
            cx, cy, w, h = prior_list[a]
            x1, y1, x2, y2 = faces[matched[a]]
            wanted = [
                ((x1 + x2) / 2 - cx) / (0.1 * w),
                ((y1 + y2) / 2 - cy) / (0.1 * h),
                math.log((x2 - x1) / w) / 0.2,
                math.log((y2 - y1) / h) / 0.2,
            ]
            found = output.boxes[image, a].tolist()
            box_sum += sum(smooth_l1(p - q) for p, q in zip(found, wanted, strict=True))
            positives += 1
            marks = points[matched[a]]
            if not any(math.isnan(value) for value in marks):
                with_landmarks += 1
                for k, (value, got) in enumerate(zip(marks, output.landmarks[image, a].tolist(), strict=True)):
                    centre, extent = (cx, w) if k % 2 == 0 else (cy, h)
                    landmark_sum += smooth_l1(got - (value - centre) / (0.1 * extent))
    return {
        "box": box_sum / max(positives, 1),
        "class": class_sum / max(positives, 1),
        "landmark": landmark_sum / max(with_landmarks, 1),
        "chosen": chosen,
    }


def make_output(batch: int, count: int, generator: torch.Generator) -> RawOutput:
    return RawOutput(
        torch.randn((batch, count, 4), generator=generator),
        torch.randn((batch, count, 2), generator=generator) * 3,
        torch.randn((batch, count, 10), generator=generator),
        (torch.empty(0),) * 3,
    )


def make_targets(faces_each: list[int], side: int, generator: torch.Generator) -> Targets:
    count = sum(faces_each)
    centre = torch.rand((count, 2), generator=generator) * side
    size = torch.exp(torch.rand((count, 2), generator=generator) * 4 + 0.7)
    landmarks = torch.rand((count, 10), generator=generator) * side
    landmarks[torch.rand(count, generator=generator) < 0.4] = torch.nan
    return Targets(torch.cat((centre - size / 2, centre + size / 2), dim=-1), landmarks, tuple(faces_each))


@pytest.mark.parametrize("seed", range(4))
def test_equals_the_published_algorithm(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    priors = make_priors(96, 128)
    targets = make_targets([3, 0, 40, 1, 12], 110, generator)
    output = make_output(5, len(priors), generator)
    result, expected = multibox_loss(output, targets, priors, CONFIG), oracle(output, targets, priors)
    for name, value in result.terms.items():
        assert value.item() == pytest.approx(expected[name], rel=1e-4), name
    for image, (positive, negative) in enumerate(expected["chosen"]):
        assert set(result.positive[image].nonzero().flatten().tolist()) == positive
        assert set(result.mined[image].nonzero().flatten().tolist()) == negative
    weighted = 2 * expected["box"] + expected["class"] + expected["landmark"]
    assert result.total.item() == pytest.approx(weighted, rel=1e-4)
    doubled = multibox_loss(output, targets, priors, replace(CONFIG, class_weight=2.0)).class_parts
    assert doubled.sum().item() == pytest.approx(2 * expected["class"], rel=1e-4)
    assert torch.equal(doubled > 0, result.positive | result.mined)


@pytest.mark.parametrize("seed", range(3))
def test_priors_on_faces_that_no_prior_fits_are_not_mined(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    priors = make_priors(96, 128)
    targets = make_targets([12, 0, 5], 110, generator)
    output = make_output(3, len(priors), generator)
    result = multibox_loss(output, targets, priors, TrainConfig(ignore_unmatched=True))
    plain = multibox_loss(output, targets, priors, CONFIG)
    assert torch.equal(result.positive, plain.positive)
    some = 0
    for image, positive in enumerate(result.positive):
        faces = targets.boxes[targets.slices()[image]].tolist()
        overlaps = [[overlap(face, prior) for prior in priors.tolist()] for face in faces]
        left_out = {
            a for row in overlaps if max(row) < 0.2 for a, value in enumerate(row) if value >= 0.03 and not positive[a]
        }
        costs = torch.nn.functional.cross_entropy(
            output.classes[image], torch.zeros(len(priors), dtype=torch.int64), reduction="none"
        )
        ranked = sorted(
            (a for a in range(len(priors)) if not positive[a] and a not in left_out), key=lambda a: -costs[a]
        )
        assert set(result.mined[image].nonzero().flatten().tolist()) == set(ranked[: 7 * int(positive.sum())])
        some += len(left_out)
    assert some > 0


def one_image(boxes: list[list[float]]) -> Targets:
    return Targets(torch.tensor(boxes).reshape(-1, 4), torch.full((len(boxes), 10), torch.nan), (len(boxes),))


def test_best_prior_rule_starts_at_a_fifth() -> None:
    priors = torch.tensor([[8.0, 8.0, 16.0, 16.0], [40.0, 8.0, 16.0, 16.0]])
    # 8 × 8 inside 16 × 16 overlaps by a quarter: under 0.35, yet taken; 7 × 7 by 0.19: ignored.
    assert match(one_image([[4.0, 4.0, 12.0, 12.0]]), priors).face.tolist() == [[0, -1]]
    assert match(one_image([[4.0, 4.0, 11.0, 11.0]]), priors).face.tolist() == [[-1, -1]]


def test_last_face_takes_a_contested_best_prior() -> None:
    priors = torch.tensor([[8.0, 8.0, 16.0, 16.0]])
    exact, smaller = [0.0, 0.0, 16.0, 16.0], [4.0, 4.0, 13.0, 13.0]
    assert match(one_image([exact, smaller]), priors).face.tolist() == [[1]]
    assert match(one_image([smaller, exact]), priors).face.tolist() == [[1]]


def test_an_ignored_face_leaves_its_best_prior_alone() -> None:
    priors = torch.tensor([[8.0, 8.0, 16.0, 16.0]])
    assert match(one_image([[0.0, 0.0, 16.0, 16.0], [4.0, 4.0, 7.0, 7.0]]), priors).face.tolist() == [[0]]


def test_equal_overlaps_go_to_the_first_face() -> None:
    priors = torch.tensor([[8.0, 8.0, 16.0, 16.0], [9.0, 8.0, 16.0, 16.0], [7.0, 8.0, 16.0, 16.0]])
    face = [0.0, 0.0, 16.0, 16.0]
    assert match(one_image([face, face]), priors).face.tolist() == [[1, 0, 0]]


def test_mining_takes_seven_negatives_per_positive() -> None:
    losses = torch.arange(20.0)[None].repeat(2, 1)
    positive = torch.zeros((2, 20), dtype=torch.bool)
    positive[0, 19] = True
    positive[1, :4] = True
    mined = mine(losses, positive)
    assert mined[0].nonzero().flatten().tolist() == list(range(12, 19))
    assert mined[1].nonzero().flatten().tolist() == list(range(4, 20))


def test_without_faces_the_loss_is_zero_and_has_a_gradient() -> None:
    priors = make_priors(64, 64)
    output = make_output(2, len(priors), torch.Generator().manual_seed(0))
    leaves = [tensor.requires_grad_() for tensor in output[:3]]
    result = multibox_loss(output, make_targets([0, 0], 64, torch.Generator()), priors, CONFIG)
    assert result.total.item() == 0
    torch.autograd.backward(result.total)
    assert all(leaf.grad is not None and bool((leaf.grad == 0).all()) for leaf in leaves)


def test_without_landmarks_their_loss_is_masked() -> None:
    priors = make_priors(64, 64)
    output = make_output(1, len(priors), torch.Generator().manual_seed(0))
    output.landmarks.requires_grad_()
    result = multibox_loss(output, one_image([[10.0, 10.0, 40.0, 40.0]]), priors, CONFIG)
    torch.autograd.backward(result.total)
    assert result.terms["landmark"].item() == 0
    assert result.terms["box"].item() > 0
    assert output.landmarks.grad is not None
    assert not bool(output.landmarks.grad.any())


def test_gradients_reach_only_positive_and_mined_priors() -> None:
    generator = torch.Generator().manual_seed(3)
    priors = make_priors(128, 128)
    output = make_output(3, len(priors), generator)
    leaves = [tensor.requires_grad_() for tensor in output[:3]]
    result = multibox_loss(output, make_targets([4, 0, 9], 128, generator), priors, CONFIG)
    torch.autograd.backward(result.total)
    moved = [(leaf.grad != 0).any(dim=-1) for leaf in leaves if leaf.grad is not None]
    assert bool((moved[0] == result.positive).all())
    assert bool((moved[1] == (result.positive | result.mined)).all())
    assert bool((moved[2] & ~result.positive).sum() == 0)
    assert not bool((result.positive & result.mined).any())


@pytest.mark.parametrize("where", ["boxes", "classes", "landmarks"])
def test_a_non_finite_output_makes_the_total_non_finite(where: str) -> None:
    priors = make_priors(64, 64)
    output = make_output(1, len(priors), torch.Generator().manual_seed(0))
    getattr(output, where).fill_(torch.nan)
    targets = replace(one_image([[10.0, 10.0, 40.0, 40.0]]), landmarks=torch.full((1, 10), 20.0))
    assert not bool(multibox_loss(output, targets, priors, CONFIG).total.isfinite())


def test_few_pairs_that_do_not_overlap_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU, a face is compared with the priors around it."""
    priors = make_priors(320, 320)
    compared: list[int] = []

    def watched(faces: Tensor, others: Tensor) -> Tensor:
        found = iou(faces, others)
        compared.append(found.numel())
        return found

    monkeypatch.setattr("harness.detection.matching.iou", watched)
    corner = 280 * torch.rand((100, 2), generator=torch.Generator().manual_seed(0))
    targets = one_image(torch.cat((corner, corner + 20), dim=1).tolist())
    assert (match(targets, priors).face >= 0).sum() > 100
    assert 0 < sum(compared) < 100 * len(priors) / 5


def test_an_accelerator_matches_all_images_at_once_and_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    generator, priors = torch.Generator().manual_seed(3), make_priors(128, 128)
    boxes = make_targets([50, 0, 3, 90], 120, generator).boxes
    boxes[20:40] = boxes[:20]  # The same face twice: equal overlaps.
    boxes[60:70] = boxes[60]
    targets = Targets(boxes, torch.zeros(len(boxes), 10), (50, 0, 3, 90))
    here = match(targets, priors, ignore=True)
    plain = match(targets, priors)
    monkeypatch.setattr("harness.detection.matching.on_accelerator", lambda _: True)
    there = match(targets, priors, ignore=True)
    assert torch.equal(here.face, there.face)
    assert torch.equal(here.face, plain.face)
    assert here.ignored is not None
    assert there.ignored is not None
    assert plain.ignored is None
    assert torch.equal(here.ignored, there.ignored)
    assert here.ignored.any()
    assert (here.face >= 0).any(dim=1).tolist() == [True, False, True, True]


@pytest.mark.parametrize("faces", [[3, 0, 40, 1, 12], [0, 0]])
@pytest.mark.parametrize("ignore", [False, True])
def test_an_accelerator_computes_the_same_over_all_priors(
    faces: list[int], ignore: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There, sums run over every prior and are masked, so that no number must be read from the device."""
    generator = torch.Generator().manual_seed(2)
    priors, config = make_priors(96, 128), TrainConfig(ignore_unmatched=ignore)
    targets, output = make_targets(faces, 110, generator), make_output(len(faces), len(make_priors(96, 128)), generator)
    results = []
    for elsewhere in (False, True):
        for module in ("losses", "matching"):
            monkeypatch.setattr(f"harness.detection.{module}.on_accelerator", lambda _, there=elsewhere: there)
        boxes, classes, landmarks = leaves = [tensor.clone().requires_grad_() for tensor in output[:3]]
        result = multibox_loss(RawOutput(boxes, classes, landmarks, output.features), targets, priors, config)
        result.total.backward()  # type: ignore[no-untyped-call]
        results.append((result, [leaf.grad for leaf in leaves]))
    (here, ours), (there, theirs) = results
    assert torch.equal(here.positive, there.positive)
    assert torch.equal(here.mined, there.mined)
    for name, term in here.terms.items():
        torch.testing.assert_close(term, there.terms[name])
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)
