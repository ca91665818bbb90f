import math

import numpy as np
import pytest
import torch

from harness.detection.boxes import corners, decode, decode_landmarks, encode, encode_landmarks, iou, make_priors
from harness.detection.suppression import nms


def random_boxes(count: int, side: float, generator: torch.Generator) -> torch.Tensor:
    corner = torch.rand((count, 2), generator=generator) * side
    size = torch.exp(torch.rand((count, 2), generator=generator) * 5)
    return torch.cat((corner, corner + size), dim=1)


def plain_iou(a: list[float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else 0.0


@pytest.mark.parametrize(("height", "width", "count"), [(128, 128, 672), (320, 320, 4_200), (640, 640, 16_800)])
def test_prior_counts(height: int, width: int, count: int) -> None:
    assert make_priors(height, width).shape == (count, 4)


@pytest.mark.parametrize(("height", "width"), [(33, 70), (97, 128), (1, 1)])
def test_priors_of_odd_sizes_follow_the_loop(height: int, width: int) -> None:
    expected = []
    for stride, sides in ((8, (16, 32)), (16, (64, 128)), (32, (256, 512))):
        for row in range(math.ceil(height / stride)):
            for column in range(math.ceil(width / stride)):
                expected += [[(column + 0.5) * stride, (row + 0.5) * stride, side, side] for side in sides]
    assert make_priors(height, width).tolist() == expected


def test_coding_is_inverse() -> None:
    generator = torch.Generator().manual_seed(0)
    priors = make_priors(128, 96)
    boxes = random_boxes(len(priors), 120, generator)
    torch.testing.assert_close(decode(encode(boxes, priors), priors), boxes, rtol=1e-4, atol=1e-3)
    points = torch.rand((len(priors), 10), generator=generator) * 128
    torch.testing.assert_close(decode_landmarks(encode_landmarks(points, priors), priors), points, rtol=1e-4, atol=1e-3)


def test_coding_of_a_known_box() -> None:
    prior = torch.tensor([[20.0, 20.0, 16.0, 16.0]])
    offsets = encode(torch.tensor([[12.0, 12.0, 28.0, 44.0]]), prior)
    torch.testing.assert_close(offsets, torch.tensor([[0.0, 5.0, 0.0, math.log(2) / 0.2]]))
    points = encode_landmarks(torch.tensor([[20.0, 20.0, 36.0, 20.0, 20.0, 4.0, 20.0, 20.0, 20.0, 28.0]]), prior)
    torch.testing.assert_close(points, torch.tensor([[0.0, 0.0, 10.0, 0.0, 0.0, -10.0, 0.0, 0.0, 0.0, 5.0]]))


def test_iou_follows_the_loop() -> None:
    generator = torch.Generator().manual_seed(1)
    a, b = random_boxes(40, 60, generator).double(), random_boxes(30, 60, generator).double()
    a[0, 2:] = a[0, :2]
    b[0] = a[0]
    expected = [[plain_iou(p, q) for q in b.tolist()] for p in a.tolist()]
    torch.testing.assert_close(iou(a, b), torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(iou(a.view(4, 10, 4), b[None].expand(4, 30, 4)).view(40, 30), iou(a, b))


def test_corners() -> None:
    assert corners(torch.tensor([[10.0, 20.0, 4.0, 8.0]])).tolist() == [[8.0, 16.0, 12.0, 24.0]]


def plain_nms(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    kept: list[int] = []
    for index in sorted(range(len(scores)), key=lambda i: -scores[i]):
        if all(plain_iou(boxes[index].tolist(), boxes[k].tolist()) <= threshold for k in kept):
            kept.append(index)
    return kept


@pytest.mark.parametrize("count", [0, 1, 2, 17, 300])
@pytest.mark.parametrize("threshold", [0.1, 0.4, 0.9, 1.0])
def test_nms_follows_the_loop(count: int, threshold: float) -> None:
    generator = torch.Generator().manual_seed(count)
    boxes = random_boxes(count, 100, generator).numpy()
    scores = torch.rand(count, generator=generator).numpy().round(2) + np.float32(0.01)
    kept = plain_nms(boxes, scores, threshold)
    for limit in (1, 7, 1_000):
        assert nms(boxes, scores, threshold, limit).tolist() == kept[:limit]


def test_nms_of_duplicates_and_empty_boxes() -> None:
    boxes = np.array([[0, 0, 9, 9], [0, 0, 9, 9], [5, 5, 5, 5], [5, 5, 5, 5], [20, 20, 30, 30]], dtype=np.float32)
    scores = np.array([0.5, 0.5, 0.9, 0.9, 0.7], dtype=np.float32)
    assert nms(boxes, scores, 0.4, 10).tolist() == [2, 4, 0]


def test_a_decoded_side_is_bounded_and_never_overflows() -> None:
    priors = torch.tensor([[50.0, 50.0, 16.0, 16.0]])
    x1, y1, x2, y2 = decode(torch.tensor([[0.0, 0.0, 1e6, 5.0]]), priors)[0].tolist()
    assert x2 - x1 == pytest.approx(16 * 62.5)
    assert y2 - y1 == pytest.approx(16 * math.e)
