import numpy as np
import pytest

from harness.core.retinaface import MEAN
from harness.data.augment import Augmentation, Image, augment, draw_crop, jitter, mirror, move

PLAIN = Augmentation(colour=0.0)
COLOURS = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255)], dtype=np.uint8)


def scene() -> tuple[Image, np.ndarray, np.ndarray]:
    """A grey image with a white face whose five landmarks are squares of five colours."""
    image = np.full((200, 260, 3), 60, dtype=np.uint8)
    box = np.array([[90.0, 60.0, 150.0, 140.0]], dtype=np.float32)
    image[60:140, 90:150] = 255
    points = np.array([[105, 85], [135, 85], [120, 100], [108, 122], [132, 122]], dtype=np.float32)
    for (x, y), colour in zip(points.astype(int), COLOURS, strict=True):
        image[y - 5 : y + 5, x - 5 : x + 5] = colour
    return image, box, points.reshape(1, 10)


def centre(image: Image, colour: np.ndarray) -> np.ndarray | None:
    near = (np.abs(image.astype(int) - colour).max(axis=2) < 90).nonzero()
    return None if len(near[0]) < 4 else np.array([near[1].mean() + 0.5, near[0].mean() + 0.5])


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_boxes_and_landmarks_follow_the_pixels(flip: float) -> None:
    image, boxes, landmarks = scene()
    seen = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        sample, found, points = augment(image, boxes, landmarks, 160, rng, Augmentation(colour=0.0, flip=flip))
        assert sample.shape == (160, 160, 3)
        if len(found) == 0 or found.min() <= 1 or found.max() >= 159:
            continue
        seen += 1
        bright = (sample.max(axis=2) > 160).nonzero()
        edges = [bright[1].min(), bright[0].min(), bright[1].max() + 1, bright[0].max() + 1]
        assert np.abs(found[0] - edges).max() < 2.5
        for point, colour in zip(points[0].reshape(5, 2), COLOURS[[1, 0, 2, 4, 3]] if flip else COLOURS, strict=True):
            painted = centre(sample, colour)
            assert painted is not None
            assert np.abs(painted - point).max() < 1.5
    assert seen > 20


def test_mirroring_swaps_sides_exactly_and_twice_is_the_identity() -> None:
    boxes = np.array([[1.0, 2.0, 5.0, 8.0]], dtype=np.float32)
    points = np.array([[2.0, 3.0, 4.0, 3.0, 3.0, 5.0, 2.0, 7.0, 4.0, 6.0]], dtype=np.float32)
    flipped, swapped = mirror(boxes, points, 20)
    assert flipped.tolist() == [[15, 2, 19, 8]]
    assert swapped.tolist() == [[16, 3, 18, 3, 17, 5, 16, 6, 18, 7]]
    again = mirror(flipped, swapped, 20)
    assert again[0].tolist() == boxes.tolist()
    assert again[1].tolist() == points.tolist()
    assert np.isnan(mirror(boxes, np.full((1, 10), np.nan, dtype=np.float32), 20)[1]).all()


def test_a_crop_lies_in_the_image_and_holds_a_whole_usable_face() -> None:
    rng = np.random.default_rng(0)
    boxes = np.array([[10, 10, 30, 34], [200, 60, 203, 64]], dtype=np.float32)
    for _ in range(200):
        window = draw_crop(120, 240, boxes, 64, rng, PLAIN)
        if window is None:
            continue
        left, top, side = window
        assert left >= 0
        assert top >= 0
        assert left + side <= 240
        assert top + side <= 120
        assert side in {36, 54, 72, 96, 120}
        whole = (boxes[:, :2] >= (left, top)).all(axis=1) & (boxes[:, 2:] <= (left + side, top + side)).all(axis=1)
        assert (whole & ((boxes[:, 2] - boxes[:, 0]) * 64 / side >= 4)).any()


def test_without_a_usable_crop_the_whole_image_is_padded() -> None:
    image = np.full((60, 120, 3), 200, dtype=np.uint8)
    boxes = np.array([[2, 2, 118, 58]], dtype=np.float32)
    points = np.full((1, 10), 30, dtype=np.float32)
    sample, found, moved = augment(
        image, boxes, points, 64, np.random.default_rng(0), Augmentation(colour=0.0, flip=0.0)
    )
    assert (sample[:32] == 200).all()
    assert (sample[32:] == (104, 117, 123)).all()
    assert np.allclose(found, boxes * 64 / 120)
    assert np.allclose(moved, 16)


