"""Samples computed by torch against the same samples by OpenCV. Nothing here is particular to the CPU."""

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.core.retinaface import MEAN
from harness.data import augment as opencv
from harness.data import on_device
from harness.data.augment import SMOOTH, Augmentation, Colours, Image, Plan, draw, draw_colours
from harness.data.batches import Batch, batches
from harness.data.faces import FaceSet
from harness.data.on_device import device_batches, room_for_images, upload
from harness.data.render import halve, recolour, render, resize
from harness.errors import HarnessError

CPU = torch.device("cpu")
WIDE = Augmentation(scales=(0.3, 0.6, 1.0, 1.4, 2.0), colour=0.0)
"""Crops inside the image and beyond it, without colours."""

AS_IT_IS = Colours(0.0, 1.0, 1.0, 0, 1.0, in_hsv=False)
PLAIN = Plan(0, 0, 1, cv2.INTER_NEAREST, AS_IT_IS, flip=False)


def cases(method: int) -> Iterator[tuple[Image, Plan, int]]:
    """Yield noise of any shape, down to a pixel, a plan and the sample's size. Noise shows every difference."""
    for seed in range(150):
        rng = np.random.default_rng(seed)
        height, width = (int(side) for side in rng.integers(1, 6 if seed % 10 == 0 else 300, size=2))
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        size = int(rng.integers(8, 160))
        plan = draw(height, width, np.zeros((0, 4), np.float32), size, rng, WIDE)
        if seed % 7 == 0:
            plan = plan._replace(left=0, top=0, side=max(height, width))
        yield image, plan._replace(method=method), size


def sample(image: Image, plan: Plan, size: int) -> Image:
    """Return the sample of one image as OpenCV's pipeline would."""
    (found,) = render([torch.from_numpy(image)], [plan], size).permute(0, 2, 3, 1)
    restored = found.numpy() + np.array(MEAN, dtype=np.float32)
    assert (restored == restored.astype(np.uint8)).all()
    return cast(Image, restored.astype(np.uint8))


def differences(image: Image, other: Image) -> NDArray[np.int64]:
    return np.abs(image.astype(np.int64) - other.astype(np.int64))


@pytest.mark.parametrize(
    ("method", "most", "mean"),
    [(cv2.INTER_NEAREST, 0, 0.0), (cv2.INTER_LINEAR, 1, 0.2), (cv2.INTER_CUBIC, 1, 0.1), (SMOOTH, 2, 0.2)],
    ids=["nearest", "linear", "cubic", "smooth"],
)
def test_crops_methods_padding_and_flips_are_opencv_s(method: int, most: int, mean: float) -> None:
    for image, plan, size in cases(method):
        found = differences(sample(image, plan, size), opencv.render(image, size, plan))
        assert found.max() <= most, (image.shape, plan, size)
        assert found.mean() <= mean, (image.shape, plan, size)


@pytest.mark.parametrize("method", [cv2.INTER_LINEAR, cv2.INTER_CUBIC], ids=["linear", "cubic"])
@pytest.mark.parametrize(("length", "wanted"), [(200, 640), (255, 97), (199, 200), (7, 64), (251, 320)])
def test_a_sample_s_pixels_lie_where_opencv_s_do(method: int, length: int, wanted: int) -> None:
    """Channels that hold their own coordinates show where every pixel was read, to a hundredth of a pixel."""
    y, x = np.mgrid[:length, : length - 1].astype(np.uint8)
    image = np.stack([x, y, x], axis=2)
    found = resize(torch.from_numpy(image), wanted, wanted + 5, method).numpy()
    expected = cv2.resize(image.astype(np.float32), (wanted, wanted + 5), interpolation=method)
    assert np.abs(found - expected).max() < 0.01
    if method == cv2.INTER_LINEAR:
        centres = (np.arange(wanted) + 0.5) * (length - 1) / wanted - 0.5
        assert np.abs(found[0, :, 0] - centres.clip(0, length - 2)).max() < 0.01


