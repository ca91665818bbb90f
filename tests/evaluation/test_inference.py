"""Detections of real detectors against a plain loop, and their scaling to pixels of the original image."""

import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness.core.evaluation import EvalConfig
from harness.data.faces import FaceSet, FaceSetWriter
from harness.detection.boxes import corners, encode, encode_landmarks, make_priors
from harness.detection.framing import plan
from harness.detection.suppression import suppress
from harness.errors import DataError, NonFiniteLossError
from harness.evaluation import inference as prediction
from harness.evaluation.inference import candidates, detect, predict, prepare
from harness.models.builder import build, resolve_arch
from harness.models.detector import Detector
from harness.models.fold import freeze

SIZES = [(64, 64), (64, 64), (50, 97), (33, 64), (64, 64), (97, 50)]


@pytest.fixture(scope="module")
def detector() -> Detector:
    torch.manual_seed(0)
    found = build(resolve_arch("v2"))
    # Untrained, every prior gives the same output: set the statistics from some images, and scale up the heads.
    for module in found.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        found.train()(torch.randn((8, 3, 96, 96)) * 60)
        for name, parameter in found.head.named_parameters():
            if name.endswith("weight"):
                parameter.mul_(2)
    return found.eval()


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> FaceSet:
    rng = np.random.default_rng(0)
    with FaceSetWriter(tmp_path_factory.mktemp("faces") / "set", "test") as writer:
        for index, (height, width) in enumerate(SIZES):
            image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
            boxes = np.array([[10, 10, 30, 30], [2, 20, 20, 45]], dtype=np.float32)[: index % 3]
            keep = {name: np.ones(len(boxes), dtype=np.bool_) for name in ("easy", "medium", "hard")}
            writer.add(f"event/{index}", image, boxes, np.full((len(boxes), 10), np.nan), keep)
        return writer.finish()


def loop_candidates(detector: Detector, image: np.ndarray, config: EvalConfig) -> list[list[float]]:
    """Decode prior by prior, best first."""
    height, width = image.shape[:2]
    pixels = torch.tensor(image.tolist(), dtype=torch.float32) - torch.tensor([104.0, 117.0, 123.0])
    with torch.no_grad():
        outputs = detector(pixels.permute(2, 0, 1)[None])
    boxes, classes, landmarks = (part[0].double().tolist() for part in outputs)
    rows = []
    index = 0
    for stride, sides in ((8, (16, 32)), (16, (64, 128)), (32, (256, 512))):
        for y in range(math.ceil(height / stride)):
            for x in range(math.ceil(width / stride)):
                for side in sides:
                    cx, cy = (x + 0.5) * stride, (y + 0.5) * stride
                    dx, dy, dw, dh = boxes[index]
                    mx, my = cx + 0.1 * side * dx, cy + 0.1 * side * dy
                    w, h = (side * min(math.exp(0.2 * value), 62.5) for value in (dw, dh))
                    points = [(cy if k % 2 else cx) + 0.1 * side * offset for k, offset in enumerate(landmarks[index])]
                    if classes[index][1] > config.score_threshold:
                        rows.append([mx - w / 2, my - h / 2, mx + w / 2, my + h / 2, classes[index][1], *points])
                    index += 1
    return sorted(rows, key=lambda row: -row[4])[: config.max_candidates]


def loop_suppress(rows: list[list[float]], config: EvalConfig) -> list[list[float]]:
    kept: list[list[float]] = []
    for row in sorted(rows, key=lambda row: -row[4])[: config.max_candidates]:
        if all(plain_iou(row, other) <= config.nms_iou for other in kept):
            kept.append(row)
    return kept[: config.max_detections]


def plain_iou(a: list[float], b: list[float]) -> float:
    shared = max(min(a[2], b[2]) - max(a[0], b[0]), 0) * max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


@pytest.mark.parametrize(
    "config",
    [EvalConfig(), EvalConfig(score_threshold=0.3, nms_iou=0.3), EvalConfig(max_candidates=40, max_detections=9)],
)
def test_follows_the_plain_loop(detector: Detector, faces: FaceSet, config: EvalConfig) -> None:
    found = predict(detector, faces, config, 0)
    for index, rows in enumerate(found):
        expected = np.array(loop_suppress(loop_candidates(detector, faces.image(index), config), config))
        assert 0 < len(expected) == len(rows)
        np.testing.assert_allclose(rows, expected, rtol=1e-3, atol=1e-2)
        np.testing.assert_allclose(detect(detector, faces.image(index), config), expected, rtol=1e-3, atol=1e-2)


