"""Which faces a network found, missed or made up, and how the gallery shows them."""

import io

import numpy as np
from matplotlib.colors import same_color

from harness.reporting.study.data import Example
from harness.reporting.study.gallery import LINES, gallery, outcome

TRUTH = np.array([[10, 10, 40, 40], [60, 60, 90, 90]], np.float32)
FOUND = np.array(
    [
        [12, 11, 41, 42, 0.6],  # second on the first face
        [11, 10, 40, 41, 0.9],  # on the first face
        [5, 60, 30, 90, 0.8],  # on no face
        [60, 60, 90, 90, 0.4],  # on the second face, with too low a score
    ],
    np.float32,
)


def test_a_face_is_found_once_and_every_other_detection_is_false() -> None:
    made = outcome(TRUTH, FOUND, 0.5)
    assert made.found.tolist() == [[11, 10, 40, 41]]
    assert made.missed.tolist() == [[60, 60, 90, 90]]
    assert made.false.tolist() == [[5, 60, 30, 90], [12, 11, 41, 42]]
    assert len(outcome(TRUTH, FOUND, 0.3).missed) == 0


def test_without_detections_or_faces_nothing_is_found() -> None:
    assert len(outcome(TRUTH, FOUND[:0], 0.5).missed) == 2
    assert len(outcome(TRUTH[:0], FOUND, 0.5).false) == 3


def test_boxes_have_the_colour_of_their_outcome_and_images_are_rgb() -> None:
    image = np.arange(100 * 100 * 3, dtype=np.uint32).reshape(100, 100, 3).astype(np.uint8)
    figure = gallery([Example(image, TRUTH, {"v2": FOUND})], {"v1": "V1", "v2": "V2"}, 0.5)
    figure.savefig(io.BytesIO(), dpi=50)
    (axes,) = figure.axes
    assert (np.asarray(axes.images[0].get_array()) == image[:, :, ::-1]).all()
    for name, count in {"found": 1, "missed": 1, "false": 2}.items():
        assert sum(same_color(patch.get_edgecolor(), LINES[name]["edgecolor"]) for patch in axes.patches) == count
    assert "1 found, 1 missed, 2 false" in [text.get_text() for text in axes.texts]
    assert axes.get_ylabel() == "V2"
