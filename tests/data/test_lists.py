import json
from pathlib import Path

import numpy as np
import pytest

from harness.data.lists import LEAST_HEIGHT, WIDTH, lists_by_height

RESULT = Path(__file__).parent.parent.parent / "benchmarks" / "results" / "search_lists.json"


def test_the_limits_are_those_that_were_computed() -> None:
    found = json.loads(RESULT.read_text(encoding="utf-8"))
    assert {name: limit["least_height"] for name, limit in found["limits"].items()} == LEAST_HEIGHT
    assert found["width"] == WIDTH
    assert found["on_disk"]["as_wide_as_official"] == found["on_disk"]["images"] > 0


@pytest.mark.parametrize("width", [320, 1_024, 4_096])
def test_a_resized_image_keeps_its_lists(width: int) -> None:
    height = np.array([1.0, 10.0, 11.0, 30.0, 31.0, 50.0, 51.0, 900.0])
    boxes = np.stack([height, height, 3 * height, 2 * height], axis=1) * width / 1_024
    found = {name: mask.tolist() for name, mask in lists_by_height(boxes, width).items()}
    assert found == {
        "easy": [False] * 6 + [True] * 2,
        "medium": [False] * 4 + [True] * 4,
        "hard": [False] * 2 + [True] * 6,
    }


def test_an_image_without_faces_has_empty_lists() -> None:
    assert {name: mask.shape for name, mask in lists_by_height(np.zeros((0, 4)), 640).items()} == {
        "easy": (0,),
        "medium": (0,),
        "hard": (0,),
    }