def test_several_sizes_are_merged_by_one_suppression(detector: Detector, faces: FaceSet) -> None:
    detector = copy.deepcopy(detector)
    freeze(detector)
    config = EvalConfig(score_threshold=0.1, max_candidates=60, max_detections=25)
    steps: list[tuple[int, int]] = []
    found = predict(detector, faces, config, (0, 48, 130), progress=lambda done, total: steps.append((done, total)))
    sources = set()
    for index, rows in enumerate(found):
        image = faces.image(index)
        height, width = image.shape[:2]
        every = []
        for side in (max(height, width), 48, 130):
            size = round(width * side / max(height, width)), round(height * side / max(height, width))
            how = cv2.INTER_AREA if size[0] < width else cv2.INTER_LINEAR
            seen = image if size == (width, height) else cv2.resize(image, size, interpolation=how)
            scale = [width / size[0], height / size[1]]
            for row in loop_candidates(detector, seen, config):
                every.append(np.multiply(row, [*scale, *scale, 1, *scale * 5]).tolist())
                sources.add((every[-1][4], side))
        expected = np.array(loop_suppress(every, config))
        np.testing.assert_allclose(rows, expected, rtol=1e-3, atol=1e-2)
        np.testing.assert_allclose(detect(detector, image, config, (0, 48, 130)), expected, rtol=1e-3, atol=1e-2)
    assert steps[-1] == (3 * len(faces), 3 * len(faces))
    used = {min(sources, key=lambda pair: abs(pair[0] - row[4]))[1] for rows in found for row in rows}
    assert len(used) > 1, "no detection came from a second size"


