"""The output contract that V1 and every student share."""

import math

import pytest
import torch
from torch import nn

from harness.core.arch import ARCHS
from harness.models.builder import build


@pytest.mark.parametrize("name", ARCHS)
@pytest.mark.parametrize("size", [(64, 64), (65, 97), (100, 33), (33, 40), (1, 1)])
def test_shapes_at_any_size(name: str, size: tuple[int, int]) -> None:
    detector = build(ARCHS[name]).eval()
    maps = [tuple(math.ceil(side / stride) for side in size) for stride in (8, 16, 32)]
    anchors = 2 * sum(h * w for h, w in maps)
    with torch.no_grad():
        output = detector.raw(torch.randn(2, 3, *size))
    assert output.boxes.shape == (2, anchors, 4)
    assert output.classes.shape == (2, anchors, 2)
    assert output.landmarks.shape == (2, anchors, 10)
    assert [f.shape for f in output.features] == [(2, detector.feature_channels, h, w) for h, w in maps]


@pytest.mark.parametrize("name", ARCHS)
def test_classes_are_logits_in_training_and_probabilities_otherwise(name: str) -> None:
    detector = build(ARCHS[name])
    images = torch.randn(2, 3, 64, 64)
    detector.train()
    trained = [detector(images), detector.raw(images)]
    assert not torch.allclose(trained[0][1].sum(-1), torch.ones(()))
    assert torch.equal(trained[0][1], trained[1].classes)
    detector.eval()
    boxes, classes, landmarks = detector(images)
    raw = detector.raw(images)
    assert torch.equal(boxes, raw.boxes)
    assert torch.equal(landmarks, raw.landmarks)
    assert torch.allclose(classes, raw.classes.softmax(-1))
    assert not torch.allclose(raw.classes.sum(-1), torch.ones(()))


def test_predictions_are_ordered_by_level_row_column_anchor() -> None:
    detector = build(ARCHS["v1"]).eval()
    head = detector.head
    with torch.no_grad():
        for level, name in enumerate(("p3", "p4", "p5")):
            box = head.get_submodule(f"levels.{name}.box")
            assert isinstance(box, nn.Conv2d)
            assert box.bias is not None
            box.weight.zero_()
            # Copies the first feature channel into every anchor's first value and marks level and anchor in others.
            box.weight[0, 0] = box.weight[4, 0] = 1
            box.bias.copy_(torch.tensor([0, level, 0, 0, 0, level, 1, 0]))
        output = detector.raw(torch.randn(1, 3, 64, 96))
    position = 0
    for level, features in enumerate(output.features):
        rows, columns = features.shape[-2:]
        for row in range(rows):
            for column in range(columns):
                for anchor in range(2):
                    value, found_level, found_anchor, _ = output.boxes[0, position].tolist()
                    assert (found_level, found_anchor) == (level, anchor)
                    assert value == pytest.approx(float(features[0, 0, row, column]), abs=1e-5)
                    position += 1
    assert position == output.boxes.shape[1]


@pytest.mark.parametrize("name", ARCHS)
def test_channels_last_gives_the_same_answer(name: str) -> None:
    torch.manual_seed(0)
    detector = build(ARCHS[name]).eval()
    images = torch.randn(1, 3, 75, 90)
    with torch.no_grad():
        plain = detector(images)
        detector.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's stubs
        last = detector(images.to(memory_format=torch.channels_last))
    for a, b in zip(plain, last, strict=True):
        assert torch.allclose(a, b, atol=1e-4)


def test_weights_are_named_by_slot_and_backbones_by_published_keys() -> None:
    detector = build(ARCHS["v2"])
    assert {key.partition(".")[0] for key in detector.state_dict()} == {
        "backbone",
        "attention",
        "neck",
        "neck_attention",
        "context",
        "shuffle",
        "head",
    }
    shapes = {key: tuple(value.shape) for key, value in detector.backbone.state_dict().items()}
    assert shapes["stage1.0.0.weight"] == (8, 3, 3, 3)
    assert shapes["stage1.5.3.weight"] == (64, 64, 1, 1)
    assert shapes["stage2.5.4.running_var"] == (128,)
    assert shapes["stage3.1.3.weight"] == (256, 256, 1, 1)
    assert len(shapes) == 162


def test_the_same_seed_builds_the_same_weights() -> None:
    torch.manual_seed(3)
    first = build(ARCHS["v2"]).state_dict()
    torch.manual_seed(3)
    second = build(ARCHS["v2"]).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert isinstance(build(ARCHS["v2"]), nn.Module)
