import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from harness.data.augment import Augmentation, augment
from harness.data.batches import Batch, batches, epoch_steps, make_batch, mosaics, steps_per_epoch
from harness.data.faces import FaceSet


def same(a: Batch, b: Batch) -> bool:
    pairs = [(a.images, b.images), *((getattr(a.targets, of), getattr(b.targets, of)) for of in ("boxes", "landmarks"))]
    return a.targets.counts == b.targets.counts and all(
        torch.equal(torch.nan_to_num(x, -7.0), torch.nan_to_num(y, -7.0)) for x, y in pairs
    )


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_an_epoch_is_the_same_bits_again(faces: FaceSet, threads: int) -> None:
    first = list(batches(faces, 64, 5, seed=3, epoch=2))
    again = list(batches(faces, 64, 5, seed=3, epoch=2, threads=threads))
    assert len(first) == len(again) == 2
    assert all(same(a, b) for a, b in zip(first, again, strict=True))


def test_each_large_crop_takes_the_place_of_four(faces: FaceSet) -> None:
    steps = epoch_steps(faces, 8, seed=1, epoch=1, large=1)
    assert [(len(step.crops), len(step.large)) for step in steps] == [(4, 1), (4, 1)]
    shown = np.concatenate([np.concatenate(step) for step in steps])
    assert np.array_equal(shown, np.random.default_rng((1, 1)).permutation(12)[:10]), "no image is shown twice"
    (step,) = epoch_steps(faces, 20, seed=1, epoch=1, large=1)
    assert (len(step.crops), len(step.large)) == (16, 1)
    assert len({*np.concatenate(step)}) == 12, "too few images: some are shown again"


def test_mosaics_show_the_crops_at_their_places(faces: FaceSet) -> None:
    settings = Augmentation()
    step = epoch_steps(faces, 8, seed=3, epoch=2, large=1)[1]
    crops = make_batch(faces, step.crops, 64, 3, 2, settings)
    large = make_batch(faces, step.large, 128, 3, 2, settings)
    found = list(batches(faces, 64, 8, seed=3, epoch=2, large=1))[1]
    assert same(found, mosaics(crops, large))
    assert found.images.shape == (2, 3, 128, 128)
    assert found.images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found.images[1], large.images[0])
    whole, rows = found.targets.slices()[0], crops.targets.slices()
    assert whole == slice(0, rows[3].stop)
    for n, (x, y) in enumerate([(0, 0), (64, 0), (0, 64), (64, 64)]):
        assert torch.equal(found.images[0, :, y : y + 64, x : x + 64], crops.images[n])
        boxes = found.targets.boxes[rows[n]] - torch.tensor([x, y, x, y])
        assert torch.allclose(boxes, crops.targets.boxes[rows[n]], atol=1e-4)
        points = found.targets.landmarks[rows[n]] - torch.tensor([x, y]).repeat(5)
        assert torch.allclose(points, crops.targets.landmarks[rows[n]], atol=1e-4, equal_nan=True)
    assert torch.equal(found.targets.boxes[found.targets.slices()[1]], large.targets.boxes)


def test_seeds_and_epochs_differ(faces: FaceSet) -> None:
    drawn = [next(batches(faces, 64, 5, seed, epoch)).images for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_every_image_comes_at_most_once(faces: FaceSet, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = FaceSet.image

    def image(self: FaceSet, index: int) -> NDArray[np.uint8]:
        asked.append(int(index))
        return real(self, index)

    monkeypatch.setattr(FaceSet, "image", image)
    list(batches(faces, 32, 4, seed=0, epoch=0))
    assert sorted(asked) == list(range(12))
    assert asked != sorted(asked)


def test_images_are_channels_last_floats_minus_the_mean(faces: FaceSet) -> None:
    batch = make_batch(faces, np.array([4, 7]), 64, 0, 0, Augmentation())
    assert batch.images.shape == (2, 3, 64, 64)
    assert batch.images.dtype == torch.float32
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    rng = np.random.default_rng((0, 0, 8))
    image, boxes, landmarks = augment(faces.image(7), *faces.faces(7), 64, rng, Augmentation())
    expected = torch.from_numpy(image).permute(2, 0, 1) - torch.tensor([104.0, 117.0, 123.0]).view(3, 1, 1)
    assert torch.equal(batch.images[1], expected)
    rows = batch.targets.slices()[1]
    assert torch.equal(batch.targets.boxes[rows], torch.from_numpy(boxes))
    assert torch.equal(batch.targets.landmarks[rows].nan_to_num(-7), torch.from_numpy(landmarks).nan_to_num(-7))


def test_the_faces_of_a_batch_come_image_after_image(faces: FaceSet) -> None:
    for batch in batches(faces, 64, 6, seed=1, epoch=0):
        boxes, landmarks = batch.targets.boxes, batch.targets.landmarks
        assert len(batch.targets.counts) == 6
        assert boxes.shape == (sum(batch.targets.counts), 4)
        assert landmarks.shape == (sum(batch.targets.counts), 10)
        assert (boxes[:, 2:] - boxes[:, :2]).min() >= 4
        assert boxes.min() >= 0
        assert boxes.max() <= 64


def test_fewer_images_than_a_batch_still_train(faces: FaceSet) -> None:
    assert steps_per_epoch(faces, 12) == 1
    assert steps_per_epoch(faces, 5) == 2
    assert steps_per_epoch(faces, 50) == 1
    (batch,) = batches(faces, 32, 50, seed=0, epoch=0)
    assert len(batch.images) == 12


def test_a_left_epoch_ends_its_threads(faces: FaceSet) -> None:
    import threading

    running = batches(faces, 32, 1, seed=0, epoch=0, threads=2)
    next(running)
    running.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]
