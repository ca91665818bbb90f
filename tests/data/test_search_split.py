import json
from pathlib import Path

import pytest

from harness.core.names import load_study

RESULT = Path(__file__).parent.parent.parent / "benchmarks" / "results" / "search_split.json"


@pytest.mark.parametrize("study", ["widerface", "widerface_mini"])
def test_search_splits_are_as_large_as_a_difference_of_one_point_takes(study: str) -> None:
    found = json.loads(RESULT.read_text(encoding="utf-8"))["widerface_mini"]
    assert load_study(study).data.search_images >= found["images_for_one_point"]["v2 - v2-s2"] > 0