@pytest.mark.parametrize("length", [2, 3, 5, 8, 101, 640, 1023])
def test_halving_averages_equal_areas(length: int) -> None:
    values = np.random.default_rng(length).uniform(0, 255, (4, length)).astype(np.float32)
    expected = cv2.resize(values, (length // 2, 4), interpolation=cv2.INTER_AREA).reshape(4, -1)
    assert np.abs(halve(torch.from_numpy(values)).numpy() - expected).max() < 1e-3


def test_colours_change_as_opencv_s() -> None:
    """The width is one that OpenCV computes in vectors, as every width of a training crop is."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    soft = cv2.GaussianBlur(noise, (0, 0), 3).astype(np.uint8)
    grey = np.arange(64 * 64, dtype=np.int64).astype(np.uint8).reshape(64, 64, 1).repeat(3, axis=2)
    means = []
    for seed in range(300):
        image, colours = (noise, soft, grey)[seed % 3], draw_colours(np.random.default_rng(seed), 0.7)
        plan = PLAIN._replace(side=64, colours=colours)
        found = differences(sample(image, plan, 64), opencv.recolour(image, colours))
        assert found.max() <= (2 if colours.in_hsv else 0), colours
        means.append(found.mean())
    assert max(means) < 0.15


def test_every_change_of_colours_is_there() -> None:
    image = torch.tensor([[[[40.0, 80.0, 160.0]]]])
    changes: dict[str, tuple[dict[str, Any], list[float]]] = {
        "brightness": ({"brightness": 10.0}, [50, 90, 170]),
        "contrast": ({"contrast": 1.5}, [60, 120, 240]),
        "late contrast": ({"late_contrast": 0.5}, [20, 40, 80]),
        "brightness first": ({"brightness": 10.0, "contrast": 0.5}, [25, 45, 85]),
        "no saturation": ({"saturation": 0.0, "in_hsv": True}, [160, 160, 160]),
        "hue": ({"hue": 60, "in_hsv": True}, [80, 160, 40]),
    }
    for name, (change, expected) in changes.items():
        found = recolour(image, [PLAIN._replace(colours=AS_IT_IS._replace(**change))])
        assert (found.flatten() - torch.tensor(expected)).abs().max() <= 2, name


def same(a: Tensor, b: Tensor) -> bool:
    return torch.equal(torch.nan_to_num(a, -7.0), torch.nan_to_num(b, -7.0))


def same_targets(a: Batch, b: Batch) -> bool:
    ours, theirs = a.targets, b.targets
    return ours.counts == theirs.counts and same(ours.boxes, theirs.boxes) and same(ours.landmarks, theirs.landmarks)


def uploaded(faces: FaceSet) -> Tensor:
    pixels = upload(faces, CPU, faces.pixels.nbytes)
    assert pixels is not None
    return pixels


@pytest.mark.parametrize("settings", [Augmentation(), replace(WIDE, colour=0.5)], ids=["usual", "beyond"])
def test_an_epoch_shows_the_same_samples(faces: FaceSet, settings: Augmentation) -> None:
    for epoch in range(1, 9):
        large = int(epoch > 4)
        ours = list(device_batches(faces, uploaded(faces), 64, 5 + 3 * large, 3, epoch, settings, large=large))
        theirs = list(batches(faces, 64, 5 + 3 * large, 3, epoch, settings, large=large))
        assert len(ours) == len(theirs) == 2
        for our, their in zip(ours, theirs, strict=True):
            assert same_targets(our, their)
            assert our.images.shape == their.images.shape
            assert our.images.dtype == torch.float32
            assert our.images.is_contiguous(memory_format=torch.channels_last)
            difference = (our.images - their.images).abs()
            assert difference.max() <= 16
            assert difference.mean() < 0.2


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_no_bit(faces: FaceSet, threads: int) -> None:
    def epoch(threads: int) -> list[Batch]:
        return list(device_batches(faces, uploaded(faces), 64, 5, 3, 2, Augmentation(), threads))

    for a, b in zip(epoch(0), epoch(threads), strict=True):
        assert same(a.images, b.images)
        assert same_targets(a, b)


@pytest.mark.slow
def test_nothing_waits_for_the_device() -> None:
    """Tensors on ``meta`` have no values: whatever would read one on the CPU raises."""
    images, plans = [], []
    for method in (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC, SMOOTH):
        images.append(torch.empty((301, 299, 3), dtype=torch.uint8, device="meta"))
        plans.append(Plan(-9, 5, 320, method, draw_colours(np.random.default_rng(0), 1.0), flip=True))
    assert render(images, plans, 64).shape == (4, 3, 64, 64)


def test_images_are_copied_piece_by_piece_where_there_is_room(faces: FaceSet, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = faces.pixels.nbytes
    assert upload(faces, CPU, needed - 1) is None
    monkeypatch.setattr(on_device, "_PIECE", needed // 3)
    pixels = upload(faces, CPU, needed)
    assert pixels is not None
    assert (pixels.numpy() == faces.pixels).all()


def test_room_is_half_of_a_cuda_device_and_none_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _: SimpleNamespace(total_memory=2001))
    assert room_for_images(torch.device("cuda:1")) == 1000
    assert room_for_images(CPU) == 0


def test_a_device_that_others_fill_is_named(faces: FaceSet, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> Tensor:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(torch, "empty", full)
    with pytest.raises(HarnessError, match=r"test train take [\d,]+ bytes and cpu has less left: start fewer workers"):
        upload(faces, CPU, faces.pixels.nbytes)
