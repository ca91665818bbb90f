"""What is drawn on a picture, and which priors become candidates."""

import numpy as np

from harness.core.evaluation import EvalConfig
from harness.deployment.draw import BOX, POINTS, draw
from harness.deployment.session import select


def test_boxes_and_landmarks_are_where_they_are_found() -> None:
    image = np.zeros((120, 160, 3), np.uint8)
    points = [50, 50, 70, 50, 60, 60, 52, 72, 68, 72]
    shown = draw(image, np.array([[40, 30, 80, 90, 0.9, *points]], dtype=np.float32))
    assert (image == 0).all(), "the picture itself is not changed"
    rows, columns = np.nonzero((np.abs(shown.astype(int) - BOX) < 90).all(axis=2))
    on_border = rows >= 30
    found = columns[on_border].min(), columns[on_border].max(), rows.max()
    np.testing.assert_allclose(found, (40, 80, 90), atol=1)
    for x, y in np.reshape(points, (5, 2)):
        assert np.abs(shown[y - 1 : y + 1, x - 1 : x + 1].astype(int) - POINTS).min() < 40


def test_boxes_far_outside_and_pictures_of_one_pixel_are_drawn() -> None:
    row = np.full((1, 15), 1e9, dtype=np.float32)
    row[0, :2] = -1e9
    for size in ((1, 1), (3, 200), (90, 90)):
        assert draw(np.zeros((*size, 3), np.uint8), row).shape == (*size, 3)


def test_candidates_are_the_best_above_the_threshold() -> None:
    scores = np.array([0.5, 0.9, 0.02, 0.9, 0.3, 0.021], dtype=np.float32)
    boxes = np.arange(24, dtype=np.float32).reshape(6, 4)
    landmarks = np.arange(60, dtype=np.float32).reshape(6, 10)
    rows = select(boxes, scores, landmarks, EvalConfig(max_candidates=4))
    assert rows[:, 0].tolist() == [4, 12, 0, 16], "equal scores keep the priors' order"
    assert rows.shape == (4, 15)
    assert rows[0, 5:].tolist() == landmarks[1].tolist()
    assert select(boxes, scores, landmarks, EvalConfig(score_threshold=0.95)).shape == (0, 15)