@pytest.mark.parametrize("images", [1, 2, 5])
def test_chunks_of_any_size_give_the_same(
    detector: Detector, faces: FaceSet, images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = predict(detector, faces, EvalConfig(), 0)
    monkeypatch.setattr(prediction, "CHUNK_IMAGES", images)
    for rows, expected in zip(predict(detector, faces, EvalConfig(), 0), every, strict=True):
        np.testing.assert_allclose(rows, expected, rtol=1e-3, atol=1e-2)


def test_finished_chunks_are_used_again(
    detector: Detector, faces: FaceSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction, "CHUNK_IMAGES", 2)
    every = predict(detector, faces, EvalConfig(), (0, 48), chunks=tmp_path / "kept")
    files = sorted((tmp_path / "kept").iterdir())
    assert len(files) == 3
    # One is missing and one is damaged: both are computed again.
    files[1].unlink()
    files[2].write_bytes(files[2].read_bytes()[:-40])
    seen: list[int] = []

    def counted(images: list[NDArray[np.uint8]], *rest: Any) -> Any:
        seen.append(len(images))
        return prepare(images, *rest)

    monkeypatch.setattr(prediction, "prepare", counted)
    steps: list[tuple[int, int]] = []
    again = predict(
        detector,
        faces,
        EvalConfig(),
        (0, 48),
        progress=lambda done, total: steps.append((done, total)),
        chunks=tmp_path / "kept",
    )
    assert sum(seen) == 2 * 4, "of six images two were there, and the others are seen at both sides"
    assert steps[-1] == (2 * len(faces), 2 * len(faces))
    for rows, expected in zip(again, every, strict=True):
        np.testing.assert_array_equal(rows, expected)
    assert sorted((tmp_path / "kept").iterdir()) == files


def test_candidates_of_equal_score_keep_their_order() -> None:
    priors = make_priors(64, 64)
    scores = torch.tensor([0.5, 0.7, 0.2, 0.7]).repeat(len(priors) // 4)
    config = EvalConfig(score_threshold=0.3, nms_iou=1.0, max_candidates=90, max_detections=70)
    nothing = torch.zeros((1, len(priors), 4)), scores[None], torch.zeros((1, len(priors), 10))
    (rows,) = candidates(*nothing, priors, config)
    order = sorted((i for i in range(len(priors)) if scores[i] > 0.3), key=lambda i: -scores[i])[:90]
    np.testing.assert_allclose(rows[:, :4], corners(priors)[order].numpy())
    np.testing.assert_array_equal(suppress(rows[::-1], config)[:, 4], rows[:70, 4])
    np.testing.assert_array_equal(suppress(rows, config), rows[:70])


def test_an_image_without_candidates_has_no_detections(detector: Detector, faces: FaceSet) -> None:
    found = predict(detector, faces, EvalConfig(score_threshold=0.9999), (0, 48))
    assert [rows.shape for rows in found] == [(0, 15)] * len(faces)


class Ranked(nn.Module):
    """A detector with its own boxes and landmarks, and scores that fall from prior to prior."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        boxes, _, landmarks = self.detector(images)
        face = torch.linspace(0.9, 0.1, boxes.shape[1]).expand(boxes.shape[:2])
        return boxes, torch.stack((1 - face, face), -1), landmarks


def test_one_image_alone_gives_the_same(detector: Detector, faces: FaceSet) -> None:
    """Scores are planted and nothing is suppressed: otherwise rounding would decide the order, and with it the rest."""
    ranked: Any = Ranked(detector).eval()
    usual = EvalConfig(nms_iou=1.0, max_detections=5_000)
    for side, config in ((0, usual), (48, replace(usual, pad_multiple=32)), (100, usual)):
        together = predict(ranked, faces, config, side)
        for index, rows in enumerate(together):
            alone = detect(ranked, faces.image(index), config, side)
            assert len(rows) > 20
            np.testing.assert_allclose(rows, alone, rtol=1e-3, atol=1e-2)


def test_chosen_images_come_in_the_order_asked_for(detector: Detector, faces: FaceSet) -> None:
    every = predict(detector, faces, EvalConfig(), 0)
    steps: list[tuple[int, int]] = []
    some = predict(
        detector, faces, EvalConfig(), 0, np.array([4, 2]), progress=lambda done, total: steps.append((done, total))
    )
    for rows, index in zip(some, (4, 2), strict=True):
        np.testing.assert_allclose(rows, every[index], rtol=1e-3, atol=1e-2)
    assert steps == [(1, 2), (2, 2)]
    assert predict(detector, faces, EvalConfig(), 0, np.array([], dtype=np.int64)) == []


def test_mode_and_weights_are_left_as_they_were(faces: FaceSet) -> None:
    torch.manual_seed(0)
    detector = build(resolve_arch("v2")).train()
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    predict(detector, faces, EvalConfig(), 0)
    assert detector.training
    assert all(torch.equal(value, before[name]) for name, value in detector.state_dict().items())


class Fixed(nn.Module):
    """Answers one box and its landmarks, given in input pixels, at the prior next to it."""

    def __init__(self, box: list[float], points: list[float]) -> None:
        super().__init__()
        self.box = nn.Parameter(torch.tensor([box]))
        self.points = nn.Parameter(torch.tensor([points]))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        priors = make_priors(*images.shape[2:])
        boxes, landmarks = encode(self.box, priors)[None], encode_landmarks(self.points, priors)[None]
        scores = torch.zeros((1, len(priors), 2))
        scores[0, 7, 1] = 0.8
        return boxes, scores, landmarks


@pytest.mark.parametrize(("side", "pad"), [(0, 1), (60, 1), (60, 32), (240, 32)])
def test_boxes_come_back_in_original_pixels(side: int, pad: int) -> None:
    scale = side / 120 if side else 1.0
    points = [20, 30, 40, 30, 30, 40, 22, 50, 38, 50]
    module = Fixed([value * scale for value in (12, 20, 48, 60)], [value * scale for value in points])
    found = detect(module, np.zeros((90, 120, 3), dtype=np.uint8), EvalConfig(pad_multiple=pad), side)  # type: ignore[arg-type]
    np.testing.assert_allclose(found, [[12, 20, 48, 60, 0.8, *points]], rtol=1e-4)


def test_sizes() -> None:
    assert plan(90, 120, 0, 1) == (90, 120, 90, 120, 90, 120)
    assert plan(90, 120, 0, 32) == (90, 120, 90, 120, 96, 128)
    assert plan(90, 120, 60, 32) == (90, 120, 45, 60, 64, 64)
    assert plan(1, 1_000, 64, 1) == (1, 1_000, 1, 64, 1, 64)


def test_input_is_minus_the_mean_and_padded_with_zeros() -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    pixels = prepare([image], [plan(5, 7, 0, 8)])
    assert pixels.shape == (1, 3, 8, 8)
    expected = image.transpose(2, 0, 1) - np.array([104, 117, 123], dtype=np.float32)[:, None, None]
    np.testing.assert_array_equal(pixels[0, :, :5, :7].numpy(), expected)
    assert float(pixels[0, :, 5:].abs().sum() + pixels[0, :, :, 7:].abs().sum()) == 0


def test_enlarging_is_bilinear() -> None:
    image = np.random.default_rng(0).integers(0, 256, (6, 4, 3), dtype=np.uint8)
    pixels = prepare([image], [plan(6, 4, 12, 1)])
    expected = cv2.resize(image, (8, 12), interpolation=cv2.INTER_LINEAR).transpose(2, 0, 1)
    np.testing.assert_array_equal(
        pixels[0].numpy(), expected - np.array([104, 117, 123], dtype=np.float32)[:, None, None]
    )


@pytest.mark.parametrize("which", ["boxes", "scores", "landmarks"])
def test_a_diverged_network_is_refused(which: str) -> None:
    priors = make_priors(32, 32)
    parts = {
        "boxes": torch.zeros((1, len(priors), 4)),
        "scores": torch.full((1, len(priors)), 0.5),
        "landmarks": torch.zeros((1, len(priors), 10)),
    }
    parts[which][0, 3] = torch.nan
    with pytest.raises(NonFiniteLossError, match="diverged"):
        candidates(**parts, priors=priors, evaluation=EvalConfig())


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_an_array_that_is_no_image_is_refused(detector: Detector, image: np.ndarray) -> None:
    with pytest.raises(DataError, match="an image is"):
        detect(detector, image, EvalConfig())


def test_chunks_of_other_images_are_not_used(detector: Detector, faces: FaceSet, tmp_path: Path) -> None:
    predict(detector, faces, EvalConfig(), 0, np.array([0, 1]), chunks=tmp_path)
    found = predict(detector, faces, EvalConfig(), 0, np.array([4, 2]), chunks=tmp_path)
    for rows, expected in zip(found, predict(detector, faces, EvalConfig(), 0, np.array([4, 2])), strict=True):
        np.testing.assert_array_equal(rows, expected)