def test_an_image_without_faces_is_cropped() -> None:
    image = np.random.default_rng(0).integers(0, 255, (100, 80, 3), dtype=np.uint8)
    none = np.zeros((0, 14), dtype=np.float32)
    for seed in range(10):
        sample, boxes, landmarks = augment(
            image, none[:, :4], none[:, 4:], 64, np.random.default_rng(seed), Augmentation()
        )
        assert sample.shape == (64, 64, 3)
        assert boxes.shape == (0, 4)
        assert landmarks.shape == (0, 10)


def test_faces_are_kept_by_centre_cut_at_the_edge_and_dropped_when_tiny() -> None:
    boxes = np.array([[0, 0, 30, 30], [5, 5, 60, 60], [40, 40, 41, 41], [60, 60, 90, 90]], dtype=np.float32)
    points = np.arange(40, dtype=np.float32).reshape(4, 10)
    moved, landmarks = move(boxes, points, left=10, top=10, side=50, size=100, least=4)
    assert moved.tolist() == [[0, 0, 40, 40], [0, 0, 100, 100]]
    assert landmarks.tolist() == ((points[:2] - 10) * 2).tolist()


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (500, 2)])
def test_tiny_and_narrow_images_pass(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 90, dtype=np.uint8)
    boxes = np.array([[0, 0, shape[1], shape[0]]], dtype=np.float32)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        assert augment(image, boxes, np.zeros((1, 10), np.float32), 32, rng, Augmentation())[0].shape == (32, 32, 3)


def test_colours_change_within_bounds_and_not_at_probability_0() -> None:
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert jitter(image, np.random.default_rng(0), 0.0) is image
    changed = [jitter(image, np.random.default_rng(seed), 1.0) for seed in range(8)]
    assert len({sample.tobytes() for sample in changed}) == 8
    grey = np.full((4, 4, 3), 128, dtype=np.uint8)
    values = [int(jitter(grey, np.random.default_rng(seed), 1.0)[0, 0, 0]) for seed in range(200)]
    assert min(values) >= (128 - 32) * 0.5 - 1
    assert max(values) <= (128 + 32) * 1.5 + 1
    assert max(values) - min(values) > 100


def test_the_source_is_never_changed() -> None:
    image, boxes, landmarks = scene()
    before = image.tobytes(), boxes.tobytes(), landmarks.tobytes()
    for seed in range(20):
        augment(image, boxes, landmarks, 64, np.random.default_rng(seed), Augmentation())
    assert (image.tobytes(), boxes.tobytes(), landmarks.tobytes()) == before


def test_a_crop_beyond_the_image_shows_all_of_it_on_the_mean_colour() -> None:
    """Every pixel of the sample is the image's, where the image is, and the mean's elsewhere; boxes go along."""
    image = np.zeros((40, 80, 3), dtype=np.uint8)
    image[:, :, 1] = 200
    boxes = np.array([[20, 10, 40, 30]], dtype=np.float32)
    settings = Augmentation(scales=(2.0,), colour=0.0, flip=0.0, min_face=1.0)
    places = set()
    for seed in range(20):
        sample, found, _ = augment(
            image, boxes, np.full((1, 10), np.nan, np.float32), 160, np.random.default_rng(seed), settings
        )
        inside = (sample == (0, 200, 0)).all(axis=2)
        assert (sample[~inside] == np.array(MEAN, dtype=np.uint8)).all()
        rows, columns = inside.any(axis=1).nonzero()[0], inside.any(axis=0).nonzero()[0]
        # Twice the shorter side is the longer one: the crop has the image's width, and pads above and below.
        assert (len(rows), len(columns)) == (80, 160)
        assert found.tolist() == [[40.0, rows[0] + 20.0, 80.0, rows[0] + 60.0]]
        places.add(int(rows[0]))
    assert len(places) > 5
    assert min(places) >= 0
    assert max(places) <= 80


def test_small_faces_stay_where_they_are_asked_for() -> None:
    boxes = np.array([[0, 0, 30, 30], [40, 40, 41.5, 41.5], [50, 50, 50.2, 50.2]], dtype=np.float32)
    points = np.full((3, 10), np.nan, dtype=np.float32)
    assert len(move(boxes, points, left=0, top=0, side=60, size=60, least=1.0)[0]) == 2
